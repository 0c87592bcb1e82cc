"""Progress of a training run as lines of text, for commands, several processes and papermill."""

import time
from dataclasses import dataclass
from pathlib import Path

from ddpmlib.training.checkpoint import TrainState
from ddpmlib.training.config import TrainConfig

HEARTBEAT = 55.0  # seconds between printed lines; papermill saves only when something is printed


@dataclass(frozen=True)
class Progress:
    """Argument of a callback after each step; `metrics` and `samples` only when an epoch ends."""

    config: TrainConfig
    epoch: int  # counted from 1
    step: int  # counted from 1, over all epochs
    share: float  # of the run, 0...1, by epochs or minutes, whichever ends first
    minutes: float  # of training so far
    loss: float  # of this step
    metrics: dict | None = None  # the row of metrics.csv just written
    samples: tuple[Path, ...] = ()  # PNG and wav files just written
    epoch_share: float = 0.0  # of the epoch, 0...1


def progress_of(
    state: TrainState, loss: float, metrics: dict | None = None, samples: tuple[Path, ...] = ()
) -> Progress:
    """Where a training is after a step of this loss, the last of an epoch if there are metrics."""
    epoch = metrics["epoch"] if metrics else state.epoch + 1
    done = 1.0 if metrics else state.batch / state.steps_per_epoch
    args = state.config, epoch, state.step, state.share(), state.seconds / 60, loss
    return Progress(*args, metrics, samples, done)


class TrainingLines:
    """Callback of `train`: a printed line at least once a minute."""

    def __init__(self):
        self.printed = -float("inf")

    def __call__(self, progress: Progress) -> None:
        if progress.share >= 1 or time.monotonic() - self.printed > HEARTBEAT:
            self.printed = time.monotonic()
            print(progress_line(progress), flush=True)


def progress_line(progress: Progress) -> str:
    """Minutes, epoch, step and loss in one line."""
    left = progress.minutes * (1 / max(progress.share, 1e-3) - 1)
    return (
        f"{progress.minutes:5.1f} min, about {left:.1f} left; epoch {progress.epoch}, "
        f"step {progress.step}, loss {progress.loss:.4f}"
    )
