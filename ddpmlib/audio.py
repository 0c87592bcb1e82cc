"""Audio as people have it -> clean mono speech: find, load, check, trim, level, fade.

`python -m ddpmlib.audio --corpus NAME --into FOLDER` fetches a public corpus (ddpmlib.corpora).
"""

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ddpmlib.storage import atomic_write, fetch

# What soundfile or PyAV (FFmpeg) decode and people have speech in; judged by the ending.
_NAMES = "wav flac ogg oga opus mp3 aif aiff aifc au caf w64 rf64 m4a mp4 aac webm mka mkv wma amr"
ENDINGS = frozenset(f".{name}" for name in f"{_NAMES} g722 3gp".split())
MARGIN = 0.05  # seconds of background left around the trimmed speech
FADE = 0.005  # seconds
TRIM_DB = 45.0  # below the loudest frame counts as background
LEVEL_DB = -23.0  # dBFS, root mean square of every prepared file
SILENT_DB = -75.0  # dBFS; rounding noise of 16-bit files lies near -95, faint speech near -50
SHORTEST = 0.02  # seconds
RATES = (4_000, 768_000)  # Hz; others are damaged headers, and resampling them fills the memory
LOUDEST = 2.0**31  # 32-bit integers stored as floats; squares of louder samples overflow
BLOCK = 1 << 20  # frames read at once; a damaged header may promise more than memory holds
# FFmpeg would follow a playlist to other files and hosts: only containers that hold the sound.
CONTAINERS = "aac,aiff,amr,asf,au,caf,flac,g722,matroska,mov,mp3,mp4,ogg,w64,wav,webm"


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
        AudioError: empty, damaged, too short, not finite, silent or of a rate that no recording
            has; the message is the reason.
    """
    import librosa

    path = fetch(path)
    frames, source_rate = _decode(path)
    if not RATES[0] <= source_rate <= RATES[1]:
        raise AudioError(f"rate {source_rate} Hz; needed: {RATES[0]} to {RATES[1]} Hz")
    if frames.shape[0] < SHORTEST * source_rate:
        raise AudioError(f"{frames.shape[0]} samples; needed: {SHORTEST * source_rate:.0f}")
    if not np.isfinite(frames).all():
        raise AudioError(f"{np.count_nonzero(~np.isfinite(frames))} samples are NaN or infinite")
    if (peak := np.abs(frames).max()) > LOUDEST:
        raise AudioError(f"peak {peak:.3g}; needed: at most {LOUDEST:.3g}")
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
    return level(samples[max(0, start - margin) : end + margin], sample_rate)


def level(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Set the level to LEVEL_DB, and fade in and out; nothing is cut off.

    Args, returns: as `clean`.
    """
    samples = samples * 10 ** ((LEVEL_DB - _db(samples)) / 20)
    n = min(int(FADE * sample_rate), len(samples) // 2)
    if n:
        ramp = np.linspace(0, 1, n, dtype=np.float32)
        samples[:n] *= ramp
        samples[-n:] *= ramp[::-1]
    return samples.astype(np.float32)


def save_wav(path: str | Path, samples: np.ndarray, sample_rate: int) -> None:
    """Write (n,) samples as 16-bit mono wav; what lies outside [-1, 1] is clipped."""
    import soundfile

    encoded = io.BytesIO()  # soundfile hides the reason of a failed write
    soundfile.write(encoded, np.clip(samples, -1, 1), sample_rate, "PCM_16", format="WAV")
    with atomic_write(path) as temporary:
        temporary.write_bytes(encoded.getbuffer())


def _decode(path: Path) -> tuple[np.ndarray, int]:
    """Samples (n, channels) float32 and rate, by soundfile or, where that fails, PyAV."""
    import soundfile

    if path.stat().st_size == 0:
        raise AudioError("0 bytes")
    if path.suffix.lower() != ".g722":  # raw G.722 has no header, anything could be taken for it
        # PyAV names the reason if it fails too.
        with contextlib.suppress(soundfile.LibsndfileError, RuntimeError, TypeError):
            return _decode_with_soundfile(path)
    return _decode_with_av(path)


def _decode_with_soundfile(path: Path) -> tuple[np.ndarray, int]:
    import soundfile

    # An open file, because soundfile takes no names that are not UTF-8.
    with path.open("rb") as stream, soundfile.SoundFile(stream) as sound:
        blocks = [np.zeros((0, sound.channels), np.float32)]
        while len(block := sound.read(BLOCK, dtype="float32", always_2d=True)):
            blocks.append(block)
        return np.concatenate(blocks), sound.samplerate


def _decode_with_av(path: Path) -> tuple[np.ndarray, int]:
    import av

    blocks = []
    container_format = "g722" if path.suffix.lower() == ".g722" else None
    options = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}
    try:
        with av.open(
            str(path), format=container_format, options=options, metadata_errors="ignore"
        ) as container:
            stream = container.streams.audio[0]
            rate = stream.rate
            resampler = av.AudioResampler(format="fltp", rate=rate)
            for frame in container.decode(stream):
                blocks += [f.to_ndarray() for f in resampler.resample(frame)]
    except (IndexError, AttributeError):  # no stream of audio, or one that has no decoder
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
    size = np.abs(samples) / np.abs(samples).max()
    flat = (np.diff(samples) == 0) & (size[1:] > 0.98)
    # Coarse steps (8 bits) make a pure tone flat too, but no tone stays longer at its peak.
    crowded = np.sum(size > 0.98) > 0.52 * np.sum((size > 0.8) & (size <= 0.98))
    return bool(flat.mean() > 1e-3 and crowded)


if __name__ == "__main__":
    from ddpmlib.corpora import main

    main()
