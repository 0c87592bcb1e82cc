"""What makes the experiments small enough for tests: a tiny network, few clips, few resamples."""

from functools import partial

import pytest

from ddpmlib.experiments import training_runs
from ddpmlib.metrics import statistics
from ddpmlib.models.unet import UNetConfig
from ddpmlib.training.config import TrainConfig

METRICS = {"speech_share", "dnsmos", "dnsmos_p808", "phones_per_second", "phone_entropy"}
METRICS |= {"bigrams_per_1000", "bigram_divergence", "frechet"}
TINY = UNetConfig(width=8, multipliers=(1, 2), heads=2)


def shrink(patch: pytest.MonkeyPatch) -> None:
    """For the whole of a module-scoped fixture."""
    patch.setenv("LOKY_MAX_CPU_COUNT", "1")  # clips are scored in this process
    patch.setattr(statistics, "RESAMPLES", 50)
    patch.setattr(training_runs, "UNetConfig", lambda width=8: TINY)
    patch.setattr(training_runs, "BaselineConfig", lambda: TINY)
    patch.setattr(training_runs, "TrainConfig", partial(TrainConfig, batch_size=8))
