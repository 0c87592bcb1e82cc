"""Does a model copy its training data, and how diverse are its samples?"""

import numpy as np

from ddpmlib.data.dataset import SpectrogramSet
from ddpmlib.spectrogram.params import SpectrogramParams

SECONDS = 1.0  # of a window; a distance of whole mel-spectrograms misses half a copied sentence
SOUNDING = -0.25  # a frame whose loudest band is above this holds sound; value of a mel-spectrogram
BLOCK = 64  # mel-spectrograms compared at once


def nearest_neighbours(mels: np.ndarray, data: SpectrogramSet) -> tuple[np.ndarray, np.ndarray]:
    """For each mel-spectrogram the one of a data set with the most similar second.

    Each is cut into windows of a second, silent ones left out, and each window is laid over every
    place of every mel-spectrogram of the data; the nearest window counts. 0 dB for a copy of one
    second, wherever it starts.

    Args:
        mels: (n, 1, n_mels, n_frames) in [-1, 1], with the spectrogram parameters of `data`.

    Returns:
        Indices in `data` (n,), and distances (n,): root mean square in dB over a window.
    """
    owners, windows = _windows(mels, data.params)
    best, where = np.full(len(windows), np.inf), np.zeros(len(windows), int)
    for start in range(0, len(data), BLOCK):
        stop = min(start + BLOCK, len(data))
        block = np.stack([data[i].numpy() for i in range(start, stop)])
        distances = _distances(windows, block, data.params)
        closer = distances.min(axis=1) < best
        where[closer] = start + distances.argmin(axis=1)[closer]
        best = np.minimum(best, distances.min(axis=1))
    of_each = [np.flatnonzero(owners == n) for n in range(len(mels))]
    first = [windows_of[best[windows_of].argmin()] for windows_of in of_each]
    return where[first], best[first]


def diversity(mels: np.ndarray, params: SpectrogramParams) -> np.ndarray:
    """Distance of each mel-spectrogram to its nearest neighbour among the others: (n,) in dB.

    As in `nearest_neighbours`; 0 for a model with a single output. Compare with as many real ones:
    the more there are, the nearer the nearest.

    Raises:
        ValueError: fewer than two.
    """
    if len(mels) < 2:
        raise ValueError(f"{len(mels)} mels; needed: at least 2")
    owners, windows = _windows(mels, params)
    distances = _distances(windows, mels, params)
    distances[np.arange(len(windows)), owners] = np.inf
    return np.array([distances[owners == n].min() for n in range(len(mels))])


def _distances(windows: np.ndarray, mels: np.ndarray, params: SpectrogramParams) -> np.ndarray:
    """Distance in dB of each window to each mel-spectrogram at its best place, (windows, mels).

    |a - b|^2 = |a|^2 + |b|^2 - 2 a b; the products at all places are a correlation over time,
    summed over bands.
    """
    mels = np.asarray(mels, np.float32)[:, 0]
    size, width = mels.shape[-1], windows.shape[-1]
    spectra = np.fft.rfft(windows, size).conj().transpose(2, 0, 1)  # (frequencies, windows, bands)
    products = np.fft.irfft(spectra @ np.fft.rfft(mels, size).transpose(2, 1, 0), size, axis=0)
    sums = np.cumsum(np.pad(np.square(mels).sum(axis=1), ((0, 0), (1, 0))), axis=1)
    energies = (sums[:, width:] - sums[:, :-width]).T[:, None]  # (places, 1, mels)
    squares = energies - 2 * products[: size - width + 1]
    squares = squares.min(axis=0) + np.square(windows).sum(axis=(1, 2))[:, None]
    return params.top_db / 2 * np.sqrt(squares.clip(0) / windows[0].size)


def _windows(mels: np.ndarray, params: SpectrogramParams) -> tuple[np.ndarray, np.ndarray]:
    """Which of `mels` each window is from (windows,), and windows (windows, n_mels, width)."""
    width = max(1, min(params.n_frames, round(SECONDS * params.sample_rate / params.hop_length)))
    count = mels.shape[-1] // width
    windows = np.asarray(mels, np.float32)[:, 0, :, : count * width]
    windows = windows.reshape(len(mels), -1, count, width).transpose(0, 2, 1, 3)
    sounding = (windows.max(axis=2) > SOUNDING).mean(axis=2)  # share of frames, (mels, count)
    used = sounding >= np.minimum(0.5, sounding.max(axis=1, keepdims=True))
    return np.nonzero(used)[0], windows[used]
