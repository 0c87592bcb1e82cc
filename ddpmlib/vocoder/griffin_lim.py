"""Mel power -> linear magnitudes -> waveform: non-negative least squares, then Griffin-Lim.

`librosa.feature.inverse.mel_to_stft` solves the same least-squares problem by L-BFGS with a
workspace that grows with bins^2 x frames; multiplicative updates need no workspace to speak of.
"""

from functools import lru_cache

import numpy as np

from ddpmlib.spectrogram.mel import mel_filters, window_gain
from ddpmlib.spectrogram.params import SpectrogramParams
from ddpmlib.vocoder.phase import estimate_phase

UPDATES = 20  # multiplicative, from the pseudo-inverse; they leave 0.06 dB of error a band
LEARNED_UPDATES = 6  # from the learned step, whose mel power is nearly right
STRIDE = np.float32(1.5)  # exponent of an update; 1 takes twice as many, 2 does not converge
ITERATIONS = 8  # of Griffin-Lim; 16 bring no more than 0.02 DNSMOS, 4 take as much from some
MOMENTUM = 0.99
TINY = np.float32(1e-12)


@lru_cache(maxsize=8)
def _pseudo_inverse(params: SpectrogramParams) -> np.ndarray:
    return np.linalg.pinv(mel_filters(params))


def mel_to_magnitude(
    mel: np.ndarray, params: SpectrogramParams, learned: bool = True
) -> np.ndarray:
    """Find linear magnitudes whose mel power is the one given.

    Multiplicative updates never make a bin negative and lower the divergence of filters @ power
    from mel (Lee & Seung, "Algorithms for Non-negative Matrix Factorization", 2000, eq. 5 with
    fixed filters), here with longer strides. They start from the learned mel-to-linear step
    (`vocoder.mel_to_linear`) if there is one for these parameters, else from a pseudo-inverse.

    Args:
        mel: (n_mels, n_frames) mel power relative to a full-scale sine.
        learned: False leaves the learned step out, for comparison.

    Returns:
        (n_fft / 2 + 1, n_frames) float32 magnitudes, 1 for a full-scale sine.
    """
    import torch

    from ddpmlib.vocoder.mel_to_linear import pretrained_mel_to_linear

    mel = np.asarray(mel, np.float32)
    # Products by torch: the threads of numpy's would wait for torch's on the same cores.
    spread, mel_power = torch.from_numpy(mel_filters(params).T.copy()), torch.from_numpy(mel)
    target = (spread @ mel_power).numpy()
    # A zero never moves under multiplicative updates, so empty bins start small instead.
    if learned and (network := pretrained_mel_to_linear(params)):
        # Its logarithm has a floor; silence has none.
        power = np.where(target > 0, network.magnitude(mel) ** 2, 0) + TINY
        updates = LEARNED_UPDATES
    else:
        power = np.maximum(_pseudo_inverse(params) @ mel, target * 1e-2) + TINY
        updates = UPDATES
    power, wanted = torch.from_numpy(power), mel_power + TINY
    weight = spread.sum(dim=1, keepdim=True).clamp(min=TINY)
    for _ in range(updates):
        power *= (spread @ (wanted / (spread.T @ power + TINY)) / weight) ** STRIDE
    return np.sqrt(np.where(target > 0, power.numpy(), 0), dtype=np.float32)


def griffin_lim(magnitude: np.ndarray, params: SpectrogramParams) -> np.ndarray:
    """Find phases for magnitudes (Griffin & Lim 1984; fast variant, Perraudin et al. 2013).

    From the phases of `estimate_phase`, ITERATIONS do what twice as many do from random ones.

    Args:
        magnitude: (n_fft / 2 + 1, n_frames), 1 for a full-scale sine.

    Returns:
        ((n_frames - 1) * hop_length,) float32 audio; the same for the same input, every time.
    """
    magnitude = np.ascontiguousarray(magnitude.T) * np.float32(window_gain(params))
    phase, before = estimate_phase(magnitude, params), 0
    spectrum = np.empty(magnitude.shape, np.complex64)
    spectrum.real, spectrum.imag = magnitude * np.cos(phase), magnitude * np.sin(phase)
    frames = Frames(len(magnitude), params)
    for _ in range(ITERATIONS):
        rebuilt = frames.stft(frames.istft(spectrum))
        spectrum = rebuilt - np.float32(MOMENTUM / (1 + MOMENTUM)) * before
        spectrum *= magnitude / (np.abs(spectrum) + TINY)
        before = rebuilt
    return frames.istft(spectrum)[frames.inside]


class Frames:
    """STFT and inverse of a fixed number of frames; spectra are (n_frames, n_fft / 2 + 1).

    By torch's transforms: a third faster than scipy's, and on all cores. Samples lie in a padded
    array, zero before the middle of the first window and after that of the last.
    """

    def __init__(self, n_frames: int, params: SpectrogramParams):
        self.n_frames, self.n_fft, self.hop = n_frames, params.n_fft, params.hop_length
        # Periodic. scipy's is the same to the last bit, but takes a second to be imported.
        self.window = np.hanning(self.n_fft + 1)[:-1].astype(np.float32)
        length = (n_frames - 1) * params.hop_length
        self.inside = slice(self.n_fft // 2, self.n_fft // 2 + length)
        gain = self._overlap_add(np.broadcast_to(self.window**2, (n_frames, self.n_fft)))
        self.level = np.zeros_like(gain)  # 0 too where windows leave a gap
        np.divide(1, gain, out=self.level, where=gain > 1e-8)
        self.level[: self.inside.start] = self.level[self.inside.stop :] = 0

    def stft(self, samples: np.ndarray) -> np.ndarray:
        import torch

        windows = np.lib.stride_tricks.sliding_window_view(samples, self.n_fft)[:: self.hop]
        return torch.fft.rfft(torch.from_numpy(windows[: self.n_frames] * self.window)).numpy()

    def istft(self, spectrum: np.ndarray) -> np.ndarray:
        import torch

        frames = torch.fft.irfft(torch.from_numpy(spectrum), self.n_fft).numpy()
        return self._overlap_add(frames * self.window) * self.level

    def _overlap_add(self, frames: np.ndarray) -> np.ndarray:
        """Sum of frames (n_frames, n_fft) a hop apart: of their pieces a hop long."""
        pieces = -(-self.n_fft // self.hop)
        total = np.zeros((self.n_frames + pieces - 1, self.hop), np.float32)
        for piece in range(pieces):
            part = frames[:, piece * self.hop : (piece + 1) * self.hop]
            total[piece : piece + self.n_frames, : part.shape[1]] += part
        return total.reshape(-1)
