"""A training in lines of text, for commands, several processes and papermill."""

import time

from ddpmlib.config import Progress

HEARTBEAT = 55.0  # seconds between printed lines; papermill saves only when something is printed


class TrainingLines:
    """Callback of `train`: a printed line at least once a minute."""

    def __init__(self):
        self.printed = -float("inf")

    def __call__(self, progress: Progress) -> None:
        if progress.share >= 1 or time.monotonic() - self.printed > HEARTBEAT:
            self.printed = time.monotonic()
            print(progress_line(progress), flush=True)


def progress_line(progress: Progress) -> str:
    """One line about a running training."""
    left = progress.minutes * (1 / max(progress.share, 1e-3) - 1)
    return (
        f"{progress.minutes:5.1f} min, about {left:.1f} left; epoch {progress.epoch}, "
        f"step {progress.step}, loss {progress.loss:.4f}"
    )
