"""What is done to decoded speech: trimmed, set to one level, faded; and written as wav."""

import io
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ddpmlib.storage.atomic import atomic_write

MARGIN = 0.05  # seconds of background left around the trimmed speech
FADE = 0.005  # seconds
TRIM_DB = 45.0  # below the loudest frame counts as background
HOP = 128  # samples between frames of four times that length
BLOCK = HOP << 13  # samples in memory at once
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


def span(samples: "np.ndarray | SampleFile", sample_rate: int) -> tuple[int, int]:
    """First sample of what `clean` leaves, and the one behind its last."""
    powers = [_powers(samples[start:stop]) for start, stop in _blocks(0, len(samples))]
    # As librosa.effects.trim, with frames around every HOP-th sample.
    frames = np.convolve(np.concatenate(powers), np.ones(4))[1 : len(samples) // HOP + 2]
    loud = np.flatnonzero(frames >= 10 ** (-TRIM_DB / 10) * frames.max())
    margin = int(MARGIN * sample_rate)
    start, end = int(loud[0]) * HOP, min(int(loud[-1] + 1) * HOP, len(samples))
    return max(0, start - margin), min(end + margin, len(samples))


def level(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Set the level of (n,) samples to LEVEL_DB, fade in and out; nothing is cut off."""
    return np.concatenate([samples[:0], *levelled(samples, 0, len(samples), sample_rate)])


def levelled(
    samples: "np.ndarray | SampleFile", start: int, end: int, sample_rate: int
) -> Iterator[np.ndarray]:
    """Samples from start to end, as `level` makes them of a whole, in blocks."""
    blocks = _blocks(start, end)
    squares = sum(np.sum(np.square(samples[a:b], dtype=np.float64)) for a, b in blocks)
    factor = 10 ** ((LEVEL_DB - 10 * np.log10(squares / max(1, end - start) + 1e-20)) / 20)
    ramp = np.linspace(0, 1, min(int(FADE * sample_rate), (end - start) // 2), dtype=np.float32)
    for a, b in blocks:
        block = np.empty(b - a, np.float32)  # computed in float64, without an array of that
        np.multiply(samples[a:b], factor, out=block, casting="same_kind")
        for side, before in ((block, a - start), (block[::-1], end - b)):
            part = ramp[before : before + len(block)]
            side[: len(part)] *= part
        yield block


class SampleFile:
    """Samples (n,) float32 that are sliced like an array but lie in a temporary file, if many."""

    def __init__(self, folder: str | Path):
        self.file = tempfile.SpooledTemporaryFile(4 * BLOCK, dir=folder)  # noqa: SIM115
        self.samples = 0

    def append(self, block: np.ndarray) -> None:
        """Add samples at the end."""
        self.file.seek(4 * self.samples)
        self.file.write(np.ascontiguousarray(block, np.float32))
        self.samples += len(block)

    def __len__(self) -> int:
        return self.samples

    def __getitem__(self, part: slice) -> np.ndarray:
        start, stop, _ = part.indices(self.samples)
        self.file.seek(4 * start)
        return np.frombuffer(self.file.read(4 * (stop - start)), np.float32)


def _blocks(start: int, end: int) -> list[tuple[int, int]]:
    return [(a, min(a + BLOCK, end)) for a in range(start, end, BLOCK)]


def _powers(samples: np.ndarray) -> np.ndarray:
    """Sum of squares of every HOP samples."""
    squares = np.zeros(-(-len(samples) // HOP) * HOP)
    squares[: len(samples)] = samples
    return np.square(squares, out=squares).reshape(-1, HOP).sum(axis=1)


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
