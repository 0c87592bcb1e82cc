"""A data set, a network and a configuration small enough for tests, in the format of `combine`."""

import json
from pathlib import Path

import numpy as np

from ddpmlib.config import TrainConfig
from ddpmlib.spectrogram import SpectrogramParams
from ddpmlib.unet import UNetConfig

PARAMS = SpectrogramParams(n_fft=128, hop_length=64, n_mels=8, n_frames=16)
NETWORK = UNetConfig(width=8, multipliers=(1, 2), heads=2)


def write_data(
    folder: Path, pictures: int = 10, validation: int = 3, params: SpectrogramParams = PARAMS
) -> Path:
    """Ramps of different slopes, one a recording: easy to learn. Returns the path of the .npy."""
    total = pictures + validation
    slopes = np.linspace(-1, 1, total)[:, None, None, None]
    ramp = np.linspace(-1, 1, params.n_frames)
    values = slopes * ramp * np.ones((total, 1, params.n_mels, 1))
    path = folder / "tiny.npy"
    np.save(path, values.astype(np.float16))
    splits = ["train"] * pictures + ["validation"] * validation
    files = [
        {"file": f"speaker/{row:03d}.wav", "split": split, "first": row, "pictures": 1}
        for row, split in enumerate(splits)
    ]
    description = {"params": params.to_dict(), "shape": values.shape, "files": files}
    path.with_suffix(".json").write_text(json.dumps(description))
    return path


def tiny_config(**changes) -> TrainConfig:
    """Float32, whose results repeat to the bit; two samples; two epochs."""
    values = {
        "epochs": 2,
        "batch_size": 4,
        "image_size": PARAMS.image_size,
        "device": "cpu",
        "dataset": "tiny.npy",
        "noise_steps": 20,
        "num_samples": 2,
        "warmup_steps": 3,
        "precision": "float32",
    }
    return TrainConfig(**values | changes)
