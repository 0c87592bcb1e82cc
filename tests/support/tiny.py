"""A data set as `build.combine` writes it, a network and a training small enough for tests."""

import contextlib
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from ddpmlib.data.conditions import condition_path
from ddpmlib.data.dataset import SpectrogramSet
from ddpmlib.diffusion.ddpm import DDPM, WEIGHTS
from ddpmlib.models.condition_rows import encode_conditions
from ddpmlib.models.unet import UNetConfig
from ddpmlib.spectrogram.params import SpectrogramParams
from ddpmlib.training.checkpoint import CHECKPOINT
from ddpmlib.training.config import TrainConfig
from ddpmlib.training.loop import train
from ddpmlib.training.run_directory import read_metrics

PARAMS = SpectrogramParams(n_fft=128, hop_length=64, n_mels=8, n_frames=16)
NETWORK = UNetConfig(width=8, multipliers=(1, 2), heads=2)
EPOCHS, STEPS = 3, 4  # of the training that `fit` does, and steps an epoch


def write_data(folder: Path, mels=18, validation=3, params=PARAMS) -> Path:
    """Ramps of different slopes, one a recording: easy to learn. Returns the path of the .npy."""
    slopes = np.concatenate([np.linspace(-1, 1, mels), np.linspace(-0.9, 0.9, validation)])
    ramp = np.linspace(-1, 1, params.n_frames)
    values = slopes[:, None, None, None] * ramp * np.ones((1, 1, params.n_mels, 1))
    path = folder / "tiny.npy"
    np.save(path, values.astype(np.float16))
    splits = ["train"] * mels + ["validation"] * validation
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


def write_conditions(path: Path, **conditions: tuple) -> None:
    """Give a data set conditions: for each column a `ConditionSpec`, and a value for each mel."""
    sidecar = path.with_suffix(".json")
    description = json.loads(sidecar.read_text())
    description["conditions"] = {name: asdict(spec) for name, (spec, _) in conditions.items()}
    sidecar.write_text(json.dumps(description))
    for name, (spec, values) in conditions.items():
        np.save(condition_path(path, name), encode_conditions(spec, values, len(values)).numpy())


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


class Child:
    """A fork of this process that runs a function; it spares the seconds in which a new interpreter
    imports torch. Used like a `subprocess.Popen`."""

    def __init__(self, function: Callable[[], None]):
        pipes = os.pipe(), os.pipe()
        self.pid, self.returncode = os.fork(), None
        if self.pid == 0:
            with contextlib.ExitStack() as stack:
                stack.callback(os._exit, 1)
                for number, name in ((1, "stdout"), (2, "stderr")):
                    os.dup2(pipes[number - 1][1], number)
                    setattr(sys, name, os.fdopen(number, "w", 1, closefd=False))
                try:
                    function()
                    os._exit(0)
                except BaseException:
                    traceback.print_exc()
        for _, writing in pipes:
            os.close(writing)
        self.stdout, self.stderr = (os.fdopen(reading) for reading, _ in pipes)

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def communicate(self, timeout: float) -> tuple[str, str]:
        """What it printed, and its last words; after so many seconds it is killed."""
        alarm = threading.Timer(timeout, self.send_signal, [signal.SIGKILL])
        alarm.start()
        with self.stdout, self.stderr:
            words = self.stdout.read(), self.stderr.read()
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        alarm.cancel()
        return words


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
    timed = {"minutes": None, "mels_per_second": None}
    rows, others = ([row | timed for row in read_metrics(run)] for run in (one, other))
    assert rows == others
    samples, theirs = (
        {file.name: file.read_bytes() for file in (run / "samples").iterdir()}
        for run in (one, other)
    )
    assert samples == theirs
