"""From mel power back to a waveform: plain non-negative inversion, then Griffin-Lim.

`librosa.feature.inverse.mel_to_stft` solves the same least-squares problem by L-BFGS with a
workspace that grows with bins^2 x frames; multiplicative updates need no workspace to speak of.
"""

from functools import lru_cache

import numpy as np

from ddpmlib.spectrogram import SpectrogramParams, mel_filters, window_gain

UPDATES = 100  # multiplicative; 30 sound duller, 300 hardly better
ITERATIONS = 32  # of Griffin-Lim; more do not sound better


@lru_cache(maxsize=8)
def _pseudo_inverse(params: SpectrogramParams) -> np.ndarray:
    return np.linalg.pinv(mel_filters(params))


def mel_to_magnitude(mel: np.ndarray, params: SpectrogramParams) -> np.ndarray:
    """Find linear magnitudes whose mel power is the one given.

    Multiplicative updates keep every bin non-negative and lower |filters @ power - mel|^2 in
    each round (Lee & Seung, "Algorithms for Non-negative Matrix Factorization", 2000, eq. 4
    with fixed filters), from a pseudo-inverse start.

    Args:
        mel: (n_mels, frames) mel power relative to a full-scale sine.

    Returns:
        (n_fft / 2 + 1, frames) float32 magnitudes, 1 for a full-scale sine.
    """
    filters = mel_filters(params)
    tiny = np.float32(1e-12)
    start = _pseudo_inverse(params) @ mel
    # A zero never moves under multiplicative updates, so negative bins start small instead.
    power = np.maximum(start, filters.T @ mel * 1e-2) + tiny
    target = filters.T @ mel
    for _ in range(UPDATES):
        power *= (target + tiny) / (filters.T @ (filters @ power) + tiny)
    return np.sqrt(power, dtype=np.float32)


def griffin_lim(magnitude: np.ndarray, params: SpectrogramParams) -> np.ndarray:
    """Find phases for magnitudes (Griffin & Lim 1984; fast variant, Perraudin et al. 2013).

    Args:
        magnitude: (n_fft / 2 + 1, frames), 1 for a full-scale sine.

    Returns:
        ((frames - 1) * hop_length,) float32 audio; the same for the same input, every time.
    """
    import librosa

    audio = librosa.griffinlim(
        magnitude * window_gain(params),
        n_iter=ITERATIONS,
        hop_length=params.hop_length,
        n_fft=params.n_fft,
        length=(magnitude.shape[1] - 1) * params.hop_length,
        random_state=0,
    )
    return audio.astype(np.float32)
