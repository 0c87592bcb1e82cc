"""Samplers: how each step goes from x_t to a less noisy one.

A sampler is a function that makes a `Step`; `run_sampler` is the loop that all of them share. To
add one, write its step here and put it into SAMPLERS.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import torch

from ddpmlib.diffusion.process import Model, predict
from ddpmlib.diffusion.schedules import log_snr
from ddpmlib.storage.parameters import check_seed

NUM_STEPS = 12  # of DPM-Solver++(2M); notebook 05 has others
# See `guidance.guided`; more is clearer and less varied, and in a young model fills the pauses.
GUIDANCE_SCALE = 1.5

# (x_t, predicted x_0, predicted eps, alpha_bar at t, alpha_bar where the step leads) -> next x_t.
Step = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, float, float], torch.Tensor]
# (step counted from 0, x_t after the step, predicted x_0); returns nothing.
Callback = Callable[[int, torch.Tensor, torch.Tensor], None]


def seeded(seed: int) -> torch.Generator:
    """Random numbers of the CPU; raises ValueError, see `check_seed`."""
    check_seed(seed)
    return torch.Generator().manual_seed(seed)


def run_sampler(
    step: Step,
    model: Model,
    x_t: torch.Tensor,
    alpha_bar: torch.Tensor,
    prediction_type: str,
    timesteps: Sequence[int],
    callback: Callback | None = None,
) -> torch.Tensor:
    """From noise to x_0, one evaluation of the model in each step.

    Args:
        step: of a sampler, made anew for each run.
        x_t: (batch, 1, n_mels, n_frames) standard normal noise.
        timesteps: falling steps to visit; the betas between them follow from alpha_bar.

    Returns:
        x_0 of the shape of x_t, in [-1, 1].
    """
    levels = [float(alpha_bar[t]) for t in timesteps]
    next_levels = [*levels[1:], 1.0]
    for i, (t, now, before) in enumerate(zip(timesteps, levels, next_levels, strict=True)):
        x_0, eps = predict(model, x_t, t, alpha_bar, prediction_type)
        x_t = step(x_t, x_0, eps, now, before)
        if callback:
            callback(i, x_t, x_0)
    return x_t


def ddpm(generator: torch.Generator | None = None) -> Step:
    """Ancestral sampling: Ho et al. 2020, algorithm 2, posterior of eq. 6 and 7.

    Args:
        generator: of the noise added in each step but the last.
    """

    def step(x_t, x_0, eps, now, before):
        alpha = now / before
        beta = 1 - alpha
        mean = before**0.5 * beta / (1 - now) * x_0 + alpha**0.5 * (1 - before) / (1 - now) * x_t
        if before == 1:
            return mean
        return mean + (beta * (1 - before) / (1 - now)) ** 0.5 * _noise_like(x_t, generator)

    return step


def ddim(generator: torch.Generator | None = None, eta: float = 0.0) -> Step:
    """Song et al. 2021 ("Denoising Diffusion Implicit Models"), eq. 12 and 16.

    Args:
        eta: 0 is deterministic, 1 adds as much noise as DDPM.

    Raises:
        ValueError: eta outside 0...1.
    """
    if not 0 <= eta <= 1:
        raise ValueError(f"eta is {eta}; it must be 0 to 1")

    def step(x_t, x_0, eps, now, before):
        sigma = eta * ((1 - before) / (1 - now) * (1 - now / before)) ** 0.5
        mean = before**0.5 * x_0 + max(0.0, 1 - before - sigma**2) ** 0.5 * eps
        return mean + sigma * _noise_like(x_t, generator) if sigma > 0 else mean

    return step


def dpmpp_2m(generator: torch.Generator | None = None) -> Step:
    """DPM-Solver++(2M): Lu et al. 2022 (arXiv 2211.01095), algorithm 2.

    First and last step are of first order. Deterministic: `generator` is not used.
    """
    previous: list[tuple[torch.Tensor, float]] = []  # x_0 and h of the step before

    def step(x_t, x_0, eps, now, before):
        if before == 1:
            return x_0  # sigma 0: what remains is the prediction itself
        h = float(log_snr(before) - log_snr(now))  # lambda_t - lambda_s
        slope = x_0
        if previous:
            previous_x_0, previous_h = previous.pop()
            slope = x_0 + h / previous_h / 2 * (x_0 - previous_x_0)
        previous.append((x_0, h))
        return ((1 - before) / (1 - now)) ** 0.5 * x_t - before**0.5 * math.expm1(-h) * slope

    return step


SAMPLERS: dict[str, Callable[..., Step]] = {"ddpm": ddpm, "ddim": ddim, "dpmpp_2m": dpmpp_2m}


def settings_of(
    noise_steps: int,
    learnt_grids: Mapping[int, Sequence[int]],
    is_student: bool,
    sampler: str | None = None,
    num_steps: int | None = None,
    time_grid: str | None = None,
    guidance_scale: float | None = None,
) -> dict:
    """Sampler, num_steps, time_grid and guidance_scale, with defaults for what is None: the fewest
    steps that a grid was learnt for, or NUM_STEPS even in log-SNR.

    Of a student (`distillation.Teacher`) they are what it was distilled for, and no others are
    possible.

    Args:
        noise_steps, learnt_grids, is_student: of the model.

    Raises:
        ValueError: unknown sampler, or one of them is another than the student's.
    """
    if sampler not in (None, *SAMPLERS):
        raise ValueError(f"sampler is {sampler!r}; needed: {', '.join(SAMPLERS)}")
    given = {"sampler": sampler, "num_steps": num_steps, "time_grid": time_grid}
    given["guidance_scale"] = guidance_scale
    few = min(learnt_grids, default=min(NUM_STEPS, noise_steps))
    steps = few if num_steps is None else num_steps
    grid = "learnt" if steps in learnt_grids else "log_snr"
    values = "dpmpp_2m", steps, grid, GUIDANCE_SCALE
    if is_student:
        values = "ddim", *learnt_grids, "learnt", 1.0
        own = dict(zip(given, values, strict=True))
        for name, value in given.items():
            if value not in (None, own[name]):
                needed = ", ".join(f"{key} {wanted!r}" for key, wanted in own.items())
                raise ValueError(f"{name} is {value!r}; this student needs {needed}")
    chosen = {name: value for name, value in given.items() if value is not None}
    return dict(zip(given, values, strict=True)) | chosen


def _noise_like(x: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
    # Drawn on the CPU: the same seed gives the same mel-spectrogram on every device.
    return torch.randn(x.shape, generator=generator).to(x.device)
