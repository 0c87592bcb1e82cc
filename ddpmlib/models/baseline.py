"""The original project's network and training recipe, to be compared with.

Made trainable on what people have: attention through `scaled_dot_product_attention` instead of
full score matrices, and a schedule that ends in noise. All else is as it was.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from ddpmlib.models.encoders import sinusoids

EMBEDDING, HEADS, FACTOR = 256, 4, 8
# What `TrainConfig` needs for the original's training: no average, no clipping, no warm-up. Only
# the learning rate falls here, where it was constant there.
RECIPE = {"batch_size": 5, "learning_rate": 3e-4, "prediction_type": "eps", "schedule": "linear"}
RECIPE |= {"optimizer": "adam", "ema_decay": 0.0, "clip_norm": 1e9, "warmup_steps": 1}
RECIPE |= {"time_sampling": "uniform"}


@dataclass(frozen=True)
class BaselineConfig:
    """Stands where a `UNetConfig` may stand; there is nothing to choose."""

    condition = None

    def with_condition(self, condition: None) -> "BaselineConfig":
        """Itself: it is always unconditional.

        Raises:
            ValueError: a condition is given.
        """
        if condition is not None:
            raise ValueError(f"condition is {condition}; needed: None for the baseline network")
        return self

    def build(self) -> "BaselineUNet":
        """The network with random weights."""
        return BaselineUNet()

    def check_image_size(self, image_size: tuple[int, int]) -> None:
        """Raise ValueError unless both sides can be halved three times."""
        if any(side < FACTOR or side % FACTOR for side in image_size):
            raise ValueError(f"image_size is {image_size}; needed: multiples of {FACTOR}")

    def to_dict(self) -> dict:
        """Plain values for JSON."""
        return {"original": True}


class BaselineUNet(nn.Module):
    """A U-Net with self-attention over all pixels at every level; 23.3 million parameters.

    Input and output as those of `models.unet.UNet`; height and width are multiples of 8.
    """

    def __init__(self):
        super().__init__()
        self.config = BaselineConfig()
        self.stem = DoubleConvolution(1, 64)
        self.downs = nn.ModuleList([Level(64, 128), Level(128, 256), Level(256, 256)])
        middle = [(256, 512), (512, 512), (512, 256)]
        self.middle = nn.Sequential(*(DoubleConvolution(*sizes) for sizes in middle))
        ups = [(512, 128, 256), (256, 64, 128), (128, 64, 64)]
        self.ups = nn.ModuleList(Level(*sizes) for sizes in ups)
        self.down_attention = nn.ModuleList(map(Attention, (128, 256, 256)))
        self.up_attention = nn.ModuleList(map(Attention, (128, 64, 64)))
        self.head = nn.Conv2d(64, 1, 1)

    def forward(self, x_t: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        embedding = sinusoids(1000 * time, EMBEDDING)
        x, skips = self.stem(x_t.contiguous(memory_format=torch.channels_last)), []
        for level, attention in zip(self.downs, self.down_attention, strict=True):
            skips.append(x)
            x = attention(level(functional.max_pool2d(x, 2), embedding))
        x = self.middle(x)
        for level, attention in zip(self.ups, self.up_attention, strict=True):
            x = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
            x = attention(level(torch.cat([skips.pop(), x], dim=1), embedding))
        return self.head(x).contiguous()


class DoubleConvolution(nn.Sequential):
    """Two 3x3 convolutions without bias, each normalised over all its channels."""

    def __init__(self, channels: int, out: int, between: int = 0):
        between = between or out
        super().__init__(
            nn.Conv2d(channels, between, 3, padding=1, bias=False),
            nn.GroupNorm(1, between),
            nn.GELU(),
            nn.Conv2d(between, out, 3, padding=1, bias=False),
            nn.GroupNorm(1, out),
        )


class Level(nn.Module):
    """A residual double convolution, one to another width, and the time added."""

    def __init__(self, channels: int, out: int, between: int = 0):
        super().__init__()
        self.residual = DoubleConvolution(channels, channels)
        self.convolution = DoubleConvolution(channels, out, between)
        self.time = nn.Linear(EMBEDDING, out)

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        x = self.convolution(functional.gelu(x + self.residual(x)))
        return x + self.time(functional.silu(embedding))[:, :, None, None]


class Attention(nn.Module):
    """Self-attention over all pixels and two linear layers, both residual."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.qkv, self.out = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)
        layers = nn.Linear(channels, channels), nn.GELU(), nn.Linear(channels, channels)
        self.layers = nn.Sequential(nn.LayerNorm(channels), *layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pixels = x.flatten(2).transpose(1, 2)
        heads = self.qkv(self.norm(pixels)).unflatten(2, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        # Not nn.MultiheadAttention: without gradients it builds the matrix of all scores again.
        attended = functional.scaled_dot_product_attention(*heads)
        pixels = pixels + self.out(attended.transpose(1, 2).flatten(2))
        pixels = pixels + self.layers(pixels)
        return pixels.transpose(1, 2).reshape(x.shape)
