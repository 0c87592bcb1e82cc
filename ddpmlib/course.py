"""The course of a training: what each step does, from (config, step) alone.

So a resumed run does what an uninterrupted one would, and neither sampling nor validation nor the
number of processes changes it.
"""

import math

import numpy as np
import torch

from ddpmlib.condition import silenced
from ddpmlib.config import TrainConfig
from ddpmlib.dataset import SpectrogramSet

ORDER, TIMES, NOISE, SILENCE = range(4)  # what a random draw is for


def learning_rate(config: TrainConfig, step: int, share: float) -> float:
    """Linear warm-up, then half a cosine down to a twentieth at the end of the run.

    Args:
        step: counted from 0.
        share: of the run that is done, 0...1.
    """
    warm = min(1.0, (step + 1) / config.warmup_steps)
    return config.learning_rate * warm * (0.05 + 0.95 * (1 + math.cos(math.pi * share)) / 2)


def order(config: TrainConfig, epoch: int, pictures: int) -> torch.Tensor:
    """Indices of the pictures of an epoch, (steps, batch_size); pictures that do not fill a last
    batch are left out, different ones in each epoch."""
    steps = pictures // config.batch_size
    drawn = torch.randperm(pictures, generator=_seeded("cpu", config.seed, ORDER, epoch))
    return drawn[: steps * config.batch_size].view(steps, config.batch_size)


def times(config: TrainConfig, step: int) -> torch.Tensor:
    """Noise steps t (batch_size,) in 0 ... noise_steps - 1 for the pictures of a step.

    Evenly spread over the batch with one random offset, which makes the loss less noisy (Kingma et
    al. 2021, "Variational Diffusion Models", appendix I.1).
    """
    offset = torch.rand(1, generator=_seeded("cpu", config.seed, TIMES, step))
    spread = (offset + torch.arange(config.batch_size) / config.batch_size) % 1
    return (spread * config.noise_steps).long()


def noise(config: TrainConfig, step: int, device: torch.device) -> torch.Tensor:
    """Standard normal noise (batch_size, 1, height, width) of a step, drawn where it is needed."""
    generator = _seeded(device, config.seed, NOISE, step)
    shape = (config.batch_size, 1, *config.image_size)
    return torch.randn(shape, generator=generator, device=device)


def silent(config: TrainConfig, step: int) -> torch.Tensor:
    """Which pictures (batch_size,) of a step are seen without their condition, so that the network
    also learns what is likely when nothing is said."""
    generator = _seeded("cpu", config.seed, SILENCE, step)
    return torch.rand(config.batch_size, generator=generator) < config.condition_dropout


def said(
    config: TrainConfig, step: int, data: SpectrogramSet, indices: list[int], mine: slice
) -> torch.Tensor | None:
    """What the network is told of pictures in a step, (n, ...): of some of them, nothing.

    Args:
        indices: of the pictures, those that are `mine` of the batch.
    """
    condition = data.conditions(indices)
    return (
        condition
        if condition is None
        else silenced(data.kind, condition, silent(config, step)[mine])
    )


def _seeded(device: str | torch.device, *numbers: int) -> torch.Generator:
    # Mixed first: on a processor torch heeds only the lower 32 bits of a seed.
    mixed = np.random.SeedSequence(numbers).generate_state(1, np.uint64)
    return torch.Generator(device).manual_seed(int(mixed[0]))
