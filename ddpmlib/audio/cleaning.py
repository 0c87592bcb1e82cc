"""What is done to decoded speech: trimmed, set to one level, faded; and written as wav."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ddpmlib.storage.atomic import atomic_write

MARGIN = 0.05  # seconds of background left around the trimmed speech
FADE = 0.005  # seconds
TRIM_DB = 45.0  # below the loudest frame counts as background
LEVEL_DB = -23.0  # dBFS, root mean square of every prepared file
PEAK = 0.9  # of the loudest sample of players and files under one gain


def clean(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Trim background at both ends, set the level to LEVEL_DB, fade in and out.

    Args:
        samples: (n,) float32 at `sample_rate` Hz.

    Returns:
        (m,) float32 with m <= n; peaks may pass 1, the codec clips them.
    """
    start, end = span(samples, sample_rate)
    return level(samples[start:end], sample_rate)


def span(samples: np.ndarray, sample_rate: int) -> tuple[int, int]:
    """First sample of what `clean` leaves, and the one behind its last."""
    import librosa

    _, (start, end) = librosa.effects.trim(
        samples, top_db=TRIM_DB, frame_length=512, hop_length=128
    )
    margin = int(MARGIN * sample_rate)
    return max(0, start - margin), min(end + margin, len(samples))


def level(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Set the level of (n,) samples to LEVEL_DB, fade in and out; nothing is cut off."""
    samples = samples * 10 ** ((LEVEL_DB - rms_db(samples)) / 20)
    n = min(int(FADE * sample_rate), len(samples) // 2)
    if n:
        ramp = np.linspace(0, 1, n, dtype=np.float32)
        samples[:n] *= ramp
        samples[-n:] *= ramp[::-1]
    return samples.astype(np.float32)


def save_wav(path: str | Path, samples: np.ndarray, sample_rate: int) -> None:
    """Write (n,) samples as 16-bit mono wav, all of them quieter where one passes PEAK."""
    import soundfile

    samples = unclipped([samples])[0]
    encoded = io.BytesIO()  # soundfile hides the reason of a failed write
    soundfile.write(encoded, samples, sample_rate, "PCM_16", format="WAV")
    with atomic_write(path) as temporary:
        temporary.write_bytes(encoded.getbuffer())


def rms_db(samples: np.ndarray) -> float:
    """Root mean square in dBFS, -200 for digital silence."""
    return 10 * np.log10(np.mean(np.square(samples, dtype=np.float64)) + 1e-20)


def gain(sounds: Sequence[np.ndarray]) -> float:
    """One gain for all, so that loudness can be compared and no peak is cut off."""
    peak = max((np.abs(samples).max() for samples in sounds), default=0)
    return PEAK / max(peak, 1e-9)


def unclipped(sounds: Sequence[np.ndarray]) -> list[np.ndarray]:
    """All quieter by one gain where a sample passes PEAK, else as they are."""
    quieter = min(1.0, gain(sounds))
    return [quieter * np.asarray(samples) for samples in sounds]
