"""Waveform -> mel-spectrogram: windows, Fourier transform, triangular bands."""

import warnings
from functools import lru_cache

import numpy as np

from ddpmlib.spectrogram.codec import encode
from ddpmlib.spectrogram.params import SpectrogramParams

AT_ONCE = 256  # frames; more do not fit into the cache of a processor


@lru_cache(maxsize=8)
def mel_filters(params: SpectrogramParams, semitones: float = 0.0) -> np.ndarray:
    """Triangular filters of height 1, (n_mels, n_fft / 2 + 1) float32."""
    import librosa

    with warnings.catch_warnings():  # a coarse n_fft leaves low filters empty, which shows
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
    of a dense product do: mel-spectrograms are the same from any number of workers."""
    from scipy.sparse import csr_array

    return csr_array(mel_filters(params, semitones))


def window_gain(params: SpectrogramParams) -> float:
    """Magnitude that a full-scale sine reaches in the STFT with a Hann window: sum(window) / 2."""
    return params.n_fft / 4


def audio_to_mel(
    audio: np.ndarray, params: SpectrogramParams, speed: float = 1.0, semitones: float = 0.0
) -> np.ndarray:
    """Mel power of audio (n_samples,), relative to a full-scale sine; (n_mels, n_frames) float32.

    Frames are centred, as librosa's are, and equal to them at speed 1 and 0 semitones. Speed and
    pitch change the analysis, not the waveform: no phase has to be estimated for them.

    Args:
        speed: above 0, times as fast at the same pitch: windows lie that much further apart.
        semitones: higher at the same speed: every bin counts as that much higher.
    """
    from scipy.fft import rfft
    from scipy.signal import get_window

    if not speed > 0:
        raise ValueError(f"speed is {speed}; it must be above 0")
    n_fft = params.n_fft
    starts = frame_starts(len(audio), params, speed)
    audio = np.pad(audio, (0, max(0, n_fft - len(audio))))  # at least a whole window
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(audio, n_fft // 2), n_fft)
    hann = (get_window("hann", n_fft) / window_gain(params)).astype(np.float32)
    filters = _sparse_filters(params, semitones)
    mel = np.empty((params.n_mels, len(starts)), np.float32)
    for first in range(0, len(starts), AT_ONCE):
        part = slice(first, first + AT_ONCE)
        stft = rfft(windows[starts[part]] * hann)
        mel[:, part] = filters @ (stft.real**2 + stft.imag**2).T
    return mel


def frame_starts(samples: int, params: SpectrogramParams, speed: float = 1.0) -> np.ndarray:
    """Sample in the middle of each frame, (n_frames,), of that many samples of audio."""
    windows = max(samples, params.n_fft) + 1 - params.n_fft % 2  # places that a window can have
    return np.arange(0, windows - 0.5, params.hop_length * speed).round().astype(int)


def audio_to_image(
    audio: np.ndarray, params: SpectrogramParams, speed: float = 1.0, semitones: float = 0.0
) -> np.ndarray:
    """Audio (n_samples,) at params.sample_rate -> mel-spectrogram (n_mels, n_frames) in [-1, 1].

    For speed and semitones see `audio_to_mel`.
    """
    return encode(audio_to_mel(audio, params, speed, semitones), params)
