"""Blocks of the U-Net."""

import math

import torch
from torch import nn
from torch.nn import functional

from ddpmlib.models.encoders import zeroed

GROUPS = 8  # of group normalisation


class TimeEmbedding(nn.Module):
    """Time (batch,) in [0, 1] -> (batch, out): sinusoids (Vaswani et al. 2017), then two layers."""

    def __init__(self, size: int, out: int):
        super().__init__()
        frequencies = torch.exp(-math.log(10_000) * torch.arange(size // 2) / (size // 2))
        # Times count as thousandths, whatever the number of noise steps in training.
        self.register_buffer("frequencies", 1000 * frequencies, persistent=False)
        self.layers = nn.Sequential(nn.Linear(size, out), nn.SiLU(), nn.Linear(out, out))

    def forward(self, time: torch.Tensor) -> torch.Tensor:
        angles = time.float()[:, None] * self.frequencies[None]
        return self.layers(torch.cat([angles.sin(), angles.cos()], dim=1))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions; time scales and shifts between them; begins as the identity."""

    def __init__(self, channels: int, out: int, embedding: int, dropout: float = 0.0):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.norm1, self.norm2 = nn.GroupNorm(GROUPS, channels), nn.GroupNorm(GROUPS, out)
        self.conv1 = nn.Conv2d(channels, out, 3, padding=1)
        self.conv2 = zeroed(nn.Conv2d(out, out, 3, padding=1))
        self.time = nn.Linear(embedding, 2 * out)
        self.skip = nn.Conv2d(channels, out, 1) if channels != out else nn.Identity()

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        hidden = self.conv1(functional.silu(self.norm1(x)))
        scale, shift = self.time(functional.silu(embedding))[:, :, None, None].chunk(2, dim=1)
        hidden = torch.addcmul(shift, self.norm2(hidden), 1 + scale)
        return self.skip(x) + self.conv2(self.dropout(functional.silu(hidden)))


class Attention(nn.Module):
    """Self-attention over all pixels of x (batch, channels, height, width), residual."""

    def __init__(self, channels: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(GROUPS, channels)
        self.to_qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = zeroed(nn.Conv2d(channels, channels, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, channels, height, width = x.shape
        qkv = self.to_qkv(self.norm(x)).flatten(2).transpose(1, 2)
        q, k, v = qkv.unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v)
        mixed = mixed.transpose(1, 2).reshape(batch, height, width, channels)
        return x + self.out(mixed.permute(0, 3, 1, 2))


class Upsample(nn.Module):
    """Twice the height and width: nearest neighbour, then a 3x3 convolution.

    Done as one transposed convolution of the small image, whose 4x4 kernel holds sums of the 3x3
    one's rows and columns, since pixels that are alike meet in them: 4 products for 9.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, second, third = self.conv.weight.unbind(2)
        rows = torch.stack([third, second + third, first + second, first], dim=2)
        first, second, third = rows.unbind(3)
        kernel = torch.stack([third, second + third, first + second, first], dim=3)
        transposed = kernel.transpose(0, 1)
        return functional.conv_transpose2d(x, transposed, self.conv.bias, stride=2, padding=1)
