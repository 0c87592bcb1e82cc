"""The mel-to-linear step, learned from recordings: it puts back what mel bands leave out.

`python -m ddpmlib.learned_inversion --help` trains one. `ddpmlib.inversion` uses the weights in
`data/pretrained/` that were made for the grid of a picture.
"""

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from ddpmlib.mel import mel_filters
from ddpmlib.spectrogram import SpectrogramParams, encode
from ddpmlib.storage import data_folder
from ddpmlib.weights import load_weights, save_weights, unfit

PATTERN = "inversion*.safetensors"  # of weights in data/pretrained/
CHANNELS, HIDDEN, BLOCKS, KERNEL = 320, 960, 4, 7
FLOOR = 1e-9  # power, so that silence has a logarithm


class LearnedInversion(nn.Module):
    """Pictures -> linear magnitudes: a correction of the mel energies spread over their bins.

    One-dimensional convolutions over frames in blocks of ConvNeXt (Liu et al. 2022), as in Vocos
    (Siuzdak 2023), which predicts phases too.

    Input: (batch, n_mels, frames) in [-1, 1], and its mel power. Output: (batch, n_fft / 2 + 1,
    frames) magnitudes, 1 for a full-scale sine.
    """

    def __init__(self, params: SpectrogramParams):
        super().__init__()
        self.params = params
        self.stem = nn.Conv1d(params.n_mels, CHANNELS, KERNEL, padding=KERNEL // 2)
        self.blocks = nn.ModuleList(Block() for _ in range(BLOCKS))
        self.norm = nn.LayerNorm(CHANNELS)
        self.head = nn.Linear(CHANNELS, params.n_fft // 2 + 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        filters = torch.from_numpy(mel_filters(params).copy())
        spread = (filters / filters.sum(dim=1, keepdim=True).clamp(min=1e-9)).T.contiguous()
        self.register_buffer("spread", spread, persistent=False)

    def forward(self, pictures: torch.Tensor, mel: torch.Tensor) -> torch.Tensor:
        x = self.stem(pictures).transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        correction = self.head(self.norm(x)).transpose(1, 2).float()
        return torch.exp(correction + 0.5 * torch.log(self.spread @ mel + FLOOR))

    def magnitude(self, mel: np.ndarray) -> np.ndarray:
        """Mel power (n_mels, frames) -> magnitudes (n_fft / 2 + 1, frames) float32."""
        picture = torch.from_numpy(encode(mel, self.params))[None]
        with torch.inference_mode():
            return self(picture, torch.from_numpy(np.asarray(mel, np.float32))[None])[0].numpy()

    def save(self, path: str | Path, **metadata) -> None:
        """Write the weights in float16; the grid and `metadata` travel inside."""
        description = {"params": self.params.to_dict()} | metadata
        save_weights(path, self, "inversion", description, half=True)

    @classmethod
    def load(cls, path: str | Path) -> "LearnedInversion":
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: no such file.
            ValueError: not weights of an inversion of this project.
        """
        description, state = load_weights(path, "inversion")
        try:
            network = cls(SpectrogramParams.from_dict(description["params"]))
            network.load_state_dict(state)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise unfit(path, error) from error
        return network.eval()


class Block(nn.Module):
    """Depthwise convolution over frames, then two layers over channels; starts as the identity."""

    def __init__(self):
        super().__init__()
        self.over_frames = nn.Conv1d(
            CHANNELS, CHANNELS, KERNEL, padding=KERNEL // 2, groups=CHANNELS
        )
        self.norm = nn.LayerNorm(CHANNELS)
        self.wide, self.narrow = nn.Linear(CHANNELS, HIDDEN), nn.Linear(HIDDEN, CHANNELS)
        nn.init.zeros_(self.narrow.weight)
        nn.init.zeros_(self.narrow.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.over_frames(x.transpose(1, 2)).transpose(1, 2)
        return x + self.narrow(functional.gelu(self.wide(self.norm(hidden))))


def trained_for(params: SpectrogramParams) -> LearnedInversion | None:
    """The learned step in `data/pretrained/` whose grid differs in the width of a picture at most.

    Raises:
        ValueError: weights there are damaged.
    """
    files = sorted((data_folder() / "pretrained").glob(PATTERN))
    return _trained_for(params, tuple((path, path.stat().st_mtime_ns) for path in files))


@lru_cache(maxsize=8)
def _trained_for(
    params: SpectrogramParams, files: tuple[tuple[Path, int], ...]
) -> LearnedInversion | None:
    wanted = params.to_dict() | {"n_frames": None}
    for path, _ in files:
        network = LearnedInversion.load(path)
        if network.params.to_dict() | {"n_frames": None} == wanted:
            return network
    return None


if __name__ == "__main__":
    from ddpmlib.inversion_training import main

    main()
