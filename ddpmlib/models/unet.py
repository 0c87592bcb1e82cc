"""The U-Net. `python -m ddpmlib.models.unet` checks it on random data and prints its profile."""

import argparse
from dataclasses import asdict, dataclass, replace

import torch
from torch import nn
from torch.nn import functional

from ddpmlib.models.condition import ConditionSpec, condition_spec
from ddpmlib.models.condition_rows import null_conditions
from ddpmlib.models.encoders import TimeEmbedding, encoder, zeroed
from ddpmlib.models.profile import describe, profile_network

GROUPS = 8  # of group normalisation


@dataclass(frozen=True)
class UNetConfig:
    """Shape of the network; travels inside the weights."""

    width: int = 32  # channels at the finest level
    multipliers: tuple[int, ...] = (1, 2, 4)  # of width, one a level; each level halves the size
    blocks: int = 1  # residual blocks a level, on the way down and on the way up
    patch: int = 2  # pixels of a side that become channels before the first convolution
    heads: int = 4  # of the attention at the coarsest level
    dropout: float = 0.0  # share of values dropped inside a residual block while training
    condition: ConditionSpec | None = None  # what it is conditioned on beside x_t and time

    def __post_init__(self):
        # JSON brings lists and dicts; a frozen dataclass is set through object.
        object.__setattr__(self, "multipliers", tuple(self.multipliers))
        if isinstance(self.condition, dict):
            object.__setattr__(self, "condition", condition_spec(self.condition))
        if not isinstance(self.condition, ConditionSpec | None):
            needed = "a condition of ddpmlib.models.condition, or None"
            raise ValueError(f"condition is {self.condition!r}; needed: {needed}")
        for name in ("width", "blocks", "patch", "heads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if not self.multipliers or any(type(m) is not int or m < 1 for m in self.multipliers):
            needed = "whole numbers of at least 1"
            raise ValueError(f"multipliers is {self.multipliers}; it must be {needed}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it must be at least 0 and below 1")
        last, heads = self.multipliers[-1], self.heads
        if self.width % GROUPS or self.width * last % heads:
            needed = f"a multiple of {GROUPS} and, times {last}, of {heads} heads"
            raise ValueError(f"width is {self.width}; it must be {needed}")
        if self.condition and 4 * self.width % heads:
            needed = f"with a condition, four times that must be a multiple of {heads} heads"
            raise ValueError(f"width is {self.width}; {needed}")

    @property
    def factor(self) -> int:
        """Height and width of x_t must be multiples of this."""
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

    def with_condition(self, condition: ConditionSpec | None) -> "UNetConfig":
        """The same network with another condition, or unconditional."""
        return replace(self, condition=condition)

    def build(self) -> "UNet":
        """The network with random weights."""
        return UNet(self)

    def to_dict(self) -> dict:
        """Plain values for JSON."""
        return asdict(self)


class UNet(nn.Module):
    """Predicts noise, x_0 or velocity from a noisy mel-spectrogram and its time.

    After Ho et al. 2020 (residual blocks, skips) and Dhariwal & Nichol 2021 (scale and shift by
    time, zero-initialised ends). Pixel unshuffle makes channels of 2x2 patches, so that no
    convolution runs at full size; attention sees the coarsest level only.

    Input: x_t (batch, 1, height, width), time (batch,) in [0, 1], and the condition (batch, ...) of
    a conditional network, see `models.condition`, None for the null condition. Output: as x_t; and
    `with_mean` (only with a PhoneCondition) the mel-spectrogram that its encoder expects.

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
        first = ResidualBlock(channels, channels, embedding, config.dropout)
        attention = Attention(channels, config.heads)
        second = ResidualBlock(channels, channels, embedding, config.dropout)
        self.middle = nn.ModuleList([first, attention, second])
        for level, width in reversed(list(enumerate(widths))):
            for _ in range(config.blocks):
                channels += skips.pop()
                self.ups.append(ResidualBlock(channels, width, embedding, config.dropout))
                channels = width
            if level > 0:
                self.ups.append(Upsample(channels))
        self.norm = nn.GroupNorm(GROUPS, channels)
        self.head = zeroed(nn.Conv2d(channels, config.patch**2, 3, padding=1))
        if spec := config.condition:  # last, so that all else begins as without a condition
            self.condition = encoder(spec, embedding, widths, config.heads, config.patch)

    def forward(
        self,
        x_t: torch.Tensor,
        time: torch.Tensor,
        condition: torch.Tensor | None = None,
        with_mean: bool = False,
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        self.config.check_image_size(x_t.shape[-2:])
        embedding = self.time(time)
        if spec := self.config.condition:
            if condition is None:
                condition = null_conditions(spec, 1, x_t.shape[-1])  # the same for all rows
            encoded, context = self.condition(condition.to(x_t.device))
            embedding = embedding + encoded
        x = functional.pixel_unshuffle(x_t, self.config.patch)
        height = torch.linspace(-1, 1, x.shape[2], device=x.device, dtype=x.dtype)
        height = height.view(1, 1, -1, 1).expand(len(x), 1, -1, x.shape[3])
        x = torch.cat([x, height], dim=1)
        x = self.stem(x.contiguous(memory_format=torch.channels_last))
        if spec:
            x = self.condition.enter(x, context)
        skips = []
        for layer in self.downs:
            if isinstance(layer, ResidualBlock):
                x = layer(x, embedding)
                skips.append(x)
            else:
                x = layer(x)
        first, attention, second = self.middle
        x = attention(first(x, embedding))
        if spec:
            x = self.condition.attend(x, context)
        x = second(x, embedding)
        for layer in self.ups:
            if isinstance(layer, ResidualBlock):
                x = layer(torch.cat([x, skips.pop()], dim=1), embedding)
            else:
                x = layer(x)
        x = self.head(functional.silu(self.norm(x)))
        x = functional.pixel_shuffle(x, self.config.patch).contiguous()
        return (x, context[1]) if with_mean else x


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

    Done as one transposed convolution of the small image: where equal pixels meet, their weights
    are summed before, in a kernel of 4x4 of which each new pixel sees 2x2. 4 products for 9.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kernel = self.conv.weight.transpose(0, 1)
        for side in (2, 3):
            first, second, third = kernel.unbind(side)
            kernel = torch.stack([third, second + third, first + second, first], dim=side)
        return functional.conv_transpose2d(x, kernel, self.conv.bias, stride=2, padding=1)


def check(image_size: tuple[int, int] = (64, 256), width: int = 32) -> str:
    """Run a network forward on random data, train it for some steps, and describe its profile.

    Raises:
        ValueError: a size or width that does not fit; names those that do.
    """
    config = UNetConfig(width=width)
    config.check_image_size(image_size)
    network, x_t = config.build(), torch.randn(2, 1, *image_size)
    with torch.no_grad():
        shape = network(x_t, torch.rand(2)).shape
    shapes = f"in {tuple(x_t.shape)}, out {tuple(shape)}"
    return f"{shapes}\n{describe(profile_network(network, image_size), image_size)}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser("python -m ddpmlib.models.unet", description=check.__doc__)
    parser.add_argument("--image-size", type=int, nargs=2, default=(64, 256))
    try:
        print(check(tuple(parser.parse_args().image_size)))
    except ValueError as error:
        raise SystemExit(str(error)) from None
