"""Networks that a user would take instead of ours; each stands where a `UNetConfig` may stand."""

from dataclasses import asdict, dataclass

import torch
from torch import nn


class ForeignConfig:
    """What the configurations of all networks of other libraries have in common."""

    condition = None

    def with_condition(self, condition: None) -> "ForeignConfig":
        """Itself: no benchmark has conditions."""
        return self

    def check_image_size(self, image_size: tuple[int, int]) -> None:
        """All sizes of these benchmarks fit."""

    def to_dict(self) -> dict:
        """Plain values for JSON."""
        return {"library": type(self).__name__} | asdict(self)


@dataclass(frozen=True)
class Diffusers(ForeignConfig):
    """A `UNet2DModel`; by default in the setting that is usual for audio."""

    channels: tuple[int, ...] = (128, 128, 256, 256, 512, 512)
    layers: int = 2
    attention: int = 4  # the level that has it, counted from 0
    groups: int = 32  # of its normalisation

    def build(self) -> "Foreign":
        """The network with random weights."""
        from diffusers import UNet2DModel

        down = ["DownBlock2D" for _ in self.channels]
        up = ["UpBlock2D" for _ in self.channels]
        down[self.attention], up[-1 - self.attention] = "AttnDownBlock2D", "AttnUpBlock2D"
        unet = UNet2DModel(
            in_channels=1,
            out_channels=1,
            layers_per_block=self.layers,
            block_out_channels=self.channels,
            norm_num_groups=self.groups,
            down_block_types=down,
            up_block_types=up,
        )
        return Foreign(self, unet)


@dataclass(frozen=True)
class DenoisingDiffusion(ForeignConfig):
    """The `Unet` of denoising-diffusion-pytorch."""

    width: int = 20

    def build(self) -> "Foreign":
        """The network with random weights."""
        from denoising_diffusion_pytorch import Unet

        return Foreign(self, Unet(dim=self.width, dim_mults=(1, 2, 4), channels=1))


class Foreign(nn.Module):
    """Another library's network under the signature of ours."""

    def __init__(self, config: ForeignConfig, unet: nn.Module):
        super().__init__()
        self.config, self.unet = config, unet

    def forward(self, x_t: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        out = self.unet(x_t, 1000 * time)
        return out if isinstance(out, torch.Tensor) else out.sample


SAME_SIZE = Diffusers((32, 56, 112), 1, 2, 8)  # parameters of our default network, to 4 %


def of_the_same_size() -> tuple[dict[str, ForeignConfig], str]:
    """Networks with about as many parameters as our default one, and why one is missing."""
    found = {"diffusers, same size": SAME_SIZE}
    try:
        import denoising_diffusion_pytorch  # noqa: F401
    except (ImportError, RuntimeError) as error:  # RuntimeError: torchvision for another torch
        return found, f"denoising-diffusion-pytorch cannot be imported here: {error}"
    return found | {"denoising-diffusion-pytorch, same size": DenoisingDiffusion()}, ""


def full_scores(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Attention as in the original project: with the matrix of all scores in memory."""
    return torch.softmax(q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5, dim=-1) @ v
