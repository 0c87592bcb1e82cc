"""Editing of a mel-spectrogram: variation (SDEdit), inpainting of a part of it, or of a word."""

from dataclasses import dataclass

import numpy as np
import torch

from ddpmlib.diffusion.process import Model, add_noise, noise_in, prediction_target
from ddpmlib.spectrogram.params import SpectrogramParams
from ddpmlib.text.alignment import Interval

ROUNDING = 1e-3  # of float16, in which data sets are stored
AROUND = 0.03  # seconds on both sides of a replaced word that are made anew, so that sounds join


@dataclass(frozen=True)
class Edit:
    """What `DDPM.sample` begins from, instead of pure noise.

    strength: share of the noise steps that the mel-spectrogram is noised by before it is denoised;
        a small one preserves the sentence, 1 nothing of it (Meng et al. 2022, "SDEdit").
    keep: True where the mel-spectrogram stays as it is. In each step the predicted x_0 is replaced
        there by it, so that the rest comes to fit (Song et al. 2021, "Score-Based Generative
        Modeling through SDEs", appendix I.2, with a noise that does not change). It fits best by
        "ddpm", whose fresh noise corrects what does not.

    Raises:
        ValueError: not one mel-spectrogram of values in [-1, 1], strength outside 0...1, or keep of
            another shape or type.
    """

    mel: np.ndarray  # (n_mels, n_frames) in [-1, 1]
    strength: float = 1.0
    keep: np.ndarray | None = None  # (n_mels, n_frames), or (n_frames,) for whole frames

    def __post_init__(self):
        mel = np.asarray(self.mel, np.float32)
        if mel.ndim < 2 or mel.size != np.prod(mel.shape[-2:]):
            raise ValueError(f"mel of shape {mel.shape}; needed: one, (n_mels, n_frames)")
        mel = mel.reshape(mel.shape[-2:])
        if bad := np.count_nonzero(~(np.abs(mel) <= 1 + ROUNDING)):
            raise ValueError(f"{bad} values of the mel are outside -1...1, or NaN")
        object.__setattr__(self, "mel", mel)
        if not 0 < self.strength <= 1:
            raise ValueError(f"strength is {self.strength}; it must be above 0 and at most 1")
        if self.keep is None:
            return
        keep = np.asarray(self.keep)
        if keep.dtype != bool:
            raise ValueError(f"keep is of type {keep.dtype}; needed: True or False")
        if keep.shape not in (mel.shape, mel.shape[1:], (1, *mel.shape)):
            needed = f"{mel.shape} or {mel.shape[1:]}"
            raise ValueError(f"keep is of shape {keep.shape}; needed: {needed}, as the mel")
        object.__setattr__(self, "keep", np.broadcast_to(keep, (1, *mel.shape))[0])

    def begin(self, noise: torch.Tensor, t: int, alpha_bar: torch.Tensor) -> torch.Tensor:
        """x_t to begin with, of the shape of the noise (batch, 1, n_mels, n_frames).

        Raises:
            ValueError: the noise is of another size than the mel-spectrogram.
        """
        if noise.shape[2:] != self.mel.shape:
            raise ValueError(f"mel of shape {self.mel.shape}; needed: {tuple(noise.shape[2:])}")
        if self.strength == 1:
            return noise
        return add_noise(self._like(noise), torch.full((len(noise),), t), noise, alpha_bar)

    def around(self, model: Model, alpha_bar: torch.Tensor, prediction_type: str) -> Model:
        """The model, with the exact prediction wherever `keep` is True."""
        if self.keep is None:
            return model

        def predict(x_t: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
            t = (time.cpu() * len(alpha_bar)).round().long()
            mel = self._like(x_t)
            noise = noise_in(x_t, mel, t, alpha_bar)
            exact = prediction_target(prediction_type, mel, t, noise, alpha_bar)
            keep = torch.from_numpy(self.keep.copy()).to(x_t.device)
            return torch.where(keep, exact, model(x_t, time).float())

        return predict

    def _like(self, x: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(self.mel).to(x).expand_as(x)


def replace_frames(
    mel: np.ndarray, cut: Interval, seconds: float, params: SpectrogramParams, frames: int
) -> Edit:
    """An edit that makes a part of a recording anew, shorter or longer, and keeps all else.

    Args:
        mel: (n_mels, n_frames) of the recording.
        cut: the part to be replaced.
        seconds: of what comes in its place.
        frames: of the result; what is behind the end of the recording is made anew too.
    """
    rate = params.sample_rate / params.hop_length
    mel = np.asarray(mel, np.float32).reshape(params.n_mels, -1)
    first = max(0, round((cut.start - AROUND) * rate))
    behind = min(mel.shape[1], round((cut.end + AROUND) * rate))
    resumed = behind + round((seconds - cut.seconds) * rate)
    rest = mel[:, behind : behind + max(0, frames - resumed)]
    filled = np.full((params.n_mels, frames), -1.0, np.float32)
    keep = np.zeros(frames, bool)
    filled[:, :first], keep[:first] = mel[:, :first], True
    filled[:, resumed : resumed + rest.shape[1]] = rest
    keep[resumed : resumed + rest.shape[1]] = True
    return Edit(filled, keep=keep)
