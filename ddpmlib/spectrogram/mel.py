"""Waveform -> mel-spectrogram: windows, Fourier transform, triangular bands.

Bands and windows are those of librosa to the last bit, without the seconds in which it is loaded.
"""

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache

import numpy as np

from ddpmlib.spectrogram.codec import encode
from ddpmlib.spectrogram.params import SpectrogramParams

BANDWIDTH_DB = (
    50.0  # below the loudest band; hiss of speech lies above it, what filters leave below
)
AT_ONCE = 64  # frames; four times as many took twice as long, for the cache of a processor
BLOCK = 1024  # frames handed on at once
# Mel scale of Slaney 1998, "Auditory Toolbox": linear up to LINEAR Hz, logarithmic above.
LINEAR, HZ_PER_MEL, LOG_STEP = 1000.0, 200 / 3, np.log(6.4) / 27


@lru_cache(maxsize=8)
def mel_filters(params: SpectrogramParams, semitones: float = 0.0) -> np.ndarray:
    """Triangular filters of height 1, (n_mels, n_fft / 2 + 1) float32."""
    edges = band_edges(params)
    bins = np.fft.rfftfreq(params.n_fft, 1 / (params.sample_rate * 2 ** (semitones / 12)))  # Hz
    away, widths = edges[:, None] - bins, np.diff(edges)[:, None]
    triangles = np.minimum(-away[:-2] / widths[:-1], away[2:] / widths[1:])
    filters = np.maximum(0, triangles).astype(np.float32)
    filters.flags.writeable = False
    return filters


def check_bands(params: SpectrogramParams) -> None:
    """Warn where windows are too short for so many bands: some hold no bin and stay dark."""

    def empty(**changed) -> int:
        return int(np.sum(~mel_filters(replace(params, **changed)).any(axis=1)))

    if not (count := empty()):
        return
    n_fft = next(n for n in (params.n_fft << i for i in range(1, 20)) if not empty(n_fft=n))
    n_mels = next((n for n in range(params.n_mels - 1, 0, -1) if not empty(n_mels=n)), 1)
    warnings.warn(
        f"{count} of {params.n_mels} mel bands lie between the frequencies of n_fft {params.n_fft} "
        f"and stay dark; n_fft {n_fft} or n_mels {n_mels} would fill all",
        stacklevel=3,
    )


def bandwidth(loudest: np.ndarray, params: SpectrogramParams) -> float:
    """Frequency in Hz above which nothing was recorded, in the highest band with sound; or 0.

    Args:
        loudest: (n_mels,) values in [-1, 1], of the loudest frames of a recording.
    """
    quietest = max(loudest.max() - 2 * BANDWIDTH_DB / params.top_db, -1)
    highest = np.flatnonzero(loudest > quietest).max(initial=-1)
    if highest < 0:
        return 0.0
    # The upper half of a triangle is where its sound may end.
    edges = band_edges(params)
    ends = (edges[1:-1] + edges[2:]) / 2
    return params.fmax if highest == params.n_mels - 1 else float(ends[highest])


def bands_above(hertz: float, params: SpectrogramParams) -> int:
    """Number of mel bands whose middle is higher."""
    return int(np.sum(band_edges(params)[1:-1] > hertz))


@lru_cache(maxsize=8)
def band_edges(params: SpectrogramParams) -> np.ndarray:
    """(n_mels + 2,) Hz; of each band, three in a row are its lower end, middle and upper end."""
    knee = LINEAR / HZ_PER_MEL

    def mel(hertz: float) -> float:
        return hertz / HZ_PER_MEL if hertz < LINEAR else knee + np.log(hertz / LINEAR) / LOG_STEP

    mels = np.linspace(mel(params.fmin), mel(params.fmax), params.n_mels + 2)
    edges = LINEAR * np.exp(LOG_STEP * (mels - knee))
    edges = np.where(mels < knee, HZ_PER_MEL * mels, edges)
    edges.flags.writeable = False
    return edges


@lru_cache(maxsize=32)
def _sparse_filters(params: SpectrogramParams, semitones: float):
    """The same, a few weights a band. Their sums do not depend on the number of threads, as those
    of a dense product do: mel-spectrograms are the same from any number of workers."""
    from scipy.sparse import csr_array

    return csr_array(mel_filters(params, semitones))


@lru_cache(maxsize=8)
def _hann(params: SpectrogramParams) -> np.ndarray:
    """(n_fft,) float32; a full-scale sine has magnitude 1 behind it."""
    hann = 0.5 + 0.5 * np.cos(np.linspace(-np.pi, np.pi, params.n_fft + 1)[:-1])
    hann = (hann / window_gain(params)).astype(np.float32)
    hann.flags.writeable = False
    return hann


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
    mels = mel_blocks([audio], len(audio), params, speed, semitones)
    return np.concatenate(list(mels), axis=1)


def mel_blocks(
    audio: Iterable[np.ndarray],
    samples: int,
    params: SpectrogramParams,
    speed: float = 1.0,
    semitones: float = 0.0,
) -> Iterator[np.ndarray]:
    """The mel power of `audio_to_mel`, (n_mels, frames) of at most BLOCK frames each.

    Args:
        audio: blocks (n,) of any length.
        samples: the sum of their lengths.
    """
    from scipy.fft import rfft

    if not speed > 0:
        raise ValueError(f"speed is {speed}; it must be above 0")
    n_fft = params.n_fft
    starts = frame_starts(samples, params, speed)
    hann, filters = _hann(params), _sparse_filters(params, semitones)
    held, begin, done = np.zeros(n_fft // 2, np.float32), 0, 0
    behind = np.zeros(max(0, n_fft - samples) + n_fft // 2, np.float32)  # at least a whole window
    for block in _ending_with(behind, audio):
        held = np.concatenate([held, block])
        ready = int(np.searchsorted(starts, begin + len(held) - n_fft, side="right"))
        if ready > done:
            windows = np.lib.stride_tricks.sliding_window_view(held, n_fft)
        for first in range(done, ready, BLOCK):
            places = starts[first : min(first + BLOCK, ready)] - begin
            mel = np.empty((params.n_mels, len(places)), np.float32)
            for some in range(0, len(places), AT_ONCE):
                part = slice(some, some + AT_ONCE)
                frames = windows[places[part]]
                frames *= hann
                stft = rfft(frames)
                mel[:, part] = filters @ (stft.real**2 + stft.imag**2).T
            yield mel
        done = ready
        over = min(len(held), (starts[done] if done < len(starts) else np.inf) - begin)
        held, begin = held[int(over) :], begin + int(over)


def _ending_with(end: np.ndarray, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The blocks, with `end` at the end of the last: few frames alone take as long as many."""
    last = np.zeros(0, np.float32)
    for block in blocks:
        if len(last):
            yield last
        last = block
    yield np.concatenate([last, end])


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
