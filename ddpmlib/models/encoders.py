"""How time and a condition enter the U-Net: the condition added to the time embedding, sequences by
cross-attention, and phones as channels beside x_t, frame by frame.

All encoders begin without effect, so that training goes on from the weights of an unconditional
network.
"""

import math

import torch
from torch import nn
from torch.nn import functional

from ddpmlib.models.condition import (
    ClassCondition,
    ConditionSpec,
    EmbeddingCondition,
    PhoneCondition,
    TextCondition,
)
from ddpmlib.text.durations import DurationPredictor
from ddpmlib.text.frames import FEATURES

RATES = 10_000.0  # between the fastest and the slowest sinusoid
POSITIONS = 1000.0  # from the beginning of a text or mel-spectrogram to the end of the longest
SIZE, BLOCKS, KERNEL = 128, 4, 5  # of the 1-D network over frames
IMAGES, COLUMNS = 4, 16  # channels with a value for each band, and with one for all bands
LOG_SECONDS, SPREAD = -2.6, 0.6  # mean and deviation of the logarithm of a phone's seconds
MEAN_WEIGHT = 0.3  # of the loss of the mean mel-spectrogram, beside that of the network


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


class Encoder(nn.Module):
    """A network that encodes a condition.

    Its `forward` makes of a condition (batch, *spec.shape) what is added to the time embedding
    (batch, embedding), and a context for `enter` and `attend`. Batch may be 1, for all rows of x.
    """

    def enter(self, x: torch.Tensor, context) -> torch.Tensor:
        """x (batch, width, height, width) after the first convolution, perhaps with more in it."""
        return x

    def attend(self, x: torch.Tensor, context) -> torch.Tensor:
        """x (batch, channels, height, width) of the coarsest level, perhaps with more in it."""
        return x


def encoder(spec: ConditionSpec, embedding: int, widths: list[int], heads: int, patch: int):
    """The `Encoder` of a condition, for a U-Net of these widths."""
    channels = widths[-1]
    if isinstance(spec, PhoneCondition):
        return PhoneEncoder(spec, patch, widths[0])
    if isinstance(spec, ClassCondition):
        return ClassEncoder(spec, embedding)
    if isinstance(spec, EmbeddingCondition) and not spec.length:
        return EmbeddingEncoder(spec, embedding)
    return SequenceEncoder(spec, embedding, channels, heads)


class ClassEncoder(Encoder):
    """An embedding for each class, and one for the null condition."""

    def __init__(self, spec: ClassCondition, embedding: int):
        super().__init__()
        self.table = nn.Embedding(spec.n + 1, embedding)
        nn.init.zeros_(self.table.weight)

    def forward(self, condition: torch.Tensor) -> tuple[torch.Tensor, None]:
        last = self.table.num_embeddings - 1
        return self.table(condition.where(condition >= 0, last)), None


class EmbeddingEncoder(Encoder):
    """A projection of a vector, and a learned vector for the null condition."""

    def __init__(self, spec: EmbeddingCondition, embedding: int):
        super().__init__()
        self.project = zeroed(nn.Linear(spec.dim, embedding))
        self.nothing = nn.Parameter(torch.zeros(embedding))  # null condition; a name in the weights

    def forward(self, condition: torch.Tensor) -> tuple[torch.Tensor, None]:
        known = ~condition.isnan().any(dim=1, keepdim=True)
        projected = self.project(condition.nan_to_num())
        return torch.where(known, projected, self.nothing.to(projected)), None


class SequenceEncoder(Encoder):
    """Characters or vectors through one transformer layer (Vaswani et al. 2017).

    A learned first token gathers what is added to the time embedding (Nichol et al. 2021, "GLIDE"),
    and is all there is of the null condition. The coarsest level of the U-Net sees the sequence by
    cross-attention. Positions in the longest text and columns of the mel-spectrogram are counted
    alike, since speech and text run in the same direction.
    """

    def __init__(
        self, spec: TextCondition | EmbeddingCondition, embedding: int, channels: int, heads: int
    ):
        super().__init__()
        self.spec, self.heads = spec, heads
        if isinstance(spec, TextCondition):
            self.read = nn.Embedding(len(spec.alphabet) + 1, embedding)
        else:
            self.read = nn.Linear(spec.dim, embedding)
        self.begin = nn.Parameter(torch.randn(1, 1, embedding))
        options = {"dropout": 0.0, "activation": "gelu", "batch_first": True, "norm_first": True}
        self.layer = nn.TransformerEncoderLayer(embedding, heads, 2 * embedding, **options)
        self.norm = nn.LayerNorm(embedding)
        self.beside = zeroed(nn.Linear(embedding, embedding))
        self.norm_x = nn.GroupNorm(1, channels)
        self.column = nn.Linear(embedding, channels)
        self.to_q, self.to_kv = nn.Linear(channels, channels), nn.Linear(embedding, 2 * channels)
        self.out = zeroed(nn.Linear(channels, channels))

    def forward(self, condition: torch.Tensor) -> tuple[torch.Tensor, tuple]:
        if isinstance(self.spec, TextCondition):
            padding, tokens = condition == self.spec.null, self.read(condition)
        else:
            padding, tokens = condition.isnan().any(dim=2), self.read(condition.nan_to_num())
        tokens = tokens + positions(tokens.shape[1], tokens.shape[2]).to(tokens)
        tokens = torch.cat([self.begin.to(tokens).expand(len(tokens), -1, -1), tokens], dim=1)
        padding = functional.pad(padding, (1, 0), value=False)
        tokens = self.norm(self.layer(tokens, src_key_padding_mask=padding))
        return self.beside(tokens[:, 0]), (tokens, ~padding)

    def attend(self, x: torch.Tensor, context: tuple) -> torch.Tensor:
        tokens, present = context
        batch, channels, height, width = x.shape
        columns = self.column(positions(width, self.column.in_features).to(tokens))
        pixels = self.norm_x(x).permute(0, 2, 3, 1) + columns
        q = self.to_q(pixels).reshape(batch, height * width, self.heads, -1).transpose(1, 2)
        kv = self.to_kv(tokens).expand(batch, -1, -1)
        k, v = kv.unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v, present[:, None, None])
        mixed = mixed.transpose(1, 2).reshape(batch, height, width, channels)
        return x + self.out(mixed).permute(0, 3, 1, 2)


class PhoneEncoder(Encoder):
    """A 1-D network over frames, whose output joins the mel-spectrogram in the first convolution.

    The first of its images is also trained to be the mel-spectrogram itself, which makes the phones
    known to the network from the first steps on (the prior of Popov et al. 2021, "Grad-TTS", here a
    channel and not the mean of the noise). Where no phone is known, nothing is added: with the null
    condition the network is the unconditional one of the same weights.
    """

    def __init__(self, spec: PhoneCondition, patch: int, width: int):
        super().__init__()
        self.n_mels, self.patch = spec.n_mels, patch
        self.table = nn.Embedding(len(spec.names) + 1, SIZE)
        self.unknown = nn.Parameter(torch.zeros(SIZE))
        self.first = nn.Linear(SIZE + FEATURES - 1, SIZE)
        self.blocks = nn.ModuleList(FrameBlock(SIZE) for _ in range(BLOCKS))
        self.images = nn.Linear(SIZE, IMAGES * spec.n_mels)
        self.columns = nn.Linear(SIZE, COLUMNS)
        self.durations = DurationPredictor(spec.names)  # fitted before, see `text.durations`
        self.merge = zeroed(nn.Conv2d(IMAGES * patch**2 + COLUMNS, width, 3, padding=1))

    def forward(self, condition: torch.Tensor) -> tuple[int, tuple]:
        """Nothing beside the time; the context is what joins x (batch, width, n_mels / patch,
        n_frames / patch), and the mean mel-spectrogram (batch, 1, n_mels, n_frames)."""
        known = ~condition[..., :1].isnan()
        indices, position, seconds = condition.nan_to_num().unbind(dim=-1)
        x = torch.where(known, self.table(indices.long()), self.unknown)
        seconds = (seconds - LOG_SECONDS) / SPREAD * (indices > 0)
        x = self.first(torch.cat([x, position[..., None], seconds[..., None]], dim=-1))
        x = x.transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        x = x.transpose(1, 2)
        images = self.images(x).unflatten(2, (IMAGES, self.n_mels)).permute(0, 2, 3, 1)
        patches = functional.pixel_unshuffle(images, self.patch)
        columns = functional.avg_pool1d(self.columns(x).transpose(1, 2), self.patch)
        columns = columns[:, :, None].expand(-1, -1, patches.shape[2], -1)
        channels = torch.cat([patches, columns], dim=1)
        channels = self.merge(channels.contiguous(memory_format=torch.channels_last))
        share = functional.avg_pool1d(known.to(channels).transpose(1, 2), self.patch)
        return 0, (channels * share[:, :, None], images[:, :1])

    def enter(self, x: torch.Tensor, context: tuple) -> torch.Tensor:
        return x + context[0]


class FrameBlock(nn.Module):
    """Two 1-D convolutions over frames, residual; begins as the identity."""

    def __init__(self, size: int):
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(8, size), nn.GroupNorm(8, size)
        self.conv1 = nn.Conv1d(size, size, KERNEL, padding=KERNEL // 2)
        self.conv2 = zeroed(nn.Conv1d(size, size, KERNEL, padding=KERNEL // 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.conv1(functional.silu(self.norm1(x)))
        return x + self.conv2(functional.silu(self.norm2(hidden)))


def known_frames(condition: torch.Tensor) -> torch.Tensor:
    """Number of frames whose phone is known, of conditions (batch, n_frames, FEATURES)."""
    return (~condition[..., 0].isnan()).sum().float()


def mean_mel_loss(
    mean: torch.Tensor, x_0: torch.Tensor, condition: torch.Tensor, frames: torch.Tensor
) -> torch.Tensor:
    """MEAN_WEIGHT times the squared error of a mean mel-spectrogram, over all known frames.

    Args:
        mean, x_0: (batch, 1, n_mels, n_frames).
        condition: (batch, n_frames, FEATURES).
        frames: the number of `known_frames`; of several processes, its mean.
    """
    known = ~condition[:, None, None, :, 0].isnan()
    error = (mean.float() - x_0).square() * known
    return MEAN_WEIGHT * error.sum() / (frames * x_0.shape[2]).clamp(min=1)


def zeroed(layer: nn.Module) -> nn.Module:
    """A layer that begins as zero."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def positions(count: int, size: int) -> torch.Tensor:
    """Sinusoids (count, size) of the middles of equal parts of a text or mel-spectrogram."""
    return sinusoids((torch.arange(count) + 0.5) * (POSITIONS / count), size)


def sinusoids(at: torch.Tensor, size: int) -> torch.Tensor:
    """Positions (n,) -> (n, size), Vaswani et al. 2017, section 3.5."""
    half = size // 2
    angles = at[:, None] * RATES ** (-torch.arange(half, device=at.device) / half)
    return torch.cat([angles.sin(), angles.cos()], dim=1)
