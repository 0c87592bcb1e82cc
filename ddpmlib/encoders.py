"""How a condition enters the U-Net: beside the time, and for sequences by cross-attention too.

All of them begin without effect, so that a network goes on from weights that knew no condition.
"""

import torch
from torch import nn
from torch.nn import functional

from ddpmlib.condition import Kind, Labels, Tokens, Vectors

RATES = 10_000.0  # between the fastest and the slowest sinusoid
POSITIONS = 1000.0  # from the beginning of a text or picture to the end of the longest


def encoder(kind: Kind, embedding: int, channels: int, heads: int) -> nn.Module:
    """The network that reads a condition.

    Its `forward` makes of a condition (batch, ...) what is added to the time embedding (batch,
    embedding), and a context; its `attend` lets pictures (batch, channels, height, width) look at
    the context.
    """
    if isinstance(kind, Labels):
        return LabelEncoder(kind, embedding)
    if isinstance(kind, Vectors) and not kind.length:
        return VectorEncoder(kind, embedding)
    return SequenceEncoder(kind, embedding, channels, heads)


class LabelEncoder(nn.Module):
    """An embedding for each class, and one for nothing."""

    def __init__(self, kind: Labels, embedding: int):
        super().__init__()
        self.table = nn.Embedding(kind.n + 1, embedding)
        nn.init.zeros_(self.table.weight)

    def forward(self, condition: torch.Tensor) -> tuple[torch.Tensor, None]:
        last = self.table.num_embeddings - 1
        return self.table(condition.where(condition >= 0, last)), None

    def attend(self, x: torch.Tensor, context: None) -> torch.Tensor:
        return x


class VectorEncoder(nn.Module):
    """A projection of a vector, and a vector for nothing."""

    def __init__(self, kind: Vectors, embedding: int):
        super().__init__()
        self.project = nn.Linear(kind.dim, embedding)
        self.nothing = nn.Parameter(torch.zeros(embedding))
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)

    def forward(self, condition: torch.Tensor) -> tuple[torch.Tensor, None]:
        known = ~condition.isnan().any(dim=1, keepdim=True)
        said = self.project(condition.nan_to_num())
        return torch.where(known, said, self.nothing.to(said)), None

    def attend(self, x: torch.Tensor, context: None) -> torch.Tensor:
        return x


class SequenceEncoder(nn.Module):
    """Characters or vectors read by a layer of a transformer (Vaswani et al. 2017).

    A token of its own at the beginning gathers what goes beside the time, as in Nichol et al. 2021
    ("GLIDE"), and is all there is where nothing is said. Pictures look at the whole sequence by
    cross-attention. Places of the longest text and columns of the picture are counted alike, since
    speech and text run in the same direction.
    """

    def __init__(self, kind: Tokens | Vectors, embedding: int, channels: int, heads: int):
        super().__init__()
        self.kind, self.heads = kind, heads
        if isinstance(kind, Tokens):
            self.read = nn.Embedding(len(kind.alphabet) + 1, embedding)
        else:
            self.read = nn.Linear(kind.dim, embedding)
        self.begin = nn.Parameter(torch.randn(1, 1, embedding))
        self.layer = nn.TransformerEncoderLayer(
            embedding,
            heads,
            2 * embedding,
            dropout=0.0,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.norm = nn.LayerNorm(embedding)
        self.beside = nn.Linear(embedding, embedding)
        self.norm_x = nn.GroupNorm(1, channels)
        self.column = nn.Linear(embedding, channels)
        self.to_q, self.to_kv = nn.Linear(channels, channels), nn.Linear(embedding, 2 * channels)
        self.out = nn.Linear(channels, channels)
        for last in (self.beside, self.out):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, condition: torch.Tensor) -> tuple[torch.Tensor, tuple]:
        if isinstance(self.kind, Tokens):
            empty, read = condition == self.kind.nothing, self.read(condition)
        else:
            empty, read = condition.isnan().any(dim=2), self.read(condition.nan_to_num())
        read = read + places(read.shape[1], read.shape[2]).to(read)
        read = torch.cat([self.begin.to(read).expand(len(read), -1, -1), read], dim=1)
        empty = functional.pad(empty, (1, 0), value=False)
        read = self.norm(self.layer(read, src_key_padding_mask=empty))
        return self.beside(read[:, 0]), (read, ~empty)

    def attend(self, x: torch.Tensor, context: tuple) -> torch.Tensor:
        read, there = context
        batch, channels, height, width = x.shape
        columns = self.column(places(width, self.column.in_features).to(read))
        pixels = self.norm_x(x).permute(0, 2, 3, 1) + columns
        q = self.to_q(pixels).reshape(batch, height * width, self.heads, -1).transpose(1, 2)
        k, v = self.to_kv(read).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v, there[:, None, None])
        mixed = mixed.transpose(1, 2).reshape(batch, height, width, channels)
        return x + self.out(mixed).permute(0, 3, 1, 2)


def places(count: int, size: int) -> torch.Tensor:
    """Sinusoids (count, size) of the middles of `count` equal parts of a text or picture."""
    return sinusoids((torch.arange(count) + 0.5) * (POSITIONS / count), size)


def sinusoids(at: torch.Tensor, size: int) -> torch.Tensor:
    """Places (n,) -> (n, size), Vaswani et al. 2017, section 3.5."""
    half = size // 2
    angles = at[:, None] * RATES ** (-torch.arange(half, device=at.device) / half)
    return torch.cat([angles.sin(), angles.cos()], dim=1)
