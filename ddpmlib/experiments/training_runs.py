"""The trainings behind the results of notebook 05, each a run of its own in `data/runs/`.

A run that exists is used; an unfinished one is resumed. The weights are evaluated without the
guiding model of the run.
"""

import copy
import shutil
from pathlib import Path

import numpy as np

from ddpmlib.data.dataset import SpectrogramSet
from ddpmlib.diffusion.ddpm import WEIGHTS
from ddpmlib.models.baseline import RECIPE, BaselineConfig
from ddpmlib.models.unet import UNetConfig
from ddpmlib.storage.atomic import make_folder
from ddpmlib.storage.paths import data_folder
from ddpmlib.training.config import TrainConfig
from ddpmlib.training.loop import train
from ddpmlib.training.progress import Progress, TrainingLines
from ddpmlib.training.run_directory import read_metrics

WIDTH, EMA_DECAY = 64, 0.9995  # of the shipped weights' first training
EPOCHS = (2, 5, 10, 20, 30, 40, 60)  # after which its weights are evaluated
FEWER_RECORDINGS_EPOCHS = 18  # of the trainings on fewer recordings; six minutes of two cores
NEVER = 10**6


def this_and_baseline(
    data: SpectrogramSet, held_out: SpectrogramSet, minutes: float
) -> tuple[Path, Path]:
    """Trainings of as many minutes, one after the other: this workbook's network and settings, and
    the baseline's. Returns their weights."""
    limit = {"epochs": NEVER, "max_minutes": minutes}
    this = limit | {"ema_decay": EMA_DECAY}
    return (
        _run("experiment_this_workbook", data, held_out, UNetConfig(WIDTH), **this),
        _run("experiment_baseline", data, held_out, BaselineConfig(), **limit | RECIPE),
    )


def weights_by_epoch(data: SpectrogramSet, held_out: SpectrogramSet) -> list[tuple[Path, dict]]:
    """One training; returns weights after each of EPOCHS, and the metrics of that epoch."""
    name = "experiment_minutes"
    epochs = make_folder(data_folder() / "runs" / name / "epochs")

    def copy_weights(progress: Progress) -> None:
        if progress.metrics and progress.epoch in EPOCHS:
            shutil.copy(epochs.parent / WEIGHTS, epochs / f"{progress.epoch}.safetensors")

    settings = {"epochs": max(EPOCHS), "ema_decay": EMA_DECAY}
    _run(name, data, held_out, UNetConfig(WIDTH), copy_weights, **settings)
    metrics = {row["epoch"]: row for row in read_metrics(epochs.parent)}
    return [(epochs / f"{epoch}.safetensors", metrics[epoch]) for epoch in EPOCHS]


def on_fewer_recordings(data: SpectrogramSet, held_out: SpectrogramSet, share: float) -> Path:
    """The default network, trained on that share of the data; returns its weights.

    The share is repeated to the size of the whole, so that all shares make equally many steps
    between validations.
    """
    fewer = copy.copy(data)
    fewer.rows = np.resize(data.rows[: round(len(data) * share)], len(data))
    name = f"experiment_{share:.0%}_of_recordings"
    return _run(name, fewer, held_out, UNetConfig(), epochs=FEWER_RECORDINGS_EPOCHS)


def conditional(data: SpectrogramSet, held_out: SpectrogramSet, epochs: int) -> Path:
    """The default network, conditioned on what the data were opened with, if anything; returns its
    weights."""
    name = f"experiment_{data.path.stem}_{data.condition or 'unconditional'}"
    return _run(name, data, held_out, UNetConfig(), epochs=epochs, condition=data.condition)


def _run(name, data, held_out, network, callback=None, **settings) -> Path:
    lines, folder = TrainingLines(), data_folder() / "runs" / name

    def report(progress: Progress) -> None:
        lines(progress)
        if callback:
            callback(progress)

    config = TrainConfig(
        dataset=data.path.name,
        image_size=data.params.image_size,
        name=name,
        num_samples=0,
        sample_every=NEVER,
        **settings,
    )
    train(config, data, held_out, folder, network, callback=report)
    return folder / WEIGHTS
