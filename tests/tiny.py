"""A data set, a network and a training small enough for tests; data in the format of `combine`."""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from ddpmlib.annotation import array_of
from ddpmlib.condition import rows
from ddpmlib.config import TrainConfig
from ddpmlib.dataset import SpectrogramSet
from ddpmlib.ddpm import DDPM, WEIGHTS
from ddpmlib.run import read_metrics
from ddpmlib.spectrogram import SpectrogramParams
from ddpmlib.state import CHECKPOINT
from ddpmlib.training import train
from ddpmlib.unet import UNetConfig

PARAMS = SpectrogramParams(n_fft=128, hop_length=64, n_mels=8, n_frames=16)
NETWORK = UNetConfig(width=8, multipliers=(1, 2), heads=2)
EPOCHS, STEPS = 3, 4  # of the training that `fit` does, and steps an epoch


def write_data(folder: Path, pictures=18, validation=3, params=PARAMS) -> Path:
    """Ramps of different slopes, one a recording: easy to learn. Returns the path of the .npy."""
    slopes = np.concatenate([np.linspace(-1, 1, pictures), np.linspace(-0.9, 0.9, validation)])
    ramp = np.linspace(-1, 1, params.n_frames)
    values = slopes[:, None, None, None] * ramp * np.ones((1, 1, params.n_mels, 1))
    path = folder / "tiny.npy"
    np.save(path, values.astype(np.float16))
    splits = ["train"] * pictures + ["validation"] * validation
    describe(
        path, values.shape, params, [(f"speaker/{i:03d}.wav", s) for i, s in enumerate(splits)]
    )
    return path


def describe(path: Path, shape: tuple, params: SpectrogramParams, recordings: list) -> None:
    """The JSON beside an .npy; recordings of equal length."""
    each = shape[0] // len(recordings)
    files = [
        {"file": file, "split": split, "first": i * each, "pictures": each}
        for i, (file, split) in enumerate(recordings)
    ]
    description = {"params": params.to_dict(), "shape": shape, "files": files}
    path.with_suffix(".json").write_text(json.dumps(description))


def tell(path: Path, **conditions: tuple) -> None:
    """Say something of the pictures of a data set: for each column a kind, and values."""
    sidecar = path.with_suffix(".json")
    description = json.loads(sidecar.read_text())
    description["conditions"] = {name: asdict(kind) for name, (kind, _) in conditions.items()}
    sidecar.write_text(json.dumps(description))
    for name, (kind, values) in conditions.items():
        np.save(array_of(path, name), rows(kind, values, len(values)).numpy())


def tiny_config(**changes) -> TrainConfig:
    """Float32, whose results repeat to the bit; two samples an epoch."""
    values = {
        "epochs": EPOCHS,
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


def fit(folder: Path, run="run", callback=None, resume=True, network=NETWORK, **changes) -> DDPM:
    """Train on `folder/tiny.npy`, written if missing, on one thread: EPOCHS times STEPS steps."""
    path, condition = folder / "tiny.npy", changes.get("condition", "")
    if not path.exists():
        write_data(folder)
    data = [SpectrogramSet(path, split, condition=condition) for split in ("train", "validation")]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return train(tiny_config(**changes), *data, folder / run, network, resume, callback)
    finally:
        torch.set_num_threads(threads)


def start(folder: Path, code: str) -> subprocess.Popen:
    """Python in another process, with `fit` and `folder` at hand."""
    head = "import os, resource, sys, time\nfrom pathlib import Path\nfrom tiny import *\n"
    command = [sys.executable, "-c", f"{head}folder = Path({str(folder)!r})\n{code}"]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, cwd=Path(__file__).parent, stdout=pipe, stderr=pipe, text=True, bufsize=1
    )


def checkpoint(run: Path) -> dict:
    """What a run's checkpoint holds."""
    return torch.load(run / CHECKPOINT, weights_only=True)


def assert_same(one, other, where="checkpoint") -> None:
    """Nested states are equal to the bit."""
    assert type(one) is type(other), where
    if isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for name in one.keys() - {"seconds"}:
            assert_same(one[name], other[name], f"{where} {name}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for i, pair in enumerate(zip(one, other, strict=True)):
            assert_same(*pair, f"{where} {i}")
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where
    else:
        assert one == other, where


def assert_same_run(one: Path, other: Path) -> None:
    """Two runs left the same state, weights, metrics (but for the time) and samples."""
    assert_same(checkpoint(one), checkpoint(other))
    assert_same(load_file(one / WEIGHTS), load_file(other / WEIGHTS), WEIGHTS)
    timed = {"minutes": None, "pictures_per_second": None}
    rows, others = ([row | timed for row in read_metrics(run)] for run in (one, other))
    assert rows == others
    samples, theirs = (
        {file.name: file.read_bytes() for file in (run / "samples").iterdir()}
        for run in (one, other)
    )
    assert samples == theirs
