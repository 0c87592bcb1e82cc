"""The learned mel-to-linear step of the vocoder: it restores the detail between mel bands.

`python -m ddpmlib vocoder --help` trains one (`training.mel_to_linear`). `griffin_lim` uses the
weights in `data/pretrained/` whose spectrogram parameters fit.
"""

from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from ddpmlib.spectrogram.codec import encode
from ddpmlib.spectrogram.mel import mel_filters
from ddpmlib.spectrogram.params import SpectrogramParams
from ddpmlib.storage.paths import data_folder
from ddpmlib.storage.weights import build_like, load_weights, save_weights, unfit

WEIGHTS = "inversion*.safetensors"  # in data/pretrained/
CHANNELS, HIDDEN, BLOCKS, KERNEL = 320, 960, 4, 7
FLOOR = 1e-9  # power, so that silence has a logarithm


class MelToLinear(nn.Module):
    """Mel-spectrograms -> linear magnitudes: a correction of the mel power spread over its bins.

    One-dimensional convolutions over frames in blocks of ConvNeXt (Liu et al. 2022), as in Vocos
    (Siuzdak 2023), which predicts phases too.

    Input: `log_mel` (batch, n_mels, n_frames) in [-1, 1], and its mel power `mel`.
    Output: (batch, n_fft / 2 + 1, n_frames) magnitudes, 1 for a full-scale sine.
    """

    def __init__(self, params: SpectrogramParams):
        super().__init__()
        self.params = params
        self.stem = nn.Conv1d(params.n_mels, CHANNELS, KERNEL, padding=KERNEL // 2)
        self.blocks = nn.Sequential(*(Block() for _ in range(BLOCKS)))
        self.norm = nn.LayerNorm(CHANNELS)
        self.head = nn.Linear(CHANNELS, params.n_fft // 2 + 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        if self.head.weight.is_meta:  # shapes are asked for, perhaps of a file's absurd n_fft
            return
        filters = torch.from_numpy(mel_filters(params).copy())
        spread = (filters / filters.sum(dim=1, keepdim=True).clamp(min=1e-9)).T.contiguous()
        self.register_buffer("spread", spread, persistent=False)

    def forward(self, log_mel: torch.Tensor, mel: torch.Tensor) -> torch.Tensor:
        x = self.blocks(self.stem(log_mel).transpose(1, 2))
        correction = self.head(self.norm(x)).transpose(1, 2).float()
        return torch.exp(correction + 0.5 * torch.log(self.spread @ mel + FLOOR))

    def magnitude(self, mel: np.ndarray) -> np.ndarray:
        """Mel power (n_mels, n_frames) -> magnitudes (n_fft / 2 + 1, n_frames) float32."""
        log_mel = torch.from_numpy(encode(mel, self.params))[None]
        with torch.inference_mode():
            return self(log_mel, torch.from_numpy(np.asarray(mel, np.float32))[None])[0].numpy()

    def save(self, path: str | Path, **metadata) -> None:
        """Write the weights in float16; the spectrogram parameters and `metadata` travel inside."""
        description = {"params": self.params.to_dict()} | metadata
        save_weights(path, self, "inversion", description, half=True)

    @classmethod
    def load(cls, path: str | Path) -> "MelToLinear":
        """Read what `save` wrote; ValueError where the file holds something else, or is damaged."""
        description, state = load_weights(path, "inversion")
        try:
            params = SpectrogramParams.from_dict(description["params"])
            network = build_like(state, partial(cls, params))
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise unfit(path, error) from error
        return network.eval()


class Block(nn.Module):
    """Depthwise convolution over frames, then two layers over channels; starts as the identity."""

    def __init__(self):
        super().__init__()
        same = {"padding": KERNEL // 2, "groups": CHANNELS}
        self.over_frames = nn.Conv1d(CHANNELS, CHANNELS, KERNEL, **same)
        self.norm = nn.LayerNorm(CHANNELS)
        self.wide, self.narrow = nn.Linear(CHANNELS, HIDDEN), nn.Linear(HIDDEN, CHANNELS)
        nn.init.zeros_(self.narrow.weight)
        nn.init.zeros_(self.narrow.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.over_frames(x.transpose(1, 2)).transpose(1, 2)
        return x + self.narrow(functional.gelu(self.wide(self.norm(hidden))))


def pretrained_mel_to_linear(params: SpectrogramParams) -> MelToLinear | None:
    """The learned step in `data/pretrained/` for these parameters, whatever their n_frames.

    Raises ValueError where weights there are damaged.
    """
    for path in sorted((data_folder() / "pretrained").glob(WEIGHTS)):
        network = _loaded(path, path.stat().st_mtime_ns)
        if replace(network.params, n_frames=params.n_frames) == params:
            return network
    return None


@lru_cache(maxsize=8)
def _loaded(path: Path, changed: int) -> MelToLinear:
    return MelToLinear.load(path)
