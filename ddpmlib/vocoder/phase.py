"""Phases of a spectrogram from its magnitudes alone: where Griffin-Lim starts."""

import numpy as np

from ddpmlib.spectrogram.params import SpectrogramParams

HANN = 0.25645  # exp(-pi t^2 / (HANN n_fft^2)) is the Gaussian closest to a Hann window
FLOOR = 1e-7  # of the loudest magnitude; below it logarithms are noise


def estimate_phase(magnitude: np.ndarray, params: SpectrogramParams) -> np.ndarray:
    """Phases whose slopes follow from those of the log magnitudes.

    Slopes: Prusa, Balazs & Sondergaard 2017 ("A Noniterative Method for Reconstruction of Phase
    from STFT Magnitude"), for the Gaussian closest to the window. They sum them from the loudest
    bin to softer ones by a heap. Here each local maximum of a frame continues the frame before,
    and the bins around it follow from it: all but one addition a frame is done for all at once.

    Args:
        magnitude: (n_frames, n_fft / 2 + 1), at any scale.

    Returns:
        The same shape, float32 radians, for windows that begin n_fft / 2 before their frame.
    """
    n_fft, hop, bins = params.n_fft, params.hop_length, np.arange(magnitude.shape[1])
    log = np.log(magnitude + np.float32(FLOOR * magnitude.max() + 1e-20))
    over_bins, over_frames = np.zeros_like(log), np.zeros_like(log)
    over_bins[:, 1:-1] = (log[:, 2:] - log[:, :-2]) / 2
    over_frames[1:-1] = (log[2:] - log[:-2]) / 2
    # Half of the advance from frame to frame: whole turns are left out, which float32 would spoil.
    turns = (hop * bins % n_fft / n_fft).astype(np.float32)
    half = np.pi * turns + hop / (2 * HANN * n_fft) * over_bins
    across = np.cumsum(over_frames * np.float32(-HANN * n_fft / hop), axis=1)

    peak = nearest_peak(log)
    step = across - np.take_along_axis(across, peak, axis=1)
    step += np.take_along_axis(half, peak, axis=1)
    step[1:] += np.take_along_axis(half[:-1], peak[1:], axis=1)
    for frame in range(1, len(step)):
        step[frame] += step[frame - 1][peak[frame]]
    return step + np.float32(np.pi) * (bins % 2).astype(np.float32)


def nearest_peak(values: np.ndarray) -> np.ndarray:
    """Index of the local maximum closest to each value of a row, (rows, n); 0 or n - 1 if none."""
    last = values.shape[1] - 1
    peaks, rises = np.ones(values.shape, bool), values[:, 1:] > values[:, :-1]
    peaks[:, 1:] = rises
    peaks[:, :-1] &= ~rises
    bins, far = np.arange(last + 1, dtype=np.int32), np.int32(3 * last + 3)
    before = np.maximum.accumulate(np.where(peaks, bins, -far), axis=1)
    after = np.minimum.accumulate(np.where(peaks, bins, far)[:, ::-1], axis=1)[:, ::-1]
    nearest = np.where(bins - before <= after - bins, before, after)
    return nearest.clip(0, last).astype(np.intp)
