"""Recordings: found in a folder, decoded, checked, mixed to mono and resampled, in blocks."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ddpmlib.audio.channels import Channels, FlatTops, mix_weights
from ddpmlib.audio.decoding import AudioError, decode_blocks
from ddpmlib.storage.paths import fetch

# Formats of speech that soundfile or PyAV (FFmpeg) decode, by the ending of a file's name.
_NAMES = "wav flac ogg oga opus mp3 aif aiff aifc au caf w64 rf64 m4a mp4 aac webm mka mkv wma amr"
ENDINGS = frozenset(f".{name}" for name in f"{_NAMES} g722 3gp sph nist mov m4b".split())
SILENT_DB = -75.0  # dBFS; rounding noise of 16-bit files lies near -95, faint speech near -50
SHORTEST = 0.02  # seconds
RATES = (4_000, 768_000)  # Hz; others are damaged headers, and resampling them fills the memory
HELD = 1 << 23  # samples of a file that are kept; of a longer one they are decoded twice
LOUDEST = 2.0**31  # 32-bit integers stored as floats; squares of louder samples overflow


@dataclass(frozen=True)
class Recording:
    """Decoded audio: samples (n,) float32 mono at `sample_rate`, and properties of the file."""

    samples: np.ndarray
    sample_rate: int  # Hz
    source_rate: int  # Hz, in the file
    channels: int
    seconds: float
    level_db: float  # dBFS, root mean square
    clipped: bool  # flat tops at the loudest level
    sources: int = 1  # channels with a sound of their own, as of two people with two microphones


def find_audio(folder: str | Path) -> list[Path]:
    """All audio files under a folder, by their ending, sorted, hidden ones left out.

    Links to folders are followed, each folder once; links that lead nowhere are listed, so that
    `load_audio` can name them. Raises FileNotFoundError where there is none, NotADirectoryError for
    a file; each says what is there.
    """
    folder = fetch(folder)
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file; needed: a folder of recordings")
    files = sorted(path for path in _files(folder) if path.is_file() or _dangles(path))
    folders = (path for path in files if not path.suffix and _dangles(path))  # it would be one
    audio = sorted({*folders, *(path for path in files if path.suffix.lower() in ENDINGS)})
    if not audio:
        endings = " ".join(sorted({path.suffix for path in files if path.suffix})) or "no files"
        raise FileNotFoundError(
            f"no audio in {folder} ({len(files)} files: {endings}); needed: files ending in "
            f"{' '.join(sorted(ENDINGS))}"
        )
    return audio


def load_audio(path: str | Path, sample_rate: int) -> Recording:
    """Decode any audio file to mono float32 at `sample_rate` Hz, the mean removed.

    Raises AudioError: empty, damaged, too short, not finite, silent, or a rate out of RATES.
    """
    blocks: list[np.ndarray] = []
    recording = stream_audio(path, sample_rate, blocks.append)
    return replace(recording, samples=np.concatenate(blocks))


def stream_audio(
    path: str | Path, sample_rate: int, write: Callable[[np.ndarray], object]
) -> Recording:
    """The same in little memory: the samples go to `write` in blocks, and are not returned."""
    if _dangles(path):
        raise AudioError(f"a link to {os.readlink(path)}, which is not there")
    blocks = _Blocks(fetch(path))
    parts = _measured(blocks)
    seconds = [part.samples / part.rate for part in parts]
    mixes = [mix_weights(part.covariance) for part in parts]
    powers = [w @ part.covariance @ w for part, (w, _) in zip(parts, mixes, strict=True)]
    level = 10 * np.log10(max(0, np.average(powers, weights=seconds)) + 1e-20)
    if level < SILENT_DB:
        raise AudioError(f"silent: {level:.0f} dBFS; needed: above {SILENT_DB:.0f}")
    following, clipped = (block for _, block in blocks if len(block)), False
    for part, (weights, _) in zip(parts, mixes, strict=True):
        clipped |= _mix(part, weights, following, sample_rate, write)
    return Recording(
        samples=np.zeros(0, np.float32),
        sample_rate=sample_rate,
        source_rate=parts[0].rate,
        channels=max(part.count for part in parts),
        seconds=sum(seconds),
        level_db=level,
        clipped=clipped,
        sources=max(sources for _, sources in mixes),
    )


class _Blocks:
    """Blocks of a file, as often as they are wanted: held if they are few, else decoded again."""

    def __init__(self, path: Path):
        self.path, self.held = path, []

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        if self.held:
            yield from self.held
            return
        held, samples = [], 0
        for block in decode_blocks(self.path):
            samples += block[1].size
            if samples <= HELD:
                held.append(block)
            else:
                held.clear()
            yield block
        self.held = held


def _measured(blocks: _Blocks) -> list[Channels]:
    """Statistics of each part of one rate and number of channels; most files are one part."""
    parts: list[Channels] = []
    for rate, block in blocks:
        if not RATES[0] <= rate <= RATES[1]:
            raise AudioError(f"rate {rate} Hz; needed: {RATES[0]} to {RATES[1]} Hz")
        if not parts or (parts[-1].rate, parts[-1].count) != (rate, block.shape[1]):
            parts.append(Channels(rate, block.shape[1]))
        parts[-1].add(block)
    samples, shortest = sum(part.samples for part in parts), SHORTEST * parts[0].rate
    if samples < shortest:
        raise AudioError(f"{samples} samples; needed: {shortest:.0f}")
    parts = [part for part in parts if part.samples]
    if bad := sum(part.bad for part in parts):
        raise AudioError(f"{bad} samples are NaN or infinite")
    if (peak := max(part.peak for part in parts)) > LOUDEST:
        raise AudioError(f"peak {peak:.3g}; needed: at most {LOUDEST:.3g}")
    return parts


def _mix(
    part: Channels,
    weights: np.ndarray,
    blocks: Iterator[np.ndarray],
    sample_rate: int,
    write: Callable[[np.ndarray], object],
) -> bool:
    """Write a part as mono at a rate; whether it is clipped."""
    import soxr

    # The `librosa.resample` of a whole, in blocks; and as long as that.
    if resampled := part.rate != sample_rate:
        stream = soxr.ResampleStream(part.rate, sample_rate, 1, dtype="float32", quality="HQ")
    missing = -(-part.samples * sample_rate // part.rate)
    mean, weights = part.mean.astype(np.float32), weights.astype(np.float32)
    peaks, left = np.maximum(part.highest - mean, mean - part.lowest), part.samples
    tops = FlatTops(np.where(weights != 0, peaks, np.inf))  # that nothing of the others reaches
    while left:
        block = next(blocks) - mean
        left -= len(block)
        tops.add(block)
        mono = block[:, 0] if len(mean) == 1 else np.einsum("nc,c->n", block, weights)
        if resampled:
            mono = stream.resample_chunk(np.ascontiguousarray(mono), last=not left)[:missing]
        missing -= len(mono)
        write(mono)
    write(np.zeros(missing, np.float32))
    return bool(tops.found.any())


def _files(folder: Path) -> Iterator[Path]:
    """All below a folder but hidden ones; links to folders after the folders themselves."""
    seen, tops = set(), [folder]
    for top in tops:
        for where, folders, names in os.walk(top):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            if (real := os.path.realpath(where)) in seen:
                folders.clear()
                continue
            seen.add(real)
            tops += [Path(where, name) for name in folders if Path(where, name).is_symlink()]
            yield from (Path(where, name) for name in names if not name.startswith("."))


def _dangles(path: str | Path) -> bool:
    """Whether it is a link that leads nowhere, such as one of git-annex without its content."""
    return Path(path).is_symlink() and not Path(path).exists()
