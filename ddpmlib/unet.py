"""The U-Net. `python -m ddpmlib.unet` checks it and prints size, operations, time and memory."""

import math
from dataclasses import asdict, dataclass, replace

import torch
from torch import nn
from torch.nn import functional

from ddpmlib.condition import Kind, kind_of, rows
from ddpmlib.encoders import encoder


@dataclass(frozen=True)
class UNetConfig:
    """Shape of the network; travels inside the weights."""

    width: int = 32  # channels at the finest level
    multipliers: tuple[int, ...] = (1, 2, 4)  # of width, one a level; each level halves the size
    blocks: int = 1  # residual blocks a level, on the way down and on the way up
    patch: int = 2  # pixels of a side that become channels before the first convolution
    heads: int = 4  # of the attention at the coarsest level
    dropout: float = 0.0  # share of values left out inside a residual block while training
    condition: Kind | None = None  # what it can be told besides picture and time

    def __post_init__(self):
        # JSON brings lists; a frozen dataclass is set through object.
        object.__setattr__(self, "multipliers", tuple(self.multipliers))
        if isinstance(self.condition, dict):
            object.__setattr__(self, "condition", kind_of(self.condition))
        if not isinstance(self.condition, Kind | None):
            needed = "Labels, Vectors, Tokens or None"
            raise ValueError(f"condition is {self.condition!r}; needed: {needed}")
        for name in ("width", "blocks", "patch", "heads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if not self.multipliers or any(type(m) is not int or m < 1 for m in self.multipliers):
            raise ValueError(
                f"multipliers is {self.multipliers}; it must be whole numbers of at least 1"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it must be at least 0 and below 1")
        if self.width % GROUPS or (self.width * self.multipliers[-1]) % self.heads:
            raise ValueError(
                f"width is {self.width}; it must be a multiple of {GROUPS} and, times "
                f"{self.multipliers[-1]}, of {self.heads} heads"
            )
        if self.condition and 4 * self.width % self.heads:
            raise ValueError(
                f"width is {self.width}; with a condition, four times that must be a multiple of "
                f"{self.heads} heads"
            )

    @property
    def factor(self) -> int:
        """Height and width of a picture must be multiples of this."""
        return self.patch * 2 ** (len(self.multipliers) - 1)

    def check_image_size(self, image_size: tuple[int, int]) -> None:
        """Raise ValueError naming the nearest sizes that work, unless both sides are divisible."""
        if any(side < self.factor or side % self.factor for side in image_size):
            near = tuple(max(1, round(side / self.factor)) * self.factor for side in image_size)
            raise ValueError(
                f"image_size {tuple(image_size)} cannot be halved {len(self.multipliers) - 1} "
                f"times in patches of {self.patch}: both sides must be multiples of {self.factor}, "
                f"such as {near}"
            )

    def told(self, condition: Kind | None) -> "UNetConfig":
        """The same network, which can be told something else, or nothing."""
        return replace(self, condition=condition)

    def build(self) -> "UNet":
        """The network with random weights."""
        return UNet(self)

    def to_dict(self) -> dict:
        """Plain values for JSON."""
        return asdict(self)


GROUPS = 8  # of group normalisation


class UNet(nn.Module):
    """Predicts a target (noise, picture or velocity) from a noisy picture and its time.

    After Ho et al. 2020 (residual blocks, skips) and Dhariwal & Nichol 2021 (scale and shift by
    time, zero-initialised ends). Pictures are cut into patches by pixel unshuffle, so that no
    convolution runs at full size; attention sees the coarsest level only.

    Input: x_t (batch, 1, height, width), time (batch,) in [0, 1], and for a network with a
    condition its rows (batch, ...), see `ddpmlib.condition`; None says nothing. Output: shape of
    x_t.

    Raises:
        ValueError: height or width is not a multiple of `config.factor`.
    """

    def __init__(self, config: UNetConfig | None = None):
        super().__init__()
        self.config = config = config or UNetConfig()
        widths = [config.width * m for m in config.multipliers]
        embedding = 4 * config.width
        self.time = TimeEmbedding(config.width, embedding)
        # One channel more than the patch: the height on the mel axis. Convolutions treat every
        # band alike, speech does not (Liu et al. 2018, CoordConv).
        self.stem = nn.Conv2d(config.patch**2 + 1, widths[0], 3, padding=1)
        self.downs, self.ups, skips = nn.ModuleList(), nn.ModuleList(), []
        channels = widths[0]
        for level, width in enumerate(widths):
            for _ in range(config.blocks):
                self.downs.append(ResidualBlock(channels, width, embedding, config.dropout))
                channels = width
                skips.append(channels)
            if level < len(widths) - 1:
                self.downs.append(nn.Conv2d(channels, channels, 3, stride=2, padding=1))
        self.middle = nn.ModuleList(
            [
                ResidualBlock(channels, channels, embedding, config.dropout),
                Attention(channels, config.heads),
                ResidualBlock(channels, channels, embedding, config.dropout),
            ]
        )
        for level, width in reversed(list(enumerate(widths))):
            for _ in range(config.blocks):
                channels += skips.pop()
                self.ups.append(ResidualBlock(channels, width, embedding, config.dropout))
                channels = width
            if level > 0:
                self.ups.append(Upsample(channels))
        self.norm = nn.GroupNorm(GROUPS, channels)
        self.head = nn.Conv2d(channels, config.patch**2, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        if config.condition:  # last: whatever is told, all else starts with the same weights
            self.condition = encoder(config.condition, embedding, widths[-1], config.heads)

    def forward(
        self, x_t: torch.Tensor, time: torch.Tensor, condition: torch.Tensor | None = None
    ) -> torch.Tensor:
        self.config.check_image_size(x_t.shape[-2:])
        embedding = self.time(time)
        if kind := self.config.condition:
            condition = rows(kind, None, len(x_t)) if condition is None else condition
            said, context = self.condition(condition.to(x_t.device))
            embedding = embedding + said
        x = functional.pixel_unshuffle(x_t, self.config.patch)
        height = torch.linspace(-1, 1, x.shape[2], device=x.device, dtype=x.dtype)
        height = height.view(1, 1, -1, 1).expand(len(x), 1, -1, x.shape[3])
        x = torch.cat([x, height], dim=1)
        x = self.stem(x.contiguous(memory_format=torch.channels_last))
        skips = []
        for layer in self.downs:
            if isinstance(layer, ResidualBlock):
                x = layer(x, embedding)
                skips.append(x)
            else:
                x = layer(x)
        first, attention, second = self.middle
        x = attention(first(x, embedding))
        if kind:
            x = self.condition.attend(x, context)
        x = second(x, embedding)
        for layer in self.ups:
            if isinstance(layer, ResidualBlock):
                x = layer(torch.cat([x, skips.pop()], dim=1), embedding)
            else:
                x = layer(x)
        x = self.head(functional.silu(self.norm(x)))
        return functional.pixel_shuffle(x, self.config.patch).contiguous()


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
    """Two 3x3 convolutions; time scales and shifts between them; starts as the identity."""

    def __init__(self, channels: int, out: int, embedding: int, dropout: float = 0.0):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.norm1, self.norm2 = nn.GroupNorm(GROUPS, channels), nn.GroupNorm(GROUPS, out)
        self.conv1 = nn.Conv2d(channels, out, 3, padding=1)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1)
        self.time = nn.Linear(embedding, 2 * out)
        self.skip = nn.Conv2d(channels, out, 1) if channels != out else nn.Identity()
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        hidden = self.conv1(functional.silu(self.norm1(x)))
        scale, shift = self.time(functional.silu(embedding))[:, :, None, None].chunk(2, dim=1)
        hidden = torch.addcmul(shift, self.norm2(hidden), 1 + scale)
        return self.skip(x) + self.conv2(self.dropout(functional.silu(hidden)))


class Attention(nn.Module):
    """Self-attention over all places of a picture (batch, channels, height, width)."""

    def __init__(self, channels: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(GROUPS, channels)
        self.to_qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, channels, height, width = x.shape
        qkv = self.to_qkv(self.norm(x)).flatten(2).transpose(1, 2)
        shape = (batch, height * width, self.heads, channels // self.heads)
        q, k, v = (part.reshape(shape).transpose(1, 2) for part in qkv.chunk(3, dim=2))
        mixed = functional.scaled_dot_product_attention(q, k, v)
        mixed = mixed.transpose(1, 2).reshape(batch, height, width, channels)
        return x + self.out(mixed.permute(0, 3, 1, 2))


class Upsample(nn.Module):
    """Twice the height and width: nearest neighbour, then a 3x3 convolution."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(functional.interpolate(x, scale_factor=2.0, mode="nearest"))


if __name__ == "__main__":
    from ddpmlib.cost import main

    main()
