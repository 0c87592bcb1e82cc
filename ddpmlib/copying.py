"""Does a model copy what it was trained on, and does it always say the same?"""

import numpy as np

from ddpmlib.dataset import SpectrogramSet
from ddpmlib.spectrogram import SpectrogramParams

SECONDS = 1.0  # of a window; whole pictures would not show that half a sentence is copied
SOUND = -0.25  # a frame whose loudest band is above this holds sound, in the values of a picture
BLOCK = 64  # pictures compared at once


def nearest(pictures: np.ndarray, data: SpectrogramSet) -> tuple[np.ndarray, np.ndarray]:
    """For each picture the one of a data set that says one second of it most alike.

    A picture is cut into windows of a second, silent ones left out, and each is laid over every
    place of every picture of the data. The picture counts as near as its nearest window: 0 dB for
    a copy of one second, wherever it starts.

    Args:
        pictures: (n, 1, n_mels, n_frames) in [-1, 1], on the grid of `data`.

    Returns:
        Indices in `data` (n,), and distances (n,): root mean square in dB over a window.
    """
    owners, windows = _windows(pictures, data.params)
    best, where = np.full(len(windows), np.inf), np.zeros(len(windows), int)
    for start in range(0, len(data), BLOCK):
        stop = min(start + BLOCK, len(data))
        block = np.stack([data[i].numpy() for i in range(start, stop)])
        distances = _distances(windows, block, data.params)
        closer = distances.min(axis=1) < best
        where[closer] = start + distances.argmin(axis=1)[closer]
        best = np.minimum(best, distances.min(axis=1))
    of_each = [np.flatnonzero(owners == n) for n in range(len(pictures))]
    first = [windows_of[best[windows_of].argmin()] for windows_of in of_each]
    return where[first], best[first]


def spread(pictures: np.ndarray, params: SpectrogramParams) -> np.ndarray:
    """How far each picture is from the most alike of the others, as in `nearest`: (n,) in dB.

    0 for a model that always says the same. Compare with as many real pictures: the more there
    are, the nearer the nearest.

    Raises:
        ValueError: fewer than two pictures.
    """
    if len(pictures) < 2:
        raise ValueError(f"{len(pictures)} pictures; needed: at least 2")
    owners, windows = _windows(pictures, params)
    distances = _distances(windows, pictures, params)
    distances[np.arange(len(windows)), owners] = np.inf
    return np.array([distances[owners == n].min() for n in range(len(pictures))])


def _distances(windows: np.ndarray, pictures: np.ndarray, params: SpectrogramParams) -> np.ndarray:
    """Distance in dB of each window to each picture at its best place, (windows, pictures).

    |a - b|^2 = |a|^2 + |b|^2 - 2 a b; the products at all places are a correlation over time,
    summed over bands.
    """
    pictures = np.asarray(pictures, np.float32)[:, 0]
    size, width = pictures.shape[-1], windows.shape[-1]
    spectra = np.fft.rfft(windows, size).conj().transpose(2, 0, 1)  # (frequencies, windows, bands)
    products = np.fft.irfft(spectra @ np.fft.rfft(pictures, size).transpose(2, 1, 0), size, axis=0)
    sums = np.cumsum(np.pad(np.square(pictures).sum(axis=1), ((0, 0), (1, 0))), axis=1)
    energies = (sums[:, width:] - sums[:, :-width]).T[:, None]  # (places, 1, pictures)
    squares = energies - 2 * products[: size - width + 1]
    squares = squares.min(axis=0) + np.square(windows).sum(axis=(1, 2))[:, None]
    return params.top_db / 2 * np.sqrt(squares.clip(0) / windows[0].size)


def _windows(pictures: np.ndarray, params: SpectrogramParams) -> tuple[np.ndarray, np.ndarray]:
    """Which picture each window is from (windows,), and windows (windows, n_mels, frames)."""
    width = max(1, min(params.n_frames, round(SECONDS * params.sample_rate / params.hop_length)))
    count = pictures.shape[-1] // width
    cut = np.asarray(pictures, np.float32)[:, 0, :, : count * width]
    cut = cut.reshape(len(pictures), -1, count, width).transpose(0, 2, 1, 3)
    sounding = (cut.max(axis=2) > SOUND).mean(axis=2)  # share of frames, (pictures, count)
    kept = sounding >= np.minimum(0.5, sounding.max(axis=1, keepdims=True))
    return np.nonzero(kept)[0], cut[kept]
