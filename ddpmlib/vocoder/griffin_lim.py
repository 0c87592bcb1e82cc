"""Mel power -> linear magnitudes -> waveform: non-negative least squares, then Griffin-Lim.

`librosa.feature.inverse.mel_to_stft` solves the same least-squares problem by L-BFGS with a
workspace that grows with bins^2 x frames; multiplicative updates need no workspace to speak of.
"""

from functools import lru_cache

import numpy as np

from ddpmlib.spectrogram.mel import mel_filters, window_gain
from ddpmlib.spectrogram.params import SpectrogramParams

UPDATES = 100  # multiplicative, from the pseudo-inverse; 30 sound duller, 300 hardly better
LEARNED_UPDATES = 10  # from the learned step, whose mel power is nearly right
ITERATIONS = 32  # of Griffin-Lim; more do not sound better
TINY = np.float32(1e-12)


@lru_cache(maxsize=8)
def _pseudo_inverse(params: SpectrogramParams) -> np.ndarray:
    return np.linalg.pinv(mel_filters(params))


def mel_to_magnitude(
    mel: np.ndarray, params: SpectrogramParams, learned: bool = True
) -> np.ndarray:
    """Find linear magnitudes whose mel power is the one given.

    Multiplicative updates never make a bin negative and lower |filters @ power - mel|^2 in
    each round (Lee & Seung, "Algorithms for Non-negative Matrix Factorization", 2000, eq. 4
    with fixed filters). They start from the learned mel-to-linear step (`vocoder.mel_to_linear`)
    if there is one for these parameters, else from a pseudo-inverse.

    Args:
        mel: (n_mels, n_frames) mel power relative to a full-scale sine.
        learned: False leaves the learned step out, for comparison.

    Returns:
        (n_fft / 2 + 1, n_frames) float32 magnitudes, 1 for a full-scale sine.
    """
    from ddpmlib.vocoder.mel_to_linear import pretrained_mel_to_linear  # needs torch

    filters = mel_filters(params)
    target = filters.T @ mel
    # A zero never moves under multiplicative updates, so empty bins start small instead.
    if learned and (network := pretrained_mel_to_linear(params)):
        # Its logarithm has a floor; silence has none.
        power = np.where(target > 0, network.magnitude(mel) ** 2, 0) + TINY
        updates = LEARNED_UPDATES
    else:
        power = np.maximum(_pseudo_inverse(params) @ mel, target * 1e-2) + TINY
        updates = UPDATES
    for _ in range(updates):
        power *= (target + TINY) / (filters.T @ (filters @ power) + TINY)
    return np.sqrt(power, dtype=np.float32)


def griffin_lim(magnitude: np.ndarray, params: SpectrogramParams) -> np.ndarray:
    """Find phases for magnitudes (Griffin & Lim 1984; fast variant, Perraudin et al. 2013).

    Args:
        magnitude: (n_fft / 2 + 1, n_frames), 1 for a full-scale sine.

    Returns:
        ((n_frames - 1) * hop_length,) float32 audio; the same for the same input, every time.
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
