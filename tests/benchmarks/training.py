"""Training: time and memory of a mel-spectrogram beside other networks; the machine's limit."""

import tempfile
import time
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from networks import Diffusers, full_scores, of_the_same_size
from report import Row
from timing import Turns, Work, ratio, take_turns

from ddpmlib.data.dataset import SpectrogramSet
from ddpmlib.models.baseline import BaselineConfig
from ddpmlib.models.devices import autocast
from ddpmlib.models.profile import gflop, training_step
from ddpmlib.models.unet import UNetConfig
from ddpmlib.spectrogram.params import DEFAULT
from ddpmlib.training import loop
from ddpmlib.training.config import TrainConfig

ROUNDS = 5
BATCHES = (1, 5, 16, 64)
MELS = 320  # of the training whose wait for data is measured
REFERENCE = 16  # our batch, beside which the large networks train with one
LARGE = {"baseline": "the baseline network", "usual": "diffusers, as usual for audio"}
GOALS = {"baseline": 600, "usual": 70, "same size": 5}
SIZE, CHANNELS = 2048, 64  # of the matrices, and of the convolution
GPUS, LINKS = 8, {"NVLink, 300 GB/s": 300e9, "network, 100 Gbit/s": 12.5e9}  # bytes a second


def step(
    config, batch_size: int, full_attention: bool = False, image_size: tuple = DEFAULT.image_size
) -> Work:
    """A training step, in the precision that is the faster here; the baseline in its own."""
    if full_attention:
        torch.nn.functional.scaled_dot_product_attention = full_scores
    network = config.build().to(memory_format=torch.channels_last)
    precision = "float32" if full_attention else "auto"
    return training_step(network, image_size, batch_size, precision)


def matrix_product(times: int) -> Work:
    """Square matrices."""
    a = torch.randn(SIZE, SIZE)
    with autocast(a.device):
        a = a.to((a @ a).dtype)  # once, not in every product

    def work() -> None:
        with torch.no_grad():
            for _ in range(times):
                a @ a

    return work


def convolution(times: int) -> Work:
    """A 3x3 convolution as in the middle of the network, forward."""
    x = torch.randn(16, CHANNELS, 32, 128).to(memory_format=torch.channels_last)
    conv = torch.nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1).to(memory_format=torch.channels_last)

    def work() -> None:
        with torch.no_grad(), autocast(x.device):
            for _ in range(times):
                conv(x)

    return work


LIMITS = {  # and the operations of one time
    "matrices": (matrix_product, 2 * SIZE**3),
    "convolution": (convolution, 2 * 9 * CHANNELS**2 * 16 * 32 * 128),
}


def measure() -> list[Row]:
    """Beside the large networks, beside one of the same size, the limit, and the wait for data."""
    return [*beside_large_networks(), *beside_the_same_size(), waiting(), *averaging()]


def beside_large_networks() -> list[Row]:
    """They with one mel-spectrogram, ours with one and with REFERENCE of them; the limit."""
    operations = 3 * gflop(UNetConfig().build(), DEFAULT.image_size) * 1e9 * REFERENCE
    times = {name: round(operations / each) for name, (_, each) in LIMITS.items()}
    turns = take_turns(
        {f"ours, batch {size}": (step, UNetConfig(), size) for size in (REFERENCE, 1)}
        | {"baseline": (step, BaselineConfig(), 1, True), "usual": (step, Diffusers(), 1)}
        | {name: (work, times[name]) for name, (work, _) in LIMITS.items()},
        ROUNDS,
    )
    rows = []
    for name, label in LARGE.items():
        for size, goal in ((REFERENCE, GOALS[name]), (1, None)):
            ours = turns[f"ours, batch {size}"]
            share = ratio(turns[name], ours) * size
            rows.append(row(size, ours, f"{label}, batch 1", turns[name], 1, share, goal))
    ours = turns[f"ours, batch {REFERENCE}"]
    for name, (_, each) in LIMITS.items():
        done = times[name] * each
        share = ratio(turns[name], ours) * operations / done
        note = f"{done / 1e9 / turns[name].median:.0f} GFLOP/s here"
        rows.append(Row(f"share of the limit that training reaches: {name}", share, "", note=note))
    return rows


def beside_the_same_size() -> list[Row]:
    """The same batch for all, each with about two million parameters; the usual one where it
    fits."""
    others, missing = of_the_same_size()
    rows = []
    for size in BATCHES:
        known = others | ({LARGE["usual"]: Diffusers()} if size == 5 else {})
        contenders = {name: (step, config, size) for name, config in known.items()}
        turns = take_turns({"ours": (step, UNetConfig(), size)} | contenders, ROUNDS)
        for name in known:
            goal = GOALS["same size"] if (name, size) == ("diffusers, same size", 16) else None
            share = ratio(turns[name], turns["ours"])
            rows.append(row(size, turns["ours"], name, turns[name], size, share, goal))
    return rows + ([Row("training beside another library", note=missing)] if missing else [])


def row(
    size: int, ours: Turns, name: str, theirs: Turns, their_size: int, share: float, goal
) -> Row:
    """Mel-spectrograms a second and memory of both."""
    return Row(
        work=f"training in steps of {size}",
        ours=size / ours.median,
        unit=f"mel-spectrograms a second, {ours.gigabytes:.2f} GB",
        beside=f"{name}, {theirs.gigabytes:.2f} GB",
        theirs=their_size / theirs.median,
        ratio=share,
        goal=goal,
    )


def waiting() -> Row:
    """Share of the time of a real training in which its loop waits for data.

    They lie in the memory of the system, as those of a corpus that fits do after an epoch.
    """
    waits, steps, inner = [], [], loop._Loop
    batches, step = inner.batches, inner.step

    def timed_batches(self):
        start = time.perf_counter()
        for batch in batches(self):
            waits.append(time.perf_counter() - start)
            yield batch
            start = time.perf_counter()

    def timed_step(self, *batch):
        start = time.perf_counter()
        loss = step(self, *batch)
        steps.append(time.perf_counter() - start)
        return loss

    with (
        mock.patch.object(inner, "batches", timed_batches),
        mock.patch.object(inner, "step", timed_step),
        tempfile.TemporaryDirectory() as folder,
    ):
        data = random_mels(Path(folder) / "random.npy", MELS)
        config = TrainConfig(epochs=2, batch_size=REFERENCE, num_samples=0, device="cpu")
        loop.train(config, data, data, Path(folder) / "run")
    share = sum(waits) / (sum(waits) + sum(steps))
    return Row("share of training steps that waits for data", share, note="goal: below 0.05")


def random_mels(path: Path, count: int) -> SpectrogramSet:
    """Noise in the format of the original project, which needs no description."""
    values = np.random.default_rng(0).random((count, 1, *DEFAULT.image_size), np.float32)
    np.save(path, values.astype(np.float16))
    return SpectrogramSet(path, None, DEFAULT)


def averaging() -> list[Row]:
    """On paper: how long several GPUs take to average the gradients of a step."""
    work = f"averaging gradients on {GPUS} GPUs, on paper"
    return [Row(f"{work}, {link}", 1000 * ring_seconds(32, link), "ms") for link in LINKS]


def ring_seconds(width: int, link: str) -> float:
    """An all-reduce around a ring (Patarasuk & Yuan 2009): each sends 2 (n - 1) / n of its
    gradients, here without hiding it behind the backward pass."""
    size = 4 * sum(p.numel() for p in UNetConfig(width).build().parameters())
    return 2 * (GPUS - 1) / GPUS * size / LINKS[link]
