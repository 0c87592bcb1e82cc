"""Noise schedules: how much noise in which step, and which steps a sampler visits."""

import math

import torch

SCHEDULES = ("linear", "cosine")
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


def sampling_timesteps(noise_steps: int, num_steps: int, strength: float = 1.0) -> list[int]:
    """The noise steps that a sampler visits: noisiest first, evenly spaced.

    "Trailing" spacing of Lin et al. 2024 ("Common Diffusion Noise Schedules and Sample Steps Are
    Flawed", table 2): always begins at pure noise; num_steps = noise_steps visits every one.

    Args:
        strength: share of the noise steps that are undone, for editing (see `Edit`); below
            num_steps / noise_steps there are fewer than num_steps.

    Raises:
        ValueError: num_steps outside 1 ... noise_steps, or strength outside 0 ... 1.
    """
    if not 1 <= num_steps <= noise_steps:
        needed = f"1 to {noise_steps}, the noise steps of training"
        raise ValueError(f"num_steps is {num_steps}; needed: {needed}")
    if not 0 < strength <= 1:
        raise ValueError(f"strength is {strength}; it must be above 0 and at most 1")
    first = max(1, round(strength * noise_steps))
    num_steps = min(num_steps, first)
    return [round(first - i * first / num_steps) - 1 for i in range(num_steps)]
