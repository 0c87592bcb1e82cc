"""Per-step random streams and learning-rate schedule: functions of (config, step) alone.

So a resumed run does what an uninterrupted one would, and neither sampling nor validation nor the
number of processes changes it.
"""

import numpy as np
import torch

from ddpmlib.training.config import TrainConfig

ORDER, TIMES, NOISE, DROPOUT, LESSON = range(5)  # one stream of random numbers each
LESSONS = 512  # mel-spectrograms of an epoch of a student, see `distillation.teacher`
LOGIT_SPREAD = 1.25  # standard deviation of log(t / (1 - t)); 1.7 is nearly even; see notebook 05
DECAY_FROM = 0.7  # of the run; what was learned until then fits a run of any length


def done(config: TrainConfig, epochs: float, seconds: float) -> float:
    """Share of the run, 0...1: by epochs or by minutes, whichever ends first."""
    by_minutes = seconds / 60 / config.max_minutes if config.max_minutes else 0
    return min(1.0, max(epochs / config.epochs, by_minutes))


def decay(share: float) -> float:
    """Of the learning rate: 1 for most of the run, then a straight line down to a twentieth at its
    end (Hägele et al. 2024, "Scaling Laws and Compute-Optimal Training Beyond Fixed Training
    Durations")."""
    return 1 - 0.95 * max(0.0, share - DECAY_FROM) / (1 - DECAY_FROM)


def learning_rate(config: TrainConfig, step: int, share: float) -> float:
    """Linear warm-up, then `decay`.

    Args:
        step: counted from 0.
        share: of the run that is done, 0...1.
    """
    warm = min(1.0, (step + 1) / config.warmup_steps)
    return config.learning_rate * warm * decay(share)


def order(config: TrainConfig, epoch: int, count: int) -> torch.Tensor:
    """Indices (steps, batch_size) of an epoch over `count` mel-spectrograms. Those that do not fill
    a last batch are left out, different ones in each epoch."""
    steps, generator = _steps_of_pass(config, count), _stream("cpu", config.seed, ORDER, epoch)
    times = config.batch_size if count < config.batch_size else 1
    drawn = torch.cat([torch.randperm(count, generator=generator) for _ in range(times)])
    return drawn[: steps * config.batch_size].view(steps, config.batch_size)


def batches(config: TrainConfig, epoch: int, count: int) -> list[tuple[int, torch.Tensor]]:
    """Of each step of an epoch the number of its batch, which times, noise and dropout follow from,
    and the indices (batch_size,) of `order`. All numbers are new, but those of a student."""
    steps, each = epoch_steps(config, count), _steps_of_pass(config, count)
    numbers = range(epoch * steps, (epoch + 1) * steps)
    if config.student_steps:
        drawn = torch.randperm(steps, generator=_stream("cpu", config.seed, LESSON, epoch))
        numbers = drawn.tolist()
    orders = {i: order(config, i, count) for i in {number // each for number in numbers}}
    return [(number, orders[number // each][number % each]) for number in numbers]


def epoch_steps(config: TrainConfig, count: int) -> int:
    """Steps of an epoch over `count` mel-spectrograms; of a student over LESSONS."""
    if config.student_steps:
        return max(1, LESSONS // config.batch_size)
    return _steps_of_pass(config, count)


def _steps_of_pass(config: TrainConfig, count: int) -> int:
    """Steps of a pass over `count` mel-spectrograms; of fewer than a batch each comes `batch_size`
    times, with another time and other noise."""
    return count // config.batch_size or count


def times(config: TrainConfig, step: int) -> torch.Tensor:
    """Noise steps t (batch_size,) in 0 ... noise_steps - 1.

    Evenly spread over the batch with one random offset, which makes the loss less noisy (Kingma et
    al. 2021, "Variational Diffusion Models", appendix I.1); with time_sampling "logit_normal" over
    a normal distribution of log(t / (1 - t)), which prefers the middle (Esser et al. 2024, "Scaling
    Rectified Flow Transformers for High-Resolution Image Synthesis", eq. 19).
    """
    offset = torch.rand(1, generator=_stream("cpu", config.seed, TIMES, step))
    spread = (offset + torch.arange(config.batch_size) / config.batch_size) % 1
    if config.time_sampling == "logit_normal":
        spread = (LOGIT_SPREAD * torch.special.ndtri(spread)).sigmoid()
    return (spread * config.noise_steps).long()


def noise(config: TrainConfig, step: int, device: torch.device) -> torch.Tensor:
    """Standard normal (batch_size, 1, n_mels, n_frames), drawn on the device that needs it."""
    shape = (config.batch_size, 1, *config.image_size)
    generator = _stream(device, config.seed, NOISE, step)
    return torch.randn(shape, generator=generator, device=device)


def dropped(config: TrainConfig, step: int) -> torch.Tensor:
    """Which items (batch_size,) get the null condition, for classifier-free guidance (Ho & Salimans
    2022, algorithm 1)."""
    generator = _stream("cpu", config.seed, DROPOUT, step)
    return torch.rand(config.batch_size, generator=generator) < config.condition_dropout


def _stream(device: str | torch.device, *numbers: int) -> torch.Generator:
    # Mixed first: on a processor torch uses only the lower 32 bits of a seed.
    mixed = np.random.SeedSequence(numbers).generate_state(1, np.uint64)
    return torch.Generator(device).manual_seed(int(mixed[0]))
