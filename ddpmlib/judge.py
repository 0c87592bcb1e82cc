"""Judging what a model says. So far: does it copy?"""

import numpy as np

from ddpmlib.dataset import SpectrogramSet

BLOCK = 64  # pictures compared at once


def nearest(picture: np.ndarray, data: SpectrogramSet) -> tuple[int, float]:
    """The picture of a data set that is most like this one, wherever in time.

    Likeness is the cosine between two pictures, silence counting as zero, at the shift in time
    where it is largest: 1 for a copy, also for one that starts earlier or later.

    Args:
        picture: (1, n_mels, n_frames) in [-1, 1].

    Returns:
        (index in `data`, likeness in 0...1).
    """
    size = 2 * picture.shape[-1]  # twice the width: a shift must not wrap around

    def spectrum(pictures):
        energy = pictures + 1
        energy /= np.linalg.norm(energy, axis=(-2, -1), keepdims=True) + 1e-9
        return np.fft.rfft(energy, size)

    wanted = spectrum(np.asarray(picture, np.float32).reshape(picture.shape[-2:]))
    best = (0, -1.0)
    for start in range(0, len(data), BLOCK):
        indices = range(start, min(start + BLOCK, len(data)))
        block = np.stack([data[i].numpy()[0] for i in indices])
        products = (spectrum(block) * wanted.conj()).sum(axis=1)
        likeness = np.fft.irfft(products, size).max(axis=1)
        if likeness.max() > best[1]:
            best = (start + int(likeness.argmax()), float(likeness.max()))
    return best
