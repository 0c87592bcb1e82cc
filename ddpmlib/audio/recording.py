"""Recordings: found in a folder, decoded, checked, mixed to mono and resampled."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ddpmlib.audio.cleaning import rms_db
from ddpmlib.audio.decoding import AudioError, decode_file
from ddpmlib.storage.paths import fetch

# Formats of speech that soundfile or PyAV (FFmpeg) decode, by the ending of a file's name.
_NAMES = "wav flac ogg oga opus mp3 aif aiff aifc au caf w64 rf64 m4a mp4 aac webm mka mkv wma amr"
ENDINGS = frozenset(f".{name}" for name in f"{_NAMES} g722 3gp".split())
SILENT_DB = -75.0  # dBFS; rounding noise of 16-bit files lies near -95, faint speech near -50
SHORTEST = 0.02  # seconds
RATES = (4_000, 768_000)  # Hz; others are damaged headers, and resampling them fills the memory
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


def find_audio(folder: str | Path) -> list[Path]:
    """All audio files under a folder, by their ending, sorted, hidden ones left out.

    Raises FileNotFoundError where there is none, NotADirectoryError for a file; each says what
    is there.
    """
    folder = fetch(folder)
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file; needed: a folder of recordings")
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(p.startswith(".") for p in path.relative_to(folder).parts)
    ]
    audio = [path for path in files if path.suffix.lower() in ENDINGS]
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
    import librosa

    frames, source_rate = decode_file(fetch(path))
    if not RATES[0] <= source_rate <= RATES[1]:
        raise AudioError(f"rate {source_rate} Hz; needed: {RATES[0]} to {RATES[1]} Hz")
    if len(frames) < SHORTEST * source_rate:
        raise AudioError(f"{len(frames)} samples; needed: {SHORTEST * source_rate:.0f}")
    if not np.isfinite(frames).all():
        raise AudioError(f"{np.count_nonzero(~np.isfinite(frames))} samples are NaN or infinite")
    if (peak := np.abs(frames).max()) > LOUDEST:
        raise AudioError(f"peak {peak:.3g}; needed: at most {LOUDEST:.3g}")
    frames = frames - frames.mean(axis=0)
    mono = _mix(frames)
    if (level := rms_db(mono)) < SILENT_DB:
        raise AudioError(f"silent: {level:.0f} dBFS; needed: above {SILENT_DB:.0f}")
    clipped = _has_flat_tops(mono)
    if source_rate != sample_rate:
        mono = librosa.resample(mono, orig_sr=source_rate, target_sr=sample_rate)
    return Recording(
        samples=mono.astype(np.float32),
        sample_rate=sample_rate,
        source_rate=source_rate,
        channels=frames.shape[1],
        seconds=len(frames) / source_rate,
        level_db=level,
        clipped=clipped,
    )


def _mix(frames: np.ndarray) -> np.ndarray:
    """(n, channels) -> (n,): the mean, or the loudest channel where the mean would lose it."""
    mean = frames.mean(axis=1)
    levels = (frames**2).mean(axis=0)
    # Opposite phases cancel and an empty channel halves: then one channel is the better mono.
    return mean if (mean**2).mean() > 0.5 * levels.max() else frames[:, levels.argmax()]


def _has_flat_tops(samples: np.ndarray) -> bool:
    """Neighbours equal at the peak, for more than a thousandth of the recording."""
    size = np.abs(samples) / np.abs(samples).max()
    flat = (np.diff(samples) == 0) & (size[1:] > 0.98)
    # Coarse steps (8 bits) make a pure tone flat too, but no tone stays longer at its peak.
    crowded = np.sum(size > 0.98) > 0.52 * np.sum((size > 0.8) & (size <= 0.98))
    return bool(flat.mean() > 1e-3 and crowded)
