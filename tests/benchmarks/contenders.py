"""What a user would take instead, on the same input; each written as its own users write it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ddpmlib.audio import ENDINGS
from ddpmlib.mel import window_gain
from ddpmlib.preparation import AUGMENTATIONS
from ddpmlib.spectrogram import DEFAULT, SpectrogramParams, decode

USUAL = (128, 128, 256, 256, 512, 512)  # channels; diffusers' setting that is usual for audio


def original_preparation(folder: Path, into: Path, augment: bool) -> int:
    """The original's way: file by file, copies of the sound, an array for each. Returns files."""
    import librosa

    grid = {"n_fft": DEFAULT.n_fft, "hop_length": DEFAULT.hop_length, "n_mels": DEFAULT.n_mels}
    rate = DEFAULT.sample_rate
    files = sorted(path for path in folder.rglob("*") if path.suffix in ENDINGS)
    for path in files:
        sound, _ = librosa.load(path, sr=rate)
        copies = [sound]
        if augment:
            copies += [vocoder(sound, **change) for change in AUGMENTATIONS.values()]
        for number, copy in enumerate(copies):
            mel = librosa.feature.melspectrogram(y=copy, sr=rate, **grid)
            decibels = librosa.power_to_db(mel, ref=np.max)
            np.save(into / f"{path.stem}_{number}.npy", (decibels + 80) / 80)
    return len(files)


def vocoder(sound: np.ndarray, speed: float = 1.0, semitones: int = 0) -> np.ndarray:
    """Another speed or pitch of a sound by librosa's phase vocoder."""
    import librosa

    if semitones:
        return librosa.effects.pitch_shift(sound, sr=DEFAULT.sample_rate, n_steps=semitones)
    return librosa.effects.time_stretch(sound, rate=speed)


def full_scores(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Attention as the original had it: the matrix of all scores is made and kept."""
    return torch.softmax(q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5, dim=-1) @ v


@dataclass(frozen=True)
class DiffusersConfig:
    """A `UNet2DModel` that stands where a `UNetConfig` may stand."""

    channels: tuple[int, ...] = USUAL
    layers: int = 2
    attention: int = 4  # the level that has it, counted from 0

    def build(self) -> "Foreign":
        """The network with random weights."""
        from diffusers import UNet2DModel

        levels = range(len(self.channels))
        unet = UNet2DModel(
            in_channels=1,
            out_channels=1,
            layers_per_block=self.layers,
            block_out_channels=self.channels,
            norm_num_groups=8 if self.channels[0] < 128 else 32,
            attention_head_dim=32 if self.channels[0] < 128 else 8,
            down_block_types=["AttnDownBlock2D" if n == self.attention else _DOWN for n in levels],
            up_block_types=["AttnUpBlock2D" if n == self.attention else _UP for n in levels][::-1],
        )
        return Foreign(self, unet, lambda x_t, time: unet(x_t, 1000 * time).sample)

    def check_image_size(self, image_size: tuple[int, int]) -> None:
        """Any of these benchmarks fits."""

    def to_dict(self) -> dict:
        """Plain values for JSON."""
        return {"diffusers": list(self.channels)}


SAME_SIZE = DiffusersConfig((32, 56, 112), 1, 2)  # parameters of our default network, to 2 %


@dataclass(frozen=True)
class DenoisingConfig(DiffusersConfig):
    """The `Unet` of denoising-diffusion-pytorch, which needs a torchvision that fits torch."""

    width: int = 20

    def build(self) -> "Foreign":
        """The network with random weights."""
        from denoising_diffusion_pytorch import Unet

        unet = Unet(dim=self.width, dim_mults=(1, 2, 4), channels=1)
        return Foreign(self, unet, lambda x_t, time: unet(x_t, 1000 * time))


class Foreign(nn.Module):
    """Another library's network under the signature of ours."""

    def __init__(self, config: DiffusersConfig, unet: nn.Module, predict: Callable):
        super().__init__()
        self.config, self.unet, self.predict = config, unet, predict

    def forward(self, x_t: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        return self.predict(x_t, time)


_DOWN, _UP = "DownBlock2D", "UpBlock2D"


def librosa_inversion(image: np.ndarray, params: SpectrogramParams) -> np.ndarray:
    """A picture to sound by librosa alone."""
    import librosa

    return librosa.feature.inverse.mel_to_audio(
        decode(image, params) * window_gain(params) ** 2,
        sr=params.sample_rate,
        n_fft=params.n_fft,
        hop_length=params.hop_length,
        fmin=params.fmin,
        fmax=params.fmax,
        norm=None,
    )
