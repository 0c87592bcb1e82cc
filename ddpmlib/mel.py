"""From a waveform to mel power: windows, Fourier transform, triangular bands."""

import warnings
from functools import lru_cache

import numpy as np

from ddpmlib.spectrogram import SpectrogramParams

AT_ONCE = 256  # frames; more do not fit into the cache of a processor


def mel_filters(params: SpectrogramParams) -> np.ndarray:
    """Triangular filters of height 1, (n_mels, n_fft / 2 + 1) float32."""
    return _filters(params, 0.0)


@lru_cache(maxsize=8)
def _filters(params: SpectrogramParams, semitones: float) -> np.ndarray:
    import librosa

    with warnings.catch_warnings():  # a coarse n_fft leaves low filters empty; the picture shows it
        warnings.simplefilter("ignore")
        filters = librosa.filters.mel(
            sr=params.sample_rate * 2 ** (semitones / 12),
            n_fft=params.n_fft,
            n_mels=params.n_mels,
            fmin=params.fmin,
            fmax=params.fmax,
            norm=None,
        )
    filters.flags.writeable = False
    return filters


@lru_cache(maxsize=32)
def _sparse_filters(params: SpectrogramParams, semitones: float):
    """The same, a few weights a band. Their sums do not depend on the number of threads, as those
    of a dense product do: pictures are the same from any number of workers."""
    from scipy.sparse import csr_array

    return csr_array(_filters(params, semitones))


@lru_cache(maxsize=8)
def _window(params: SpectrogramParams) -> np.ndarray:
    """Hann, (n_fft,) float32, scaled so that the STFT of a full-scale sine reaches 1."""
    from scipy.signal import get_window

    return (get_window("hann", params.n_fft) / window_gain(params)).astype(np.float32)


def window_gain(params: SpectrogramParams) -> float:
    """Magnitude that a full-scale sine reaches in the STFT with a Hann window: sum(window) / 2."""
    return params.n_fft / 4


def audio_to_mel(
    audio: np.ndarray, params: SpectrogramParams, speed: float = 1.0, semitones: float = 0.0
) -> np.ndarray:
    """Mel power of audio (samples,), relative to a full-scale sine; (n_mels, frames) float32.

    Frames are centred, as librosa's are, and equal to them where speed and semitones change
    nothing. Both are changes of the grid, so that no other sound has to be made for them, and no
    phases guessed.

    Args:
        speed: times as fast at the same pitch: windows lie that much further apart.
        semitones: higher at the same speed: every bin counts as that much higher.

    Raises:
        ValueError: speed is not above 0.
    """
    from scipy.fft import rfft

    if not speed > 0:
        raise ValueError(f"speed is {speed}; it must be above 0")
    n_fft, hop = params.n_fft, params.hop_length * speed
    audio = np.pad(audio, (0, max(0, n_fft - len(audio))))  # at least a whole window
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(audio, n_fft // 2), n_fft)
    starts = np.arange(0, len(windows) - 0.5, hop).round().astype(int)
    filters = _sparse_filters(params, semitones)
    mel = np.empty((params.n_mels, len(starts)), np.float32)
    for first in range(0, len(starts), AT_ONCE):
        part = slice(first, first + AT_ONCE)
        stft = rfft(windows[starts[part]] * _window(params))
        mel[:, part] = filters @ (stft.real**2 + stft.imag**2).T
    return mel
