"""Begin from a picture that is there: vary it, or keep a part of it and invent the rest."""

from dataclasses import dataclass

import numpy as np
import torch

from ddpmlib.diffusion import Model, add_noise, noise_in, target_of

ROUNDING = 1e-3  # of float16, in which pictures are kept


@dataclass(frozen=True)
class Edit:
    """What `DDPM.sample` begins from, instead of pure noise.

    strength: share of the way to pure noise that the picture goes before it is denoised; a little
        keeps the sentence, 1 keeps nothing (Meng et al. 2022, "SDEdit").
    keep: True where the picture stays as it is. In each step the network's idea of the finished
        picture is replaced there by the picture, so that what is invented comes to fit (Song et al.
        2021, "Score-Based Generative Modeling through SDEs", appendix I.2, with a noise that does
        not change). It fits best by "ddpm", whose fresh noise lets it mend what does not.

    Raises:
        ValueError: not one picture of values in [-1, 1], strength outside 0...1, or keep of another
            shape or type.
    """

    picture: np.ndarray  # (n_mels, frames) in [-1, 1]
    strength: float = 1.0
    keep: np.ndarray | None = None  # (n_mels, frames), or (frames,) for whole moments

    def __post_init__(self):
        picture = np.asarray(self.picture, np.float32)
        shape = picture.shape
        if len(shape) < 2 or picture.size != shape[-2] * shape[-1]:
            raise ValueError(f"picture of shape {shape}; needed: one, (n_mels, frames)")
        picture = picture.reshape(shape[-2:])
        if bad := np.count_nonzero(~(np.abs(picture) <= 1 + ROUNDING)):
            raise ValueError(f"{bad} values of the picture are outside -1...1, or NaN")
        object.__setattr__(self, "picture", picture)
        if not 0 < self.strength <= 1:
            raise ValueError(f"strength is {self.strength}; it must be above 0 and at most 1")
        if self.keep is None:
            return
        keep = np.asarray(self.keep)
        if keep.dtype != bool:
            raise ValueError(f"keep is of type {keep.dtype}; needed: True or False")
        if keep.shape not in (picture.shape, picture.shape[1:], (1, *picture.shape)):
            needed = f"{picture.shape} or {picture.shape[1:]}"
            raise ValueError(f"keep is of shape {keep.shape}; needed: {needed}, as the picture")
        object.__setattr__(self, "keep", np.broadcast_to(keep, (1, *picture.shape))[0])

    def begin(self, noise: torch.Tensor, t: int, alpha_bar: torch.Tensor) -> torch.Tensor:
        """The noisy picture to begin with, of the shape of the noise (batch, 1, n_mels, frames).

        Raises:
            ValueError: the noise is of another size than the picture.
        """
        if noise.shape[2:] != self.picture.shape:
            wanted = tuple(noise.shape[2:])
            raise ValueError(f"picture of shape {self.picture.shape}; needed: {wanted}")
        if self.strength == 1:
            return noise
        return add_noise(self._like(noise), torch.full((len(noise),), t), noise, alpha_bar)

    def around(self, model: Model, alpha_bar: torch.Tensor, target: str) -> Model:
        """A model that says what it must where the picture is kept."""
        if self.keep is None:
            return model

        def predict(x_t: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
            t = (time.cpu() * len(alpha_bar)).round().long()
            picture = self._like(x_t)
            wanted = target_of(target, picture, t, noise_in(x_t, picture, t, alpha_bar), alpha_bar)
            keep = torch.from_numpy(self.keep.copy()).to(x_t.device)
            return torch.where(keep, wanted, model(x_t, time).float())

        return predict

    def _like(self, x: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(self.picture).to(x).expand_as(x)
