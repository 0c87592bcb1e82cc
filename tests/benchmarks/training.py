"""Training: time and memory of a picture beside other networks, and the limit of the machine."""

import importlib.util
import math
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from contenders import SAME_SIZE, DenoisingConfig, DiffusersConfig, full_scores
from report import Row
from timing import Turns, Work, ratio, take_turns

from ddpmlib import training
from ddpmlib.config import TrainConfig
from ddpmlib.cost import training_step
from ddpmlib.dataset import SpectrogramSet
from ddpmlib.ddpm import DDPM, autocast
from ddpmlib.original import OriginalConfig
from ddpmlib.state import TrainState
from ddpmlib.unet import UNetConfig

ROUNDS = 5
BATCHES = (1, 5, 16, 64)
REFERENCE = 16  # our batch, beside which the large networks train one picture
GOALS = {"original": 600, "usual": 70, "same size": 5}
SIZE, CHANNELS = 2048, 64  # of the matrices, and of the convolution
GPUS, LINKS = 8, {"NVLink, 300 GB/s": 300e9, "network, 100 Gbit/s": 12.5e9}  # bytes a second


def step(config, batch_size: int, full_attention: bool = False) -> Work:
    """A training step, in the precision that is the faster here; the original's in its own."""
    if full_attention:
        torch.nn.functional.scaled_dot_product_attention = full_scores
    network = config.build().to(memory_format=torch.channels_last)
    precision = "float32" if full_attention else "auto"
    model = DDPM(network, precision=precision)
    return training_step(TrainState(model, TrainConfig()), batch_size)


def matrix_product(operations: int) -> Work:
    """Square matrices, as often as it takes."""
    a = torch.randn(SIZE, SIZE)
    times = math.ceil(operations / (2 * SIZE**3))

    def work() -> None:
        with torch.no_grad(), autocast(a.device):
            for _ in range(times):
                a @ a

    return work


def convolution(operations: int) -> Work:
    """A 3x3 convolution as in the middle of the network, forward."""
    x = torch.randn(16, CHANNELS, 32, 128).to(memory_format=torch.channels_last)
    conv = torch.nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1).to(memory_format=torch.channels_last)
    times = math.ceil(operations / (2 * 9 * CHANNELS**2 * x[:, 0].numel()))

    def work() -> None:
        with torch.no_grad(), autocast(x.device):
            for _ in range(times):
                conv(x)

    return work


def measure() -> list[Row]:
    """Beside the large networks, beside one of the same size, the limit, and the wait for data."""
    return [*beside_large_networks(), *beside_the_same_size(), waiting(), *averaging()]


def beside_large_networks() -> list[Row]:
    """One of their pictures, beside one of ours in a step of REFERENCE; and the machine's limit."""
    operations = round(3 * gflop() * 1e9 * REFERENCE)
    turns = take_turns(
        {
            "ours": (step, UNetConfig(), REFERENCE),
            "original": (step, OriginalConfig(), 1, True),
            "usual": (step, DiffusersConfig(), 1),
            "matrices": (matrix_product, operations),
            "convolution": (convolution, operations),
        },
        ROUNDS,
    )
    ours, rows = turns["ours"], []
    for name, label in (("original", "the original's network"), ("usual", "diffusers, as usual")):
        rows.append(
            Row(
                work=f"a training picture, ours in steps of {REFERENCE}",
                ours=ours.median / REFERENCE,
                unit="s",
                beside=f"{label}, batch 1",
                theirs=turns[name].median,
                ratio=ratio(turns[name], ours) * REFERENCE,
                goal=GOALS[name],
                note=f"{ours.gigabytes:.2f} GB beside {turns[name].gigabytes:.2f} GB ({label})",
            )
        )
    for name in ("matrices", "convolution"):
        rows.append(
            Row(
                work=f"share of the machine's limit that training reaches: {name}",
                ours=1 / ratio(ours, turns[name]),
                unit="",
                note=f"{operations / 1e9 / turns[name].median:.0f} GFLOP/s ({name})",
            )
        )
    return rows


def beside_the_same_size() -> list[Row]:
    """The same batch for all, each with about two million parameters."""
    others = {"diffusers, same size": SAME_SIZE}
    if importlib.util.find_spec("torchvision"):
        others["denoising-diffusion-pytorch, same size"] = DenoisingConfig()
    rows = []
    for batch in BATCHES:
        contenders = {name: (step, config, batch) for name, config in others.items()}
        turns = take_turns({"ours": (step, UNetConfig(), batch)} | contenders, ROUNDS)
        rows += [same_size_row(batch, turns["ours"], name, turns[name]) for name in others]
    if len(others) == 1:
        rows[-1].note += "; denoising-diffusion-pytorch: no torchvision fits this torch"
    return rows


def same_size_row(batch: int, ours: Turns, name: str, theirs: Turns) -> Row:
    return Row(
        work=f"a training picture in steps of {batch}",
        ours=ours.median / batch,
        unit="s",
        beside=name,
        theirs=theirs.median / batch,
        ratio=ratio(theirs, ours),
        goal=GOALS["same size"] if batch == REFERENCE else None,
        note=f"{ours.gigabytes:.2f} GB beside {theirs.gigabytes:.2f} GB ({name})",
    )


def waiting() -> Row:
    """Share of a real training that its loop waits for pictures from the disk."""
    waits, batches = [], training._Loop.batches

    def timed(loop):
        left = batches(loop)
        start = time.perf_counter()
        for batch in left:
            waits.append(time.perf_counter() - start)
            yield batch
            start = time.perf_counter()

    training._Loop.batches = timed
    with tempfile.TemporaryDirectory() as folder:
        data = random_pictures(Path(folder) / "random.npy", 20 * REFERENCE)
        config = TrainConfig(epochs=2, num_samples=0, name="waiting")
        start = time.perf_counter()
        training.train(config, data, data, Path(folder) / "run")
        share = sum(waits) / (time.perf_counter() - start)
    training._Loop.batches = batches
    return Row("share of a training that waits for data", share, "", note="goal: below 0.05")


def random_pictures(path: Path, count: int) -> SpectrogramSet:
    """Noise in the format of the original, which needs no description."""
    values = np.random.default_rng(0).random((count, 1, 64, 256), np.float32)
    np.save(path, values.astype(np.float16))
    return SpectrogramSet(path, None, DDPM(UNetConfig().build()).params)


def averaging() -> list[Row]:
    """On paper: how long several GPUs take to average the gradients of a step."""
    work = f"averaging gradients on {GPUS} GPUs, on paper"
    return [Row(f"{work}: {link}", 1000 * ring_seconds(32, link), "ms") for link in LINKS]


def ring_seconds(width: int, link: str) -> float:
    """An all-reduce around a ring (Patarasuk & Yuan 2009): each sends 2 (n - 1) / n of its
    gradients, here without hiding it behind the backward pass."""
    size = 4 * sum(p.numel() for p in UNetConfig(width).build().parameters())
    return 2 * (GPUS - 1) / GPUS * size / LINKS[link]


def gflop(width: int = 32) -> float:
    """Forward, for one picture."""
    from torch.utils.flop_counter import FlopCounterMode

    network = UNetConfig(width).build()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 1, 64, 256), torch.zeros(1))
    return counter.get_total_flops() / 1e9
