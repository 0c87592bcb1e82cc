"""Audio as people have it -> clean mono speech: find, load, check, trim, level, fade, augment.

`python -m ddpmlib.audio --corpus NAME --into FOLDER` fetches a public corpus (ddpmlib.corpora).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ddpmlib.storage import atomic_write, fetch

# What soundfile or PyAV (FFmpeg) decode and people have speech in; judged by the ending.
ENDINGS = frozenset(
    [
        ".wav",
        ".flac",
        ".ogg",
        ".oga",
        ".opus",
        ".mp3",
        ".aif",
        ".aiff",
        ".aifc",
        ".au",
        ".caf",
        ".w64",
        ".rf64",
        ".m4a",
        ".mp4",
        ".aac",
        ".webm",
        ".mka",
        ".mkv",
        ".wma",
        ".amr",
        ".g722",
        ".3gp",
    ]
)
MARGIN = 0.05  # seconds of background left around the trimmed speech
FADE = 0.005  # seconds
TRIM_DB = 45.0  # below the loudest frame counts as background
LEVEL_DB = -23.0  # dBFS, root mean square of every prepared file
SILENT_DB = -75.0  # dBFS; rounding noise of 16-bit files lies near -95, faint speech near -50
SHORTEST = 0.02  # seconds


class AudioError(ValueError):
    """A recording that cannot be used; its message is the reason."""


@dataclass(frozen=True)
class Recording:
    """Decoded audio: samples (n,) float32 mono at `sample_rate`, and what the file was like."""

    samples: np.ndarray
    sample_rate: int  # Hz
    source_rate: int  # Hz, in the file
    channels: int
    seconds: float
    level_db: float  # dBFS, root mean square
    clipped: bool  # flat tops at the loudest level


def find_audio(folder: str | Path) -> list[Path]:
    """All audio files under a folder, sorted, hidden ones left out; judged by their ending.

    Raises:
        FileNotFoundError: when the folder does not exist or holds no audio; says what it holds.
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

    Raises:
        AudioError: empty, damaged, too short, not finite or silent; the message is the reason.
    """
    import librosa

    path = fetch(path)
    frames, source_rate = _decode(path)
    if frames.shape[0] < SHORTEST * source_rate:
        raise AudioError(f"{frames.shape[0]} samples; needed: {SHORTEST * source_rate:.0f}")
    if not np.isfinite(frames).all():
        raise AudioError(f"{np.count_nonzero(~np.isfinite(frames))} samples are NaN or infinite")
    frames = frames - frames.mean(axis=0)
    mono = _mix(frames)
    level = _db(mono)
    if level < SILENT_DB:
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


def clean(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Trim background at both ends, set the level to LEVEL_DB, fade in and out.

    Args:
        samples: (n,) float32 at `sample_rate` Hz.

    Returns:
        (m,) float32 with m <= n; peaks may pass 1, the codec clips them.
    """
    import librosa

    frames = {"frame_length": 512, "hop_length": 128}
    _, (start, end) = librosa.effects.trim(samples, top_db=TRIM_DB, **frames)
    margin = int(MARGIN * sample_rate)
    samples = samples[max(0, start - margin) : end + margin]
    samples = samples * 10 ** ((LEVEL_DB - _db(samples)) / 20)
    n = min(int(FADE * sample_rate), len(samples) // 2)
    if n:
        ramp = np.linspace(0, 1, n, dtype=np.float32)
        samples[:n] *= ramp
        samples[-n:] *= ramp[::-1]
    return samples.astype(np.float32)


def augmentations() -> Iterator[tuple[str, Callable[[np.ndarray, int], np.ndarray]]]:
    """Yield (name, function(samples, sample_rate) -> samples): the original's 20 augmentations.

    Ten time stretches by 0.95 ... 1.05, ten pitch shifts by -5 ... -1 and 1 ... 5 semitones.
    """
    import librosa

    for rate in np.linspace(0.95, 1.05, 10):
        yield (
            f"stretch{rate:.3f}",
            lambda x, sr, rate=rate: librosa.effects.time_stretch(x, rate=float(rate)),
        )
    for steps in (-5, -4, -3, -2, -1, 1, 2, 3, 4, 5):
        yield (
            f"pitch{steps:+d}",
            lambda x, sr, steps=steps: librosa.effects.pitch_shift(x, sr=sr, n_steps=steps),
        )


def save_wav(path: str | Path, samples: np.ndarray, sample_rate: int) -> None:
    """Write (n,) samples as 16-bit mono wav; what lies outside [-1, 1] is clipped."""
    import soundfile

    with atomic_write(path) as temporary:
        soundfile.write(temporary, np.clip(samples, -1, 1), sample_rate, "PCM_16", format="WAV")


def _decode(path: Path) -> tuple[np.ndarray, int]:
    """Samples (n, channels) float32 and rate, by soundfile or, where that fails, PyAV."""
    import soundfile

    if path.stat().st_size == 0:
        raise AudioError("0 bytes")
    if path.suffix.lower() != ".g722":  # raw G.722 has no header, anything could be taken for it
        try:
            return soundfile.read(path, dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, RuntimeError, TypeError):
            pass  # PyAV names the reason if it fails too
    return _decode_with_av(path)


def _decode_with_av(path: Path) -> tuple[np.ndarray, int]:
    import av

    blocks = []
    container_format = "g722" if path.suffix.lower() == ".g722" else None
    try:
        with av.open(str(path), format=container_format, metadata_errors="ignore") as container:
            stream = container.streams.audio[0]
            rate = stream.rate
            resampler = av.AudioResampler(format="fltp", rate=rate)
            for frame in container.decode(stream):
                blocks += [f.to_ndarray() for f in resampler.resample(frame)]
    except IndexError:
        raise AudioError("no audio inside") from None
    except (av.FFmpegError, ValueError) as error:
        if not blocks:
            raise AudioError(f"cannot be decoded: {getattr(error, 'strerror', error)}") from error
        # The rest of a cut-off file is lost; what was decoded is speech like any other.
    if not blocks:
        raise AudioError("no samples inside")
    return np.concatenate(blocks, axis=1).T, rate


def _mix(frames: np.ndarray) -> np.ndarray:
    """(n, channels) -> (n,): the mean, or the loudest channel where the mean would lose it."""
    mean = frames.mean(axis=1)
    levels = (frames**2).mean(axis=0)
    # Opposite phases cancel and an empty channel halves: then one channel is the better mono.
    return mean if (mean**2).mean() > 0.5 * levels.max() else frames[:, levels.argmax()]


def _db(samples: np.ndarray) -> float:
    """Root mean square in dBFS, -200 for digital silence."""
    return 10 * np.log10(np.mean(np.square(samples, dtype=np.float64)) + 1e-20)


def _has_flat_tops(samples: np.ndarray) -> bool:
    """Neighbours equal at the peak, for more than a thousandth of the recording."""
    size = np.abs(samples)
    flat = (np.diff(samples) == 0) & (size[1:] > 0.98 * size.max())
    return bool(flat.mean() > 1e-3)


if __name__ == "__main__":
    from ddpmlib.corpora import main

    main()
