"""How long each phone of a new text takes, learned from alignments.

A small 1-D convolutional network over the phones of a sentence predicts the logarithm of their
seconds, as in FastSpeech (Ren et al. 2019, section 3.3, "duration predictor").
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from ddpmlib.text.alignment import Alignment
from ddpmlib.text.pronunciation import SILENCE

SIZE, BLOCKS, KERNEL, DROPOUT = 96, 3, 5, 0.3
STEPS, BATCH, RATE, DECAY = 400, 32, 2e-3, 1e-2
# Indices and edges of the phones of a sentence, and the logarithms of their seconds.
Example = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
POSITIONS = ("first of its word", "last of its word")


class DurationPredictor(nn.Module):
    """Phones of a sentence -> the logarithm of their seconds."""

    def __init__(self, names: Sequence[str]):
        super().__init__()
        self.names = tuple(names)
        self.table = nn.Embedding(len(names) + 1, SIZE)
        self.where = nn.Linear(len(POSITIONS), SIZE)
        self.blocks = nn.ModuleList(_Block() for _ in range(BLOCKS))
        self.out = nn.Linear(SIZE, 1)
        self.register_buffer("mean", torch.tensor(-2.6))
        self.register_buffer("deviation", torch.tensor(0.5))
        # The mean of logarithms is below that of the seconds; 0 until it is fitted.
        self.register_buffer("correction", torch.tensor(0.0))
        self.requires_grad_(False)  # no part of the training of the network that it travels in

    def forward(self, indices: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        """Indices (batch, phones) from 1 on, 0 behind the end; edges (batch, phones, 2)."""
        present = (indices > 0)[:, None].float()
        x = (self.table(indices) + self.where(edges)).transpose(1, 2) * present
        for block in self.blocks:
            x = block(x, present)
        return self.out(x.transpose(1, 2))[..., 0] * self.deviation + self.mean

    @torch.inference_mode()
    def predict(self, phones: Sequence[str], edges: np.ndarray) -> np.ndarray:
        """Seconds of each phone (phones,).

        Raises:
            ValueError: an unknown phone, or the predictor was never fitted.
        """
        if not self.correction > 0:
            raise ValueError("no durations are known; needed: a model trained on alignments")
        if unknown := sorted(set(phones) - set(self.names)):
            raise ValueError(f"phone {unknown[0]!r}; needed: one of {' '.join(self.names)}")
        self.eval()
        device = self.correction.device
        indices = torch.tensor([[1 + self.names.index(name) for name in phones]], device=device)
        edges = torch.from_numpy(np.asarray(edges, np.float32))[None].to(device)
        return (self(indices, edges)[0].exp() * self.correction).float().numpy(force=True)

    def fit(self, alignments: Sequence[Alignment], seed: int = 0) -> "DurationPredictor":
        """Learn from alignments by Adam on the absolute error of the logarithms."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return self._fit([_example(a, self.names) for a in alignments])

    def _fit(self, examples: list[Example]) -> "DurationPredictor":
        logs = torch.cat([values for *_, values in examples])
        self.mean.copy_(logs.mean())
        self.deviation.copy_(logs.std(correction=0))
        self.train().requires_grad_(True)
        optimizer = torch.optim.AdamW(self.parameters(), lr=RATE, weight_decay=DECAY)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=STEPS)
        for _ in range(STEPS):
            chosen = torch.randint(len(examples), (BATCH,))
            indices, edges, logs = _batch([examples[i] for i in chosen])
            known = indices > 0
            loss = (self(indices, edges) - logs)[known].abs().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        self.eval().requires_grad_(False)
        with torch.inference_mode():
            pairs = [(self(i[None], e[None])[0].exp().sum(), y.exp().sum()) for i, e, y in examples]
        predicted, spoken = map(sum, zip(*pairs, strict=True))
        self.correction.copy_(spoken / predicted)
        return self


class _Block(nn.Module):
    """A 1-D convolution over phones, residual."""

    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(SIZE)
        self.conv = nn.Conv1d(SIZE, SIZE, KERNEL, padding=KERNEL // 2)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, x: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        hidden = self.norm(x.transpose(1, 2)).transpose(1, 2)
        return x + self.dropout(functional.silu(self.conv(hidden * present))) * present


def edges_in_words(alignment: Alignment) -> np.ndarray:
    """Whether each phone is the first, and the last of its word, (phones, 2)."""
    starts = {round(word.start, 3) for word in alignment.words}
    ends = {round(word.end, 3) for word in alignment.words}
    spoken = [phone.name != SILENCE for phone in alignment.phones]
    rows = [
        (s and round(phone.start, 3) in starts, s and round(phone.end, 3) in ends)
        for s, phone in zip(spoken, alignment.phones, strict=True)
    ]
    return np.array(rows, np.float32).reshape(-1, len(POSITIONS))


def _batch(examples: list[Example]) -> tuple[torch.Tensor, ...]:
    """Examples of different length side by side, zeros behind their ends."""
    pad = partial(nn.utils.rnn.pad_sequence, batch_first=True)
    return tuple(pad(list(values)) for values in zip(*examples, strict=True))


def _example(alignment: Alignment, names: tuple[str, ...]) -> Example:
    indices = torch.tensor([1 + names.index(phone.name) for phone in alignment.phones])
    seconds = torch.tensor([max(phone.seconds, 0.01) for phone in alignment.phones])
    return indices, torch.from_numpy(edges_in_words(alignment)), seconds.log()
