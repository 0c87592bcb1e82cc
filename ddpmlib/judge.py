"""Judging what a model says. So far: does it copy?"""

import numpy as np

from ddpmlib.dataset import SpectrogramSet

BLOCK = 64  # pictures compared at once


def nearest(pictures: np.ndarray, data: SpectrogramSet) -> tuple[np.ndarray, np.ndarray]:
    """For each picture the one of a data set that is most like it, wherever in time.

    Likeness is the cosine between two pictures, silence counting as zero, at the shift in time
    where it is largest: 1 for a copy, also for one that starts earlier or later. A sample that
    copies only half a sentence is not found out.

    Args:
        pictures: (n, 1, n_mels, n_frames) in [-1, 1].

    Returns:
        Indices in `data` (n,), and likeness (n,) in 0...1.
    """
    size = 2 * pictures.shape[-1]  # twice the width: a shift must not wrap around
    wanted = _spectrum(pictures[:, 0], size)
    indices, likeness = np.zeros(len(pictures), int), np.full(len(pictures), -1.0)
    for start in range(0, len(data), BLOCK):
        stop = min(start + BLOCK, len(data))
        block = _spectrum(np.stack([data[i].numpy()[0] for i in range(start, stop)]), size)
        for n, spectrum in enumerate(wanted):
            products = (block * spectrum.conj()).sum(axis=1)
            alike = np.fft.irfft(products, size).max(axis=1)
            if alike.max() > likeness[n]:
                indices[n], likeness[n] = start + alike.argmax(), alike.max()
    return indices, likeness


def _spectrum(pictures: np.ndarray, size: int) -> np.ndarray:
    """Fourier transform over time of pictures (n, n_mels, n_frames), each of length 1."""
    energy = np.asarray(pictures, np.float32) + 1
    energy /= np.linalg.norm(energy, axis=(-2, -1), keepdims=True) + 1e-9
    return np.fft.rfft(energy, size)
