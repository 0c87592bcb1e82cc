"""The trainings behind the answer of notebook 05, each a run of its own in `data/runs/`.

A run that is there already is used; if it is not finished, it goes on where it was. The weights
are judged alone, without the guide of the run.
"""

import copy
import shutil
from pathlib import Path

import numpy as np

from ddpmlib.config import Progress, TrainConfig
from ddpmlib.dataset import SpectrogramSet
from ddpmlib.ddpm import WEIGHTS
from ddpmlib.original import RECIPE, OriginalConfig
from ddpmlib.progress import TrainingLines
from ddpmlib.run import read_metrics
from ddpmlib.storage import data_folder, make_folder
from ddpmlib.training import train
from ddpmlib.unet import UNetConfig

WIDTH, EMA_DECAY = 64, 0.9995  # of the shipped weights' first training
EPOCHS = (2, 5, 10, 20, 30, 40, 60)  # after which its weights are kept
PASSES = 18  # of the trainings on fewer recordings; six minutes of two cores
NEVER = 10**6


def two_recipes(
    data: SpectrogramSet, held_out: SpectrogramSet, minutes: float
) -> tuple[Path, Path]:
    """Trainings of as many minutes, one after the other: this workbook's network with its recipe,
    and the original's with its own. Returns their weights."""
    limit = {"epochs": NEVER, "max_minutes": minutes}
    this = limit | {"ema_decay": EMA_DECAY}
    return (
        _run("trial_this", data, held_out, UNetConfig(WIDTH), **this),
        _run("trial_original", data, held_out, OriginalConfig(), **limit | RECIPE),
    )


def epoch_by_epoch(
    data: SpectrogramSet, held_out: SpectrogramSet, epochs: tuple[int, ...] = EPOCHS
) -> list[tuple[Path, dict]]:
    """One training; returns weights after each of the epochs, and the metrics of that epoch."""
    name = "trial_minutes"
    kept = make_folder(data_folder() / "runs" / name / "epochs")

    def keep(progress: Progress) -> None:
        if progress.metrics and progress.epoch in epochs:
            shutil.copy(kept.parent / WEIGHTS, kept / f"{progress.epoch}.safetensors")

    settings = {"epochs": max(epochs), "ema_decay": EMA_DECAY}
    _run(name, data, held_out, UNetConfig(WIDTH), keep, **settings)
    metrics = {row["epoch"]: row for row in read_metrics(kept.parent)}
    return [(kept / f"{epoch}.safetensors", metrics[epoch]) for epoch in epochs]


def on_fewer_recordings(
    data: SpectrogramSet, held_out: SpectrogramSet, share: float, passes: int = PASSES
) -> Path:
    """The default network, trained on that share of the pictures; returns its weights.

    They are repeated until they are as many as there were, so that all shares make equally many
    steps between validations.
    """
    fewer = copy.copy(data)
    fewer.rows = np.resize(data.rows[: round(len(data) * share)], len(data))
    return _run(f"trial_{share:.0%}_of_recordings", fewer, held_out, UNetConfig(), epochs=passes)


def told(data: SpectrogramSet, held_out: SpectrogramSet, epochs: int) -> Path:
    """The default network, told the condition that the data were opened with, if any; returns its
    weights."""
    name = f"trial_{data.path.stem}_{data.condition or 'untold'}"
    return _run(name, data, held_out, UNetConfig(), epochs=epochs, condition=data.condition)


def _run(name, data, held_out, network, keep=None, **settings) -> Path:
    lines, folder = TrainingLines(), data_folder() / "runs" / name

    def callback(progress: Progress) -> None:
        lines(progress)
        if keep:
            keep(progress)

    config = TrainConfig(
        dataset=data.path.name,
        image_size=data.params.image_size,
        name=name,
        num_samples=0,
        sample_every=NEVER,
        **settings,
    )
    train(config, data, held_out, folder, network, callback=callback)
    return folder / WEIGHTS
