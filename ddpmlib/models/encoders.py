"""How a condition enters the U-Net: added to the time embedding, and sequences by cross-attention.

All encoders begin without effect, so that training goes on from the weights of an unconditional
network.
"""

import torch
from torch import nn
from torch.nn import functional

from ddpmlib.models.condition import (
    ClassCondition,
    ConditionSpec,
    EmbeddingCondition,
    TextCondition,
)

RATES = 10_000.0  # between the fastest and the slowest sinusoid
POSITIONS = 1000.0  # from the beginning of a text or mel-spectrogram to the end of the longest


def encoder(spec: ConditionSpec, embedding: int, channels: int, heads: int) -> nn.Module:
    """The network that encodes a condition.

    Its `forward` makes of a condition (batch, *spec.shape) what is added to the time embedding
    (batch, embedding), and a context, None without cross-attention; its `attend` adds to x (batch,
    channels, height, width) what it finds in the context.
    """
    if isinstance(spec, ClassCondition):
        return ClassEncoder(spec, embedding)
    if isinstance(spec, EmbeddingCondition) and not spec.length:
        return EmbeddingEncoder(spec, embedding)
    return SequenceEncoder(spec, embedding, channels, heads)


class ClassEncoder(nn.Module):
    """An embedding for each class, and one for the null condition."""

    def __init__(self, spec: ClassCondition, embedding: int):
        super().__init__()
        self.table = nn.Embedding(spec.n + 1, embedding)
        nn.init.zeros_(self.table.weight)

    def forward(self, condition: torch.Tensor) -> tuple[torch.Tensor, None]:
        last = self.table.num_embeddings - 1
        return self.table(condition.where(condition >= 0, last)), None


class EmbeddingEncoder(nn.Module):
    """A projection of a vector, and a learned vector for the null condition."""

    def __init__(self, spec: EmbeddingCondition, embedding: int):
        super().__init__()
        self.project = zeroed(nn.Linear(spec.dim, embedding))
        self.nothing = nn.Parameter(torch.zeros(embedding))  # null condition; a name in the weights

    def forward(self, condition: torch.Tensor) -> tuple[torch.Tensor, None]:
        known = ~condition.isnan().any(dim=1, keepdim=True)
        projected = self.project(condition.nan_to_num())
        return torch.where(known, projected, self.nothing.to(projected)), None


class SequenceEncoder(nn.Module):
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
        k, v = self.to_kv(tokens).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v, present[:, None, None])
        mixed = mixed.transpose(1, 2).reshape(batch, height, width, channels)
        return x + self.out(mixed).permute(0, 3, 1, 2)


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
