"""Noise schedules: how much noise in which step, and which steps a sampler visits."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike

SCHEDULES = ("linear", "cosine")
TIME_GRIDS = ("log_snr", "uniform", "learnt")
LEARNT_GRIDS = "time_grids.json"  # in the folder of a run
LOG_SNR = (-4.3, 4.0)  # first and last lambda of a time grid; notebook 05 has others
MIN_NOISE_STEPS, MAX_NOISE_STEPS = 10, 100_000
MAX_FINAL_ALPHA_BAR = 1e-3


def noise_schedule(name: str, noise_steps: int) -> torch.Tensor:
    """alpha_bar (noise_steps,) float64: the share of signal power left after each step.

    "linear": Ho et al. 2020, betas 1e-4 ... 0.02 for 1000 steps, rescaled so that alpha_bar ends
    close to 0 for any number of steps. "cosine": Nichol & Dhariwal 2021, eq. 17. Betas are capped
    at 0.999, which the linear ones reach below about 20 steps.

    Raises:
        ValueError: unknown name, fewer than MIN_NOISE_STEPS or more than MAX_NOISE_STEPS, or signal
            left at the last step.
    """
    if name not in SCHEDULES:
        raise ValueError(f"schedule is {name!r}; needed: {' or '.join(SCHEDULES)}")
    if not MIN_NOISE_STEPS <= noise_steps <= MAX_NOISE_STEPS:
        needed = f"{MIN_NOISE_STEPS} to {MAX_NOISE_STEPS}"
        raise ValueError(f"noise_steps is {noise_steps}; needed: {needed}")
    if name == "linear":
        scale = 1000 / noise_steps
        betas = torch.linspace(1e-4 * scale, 0.02 * scale, noise_steps, dtype=torch.float64)
    else:
        times = torch.arange(noise_steps + 1, dtype=torch.float64) / noise_steps
        signal = torch.cos((times + 0.008) / 1.008 * math.pi / 2) ** 2
        betas = 1 - signal[1:] / signal[:-1]
    alpha_bar = torch.cumprod(1 - betas.clamp(max=0.999), dim=0)
    if alpha_bar[-1] >= MAX_FINAL_ALPHA_BAR:
        raise ValueError(
            f"{name} schedule of {noise_steps} steps leaves alpha_bar {alpha_bar[-1]:.3g} at its "
            f"end; needed: below {MAX_FINAL_ALPHA_BAR}, or sampling starts from noise never seen"
        )
    return alpha_bar


def read_time_grids(folder: Path) -> dict[int, tuple[int, ...]]:
    """Learnt time grids of a run, number of steps -> noise steps; empty where none are learnt.

    Raises:
        ValueError: the file holds something else.
    """
    path = folder / LEARNT_GRIDS
    try:
        grids = json.loads(path.read_text("utf-8"))["timesteps"] if path.exists() else {}
        found = {int(count): tuple(map(int, grid)) for count, grid in grids.items()}
        whole = all(count == len(set(grid)) for count, grid in found.items())
    except (AttributeError, KeyError, TypeError, ValueError):
        whole = False
    if not whole:
        raise ValueError(f"{path} holds no time grids; needed: what `learn_time_grid` writes")
    return found


def log_snr(alpha_bar: ArrayLike) -> np.ndarray:
    """lambda = log(signal / sigma) of alpha_bar, which is on the CPU: half the logarithm of the
    signal-to-noise ratio (Lu et al. 2022, "DPM-Solver", section 2.1)."""
    power = np.asarray(alpha_bar, np.float64)
    return 0.5 * np.log(power / (1 - power))


def sampling_timesteps(
    alpha_bar: torch.Tensor,
    num_steps: int,
    time_grid: str = "uniform",
    strength: float = 1.0,
    learnt: Mapping[int, Sequence[int]] | None = None,
) -> list[int]:
    """The noise steps that a sampler visits: noisiest first, no one twice.

    All grids begin at pure noise, and with as many steps as alpha_bar has they visit every one.

    "uniform": evenly spaced in time, "trailing" as of Lin et al. 2024 ("Common Diffusion Noise
    Schedules and Sample Steps Are Flawed", table 2). "log_snr": evenly spaced in lambda between the
    bounds of LOG_SNR, as in Lu et al. 2022 ("DPM-Solver", section 3.3, there over the whole range):
    of few steps none is spent on noise that hides everything. "learnt": one of `learnt`, for this
    number of steps; see `distillation.learn_time_grid`.

    Args:
        strength: share of the noise steps that are undone, for editing (see `Edit`); where that
            leaves fewer than num_steps, each of them is visited.

    Raises:
        ValueError: unknown grid, none learnt for so many steps, num_steps outside 1 ...
            noise_steps, or strength outside 0 ... 1.
    """
    noise_steps, learnt = len(alpha_bar), learnt or {}
    if time_grid not in TIME_GRIDS:
        raise ValueError(f"time_grid is {time_grid!r}; needed: {', '.join(TIME_GRIDS)}")
    if not 1 <= num_steps <= noise_steps:
        needed = f"1 to {noise_steps}, the noise steps of training"
        raise ValueError(f"num_steps is {num_steps}; needed: {needed}")
    if not 0 < strength <= 1:
        raise ValueError(f"strength is {strength}; it must be above 0 and at most 1")
    first = max(1, round(strength * noise_steps))
    if time_grid == "learnt":
        if num_steps not in learnt:
            known = " or ".join(map(str, sorted(learnt))) or "another grid, none is learnt here"
            raise ValueError(f"num_steps is {num_steps} of a learnt time_grid; needed: {known}")
        return [first - 1, *(t for t in learnt[num_steps] if t < first - 1)]
    num_steps = min(num_steps, first)
    if time_grid == "uniform":
        return [round(first - i * first / num_steps) - 1 for i in range(num_steps)]
    most_noise = max(LOG_SNR[0], float(log_snr(alpha_bar[first - 1])))
    wanted = np.linspace(most_noise, max(LOG_SNR[1], most_noise), num_steps)
    return nearest_timesteps(alpha_bar[:first], wanted)


def nearest_timesteps(alpha_bar: torch.Tensor, wanted: np.ndarray) -> list[int]:
    """The noise steps nearest to rising values of lambda: noisiest first, no one twice; the first
    of them is the last one of alpha_bar, whatever is wanted there."""
    nearest = np.abs(log_snr(alpha_bar)[:, None] - wanted).argmin(axis=0).tolist()
    timesteps = [len(alpha_bar) - 1]
    for left, t in zip(range(len(wanted) - 2, -1, -1), nearest[1:], strict=True):
        timesteps.append(max(left, min(t, timesteps[-1] - 1)))
    return timesteps
