"""A time grid learnt for one model: the few noise steps from which a sampler errs least.

Along one fine sampling all predictions are known, and so is where any long step would lead from any
of its points: no further evaluation of the network is needed to compare all grids. The best one
follows by dynamic programming, as in Watson et al. 2021 ("Learning to Efficiently Sample from
Diffusion Probabilistic Models"), whose cost is a likelihood; here it is the distance to the fine
sampling, as in Sabour et al. 2024 ("Align Your Steps").
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ddpmlib.diffusion.ddpm import DDPM
from ddpmlib.diffusion.samplers import SAMPLERS
from ddpmlib.diffusion.schedules import LEARNT_GRIDS, read_time_grids, sampling_timesteps
from ddpmlib.storage.atomic import atomic_write

CANDIDATES = 100  # noise steps of the fine sampling, of which a grid is chosen
DETERMINISTIC = ("dpmpp_2m", "ddim")


def learn_time_grid(
    model: DDPM,
    num_steps: int,
    count: int = 4,
    seed: int = 0,
    sampler: str = "dpmpp_2m",
    guidance_scale: float | None = None,
    condition=None,
) -> tuple[int, ...]:
    """The grid of `num_steps` noise steps whose samples are expected nearest to those of CANDIDATES
    steps from the same noise.

    Args:
        count: samples whose errors are averaged; memory grows with it.
        seed, guidance_scale, condition: of these samples, see `DDPM.sample`.

    Returns:
        Falling noise steps, the first of them pure noise.

    Raises:
        ValueError: a sampler with noise of its own, a student, or num_steps out of range.
    """
    if sampler not in DETERMINISTIC:
        needed = f"{' or '.join(DETERMINISTIC)}, which add no noise"
        raise ValueError(f"sampler is {sampler!r}; needed: {needed}")
    if model.is_student:
        raise ValueError("the model is a student, which has its noise steps; needed: its teacher")
    candidates = min(CANDIDATES, model.noise_steps)
    if not 1 <= num_steps <= candidates:
        raise ValueError(f"num_steps is {num_steps}; needed: 1 to {candidates}")
    x_t, x_0 = [model.noise(count, seed)], []

    def remember(_, later: torch.Tensor, predicted: torch.Tensor) -> None:
        x_t.append(later.cpu())
        x_0.append(predicted.cpu())

    fine = {"num_steps": candidates, "time_grid": "log_snr", "batch_size": count}
    how = fine | {"guidance_scale": guidance_scale, "condition": condition, "callback": remember}
    model.sample(count, sampler, seed=seed, **how)
    timesteps = sampling_timesteps(model.alpha_bar, candidates, "log_snr")
    levels = [*(float(model.alpha_bar[t]) for t in timesteps), 1.0]
    chosen = best_path(local_errors(sampler, x_t, x_0, levels), num_steps)
    return tuple(timesteps[i] for i in chosen)


def local_errors(
    sampler: str, x_t: Sequence[torch.Tensor], x_0: Sequence[torch.Tensor], levels: Sequence[float]
) -> np.ndarray:
    """Mean squared error of single steps between points of a fine sampling.

    An error at a noisy point shrinks on the way to x_0: of Gaussian data by deviation /
    sqrt(alpha_bar deviation^2 + 1 - alpha_bar). It counts as what is left of it.

    Args:
        x_t: of its n points, and the end.
        x_0: predicted at each of the n.
        levels: alpha_bar of the n, and 1.

    Returns:
        (n + 1, n, n + 1): [before, from, to], for the sampler that came to `from` by way of
        `before`, or (before = n) begins there. Infinite where that is no way forward.
    """
    count = len(x_0)
    points = torch.stack([*x_t, *x_0]).double().flatten(1)
    products = (points @ points.T / points.shape[1]).numpy()
    variance = float(x_t[-1].double().var())
    errors = np.full((count + 1, count, count + 1), np.inf)
    for start in range(count):
        for before in range(start) if start else [count]:
            for end in range(start + 1, count + 1):
                parts = [start, count + 1 + start, end, count + 1 + before]
                parts = parts if before < count else parts[:-1]
                weights = _weights(sampler, levels, before, start, end)[: len(parts)]
                error = weights @ products[np.ix_(parts, parts)] @ weights
                left = variance / (levels[end] * variance + 1 - levels[end])
                errors[before, start, end] = max(0.0, error) * left
    return errors


def _weights(
    sampler: str, levels: Sequence[float], before: int, start: int, end: int
) -> np.ndarray:
    """The error of one step as weights of x_t and x_0 at its start, of the x_t where it should have
    led, and of x_0 one step before. Samplers are linear in these, so unit vectors show them."""
    x_t, x_0, wanted, previous = np.eye(4)
    step = SAMPLERS[sampler]()

    def to(x_t: np.ndarray, x_0: np.ndarray, now: float, later: float) -> np.ndarray:
        eps = (x_t - now**0.5 * x_0) / (1 - now) ** 0.5
        return step(x_t, x_0, eps, now, later)

    if before < start:
        to(0 * x_t, previous, levels[before], levels[start])
    return to(x_t, x_0, levels[start], levels[end]) - wanted


def best_path(errors: np.ndarray, num_steps: int) -> list[int]:
    """The `num_steps` points, from the first on, with the least sum of errors to the end.

    Args:
        errors: of `local_errors`.
    """
    count = errors.shape[1]
    # total[i, j]: least sum to point j, by way of i; came[...]: from where to i, for each step.
    total = np.full((count + 1, count + 1), np.inf)
    total[0] = errors[count, 0]
    came = []
    for _ in range(num_steps - 1):
        ways = total[: count + 1, :count, None] + errors
        came.append(ways.argmin(axis=0))
        total = np.full((count + 1, count + 1), np.inf)
        total[:count] = ways.min(axis=0)
    path = [int(total[:count, count].argmin())]
    behind = count
    for origin in reversed(came):
        point, earlier = path[0], int(origin[path[0], behind])
        path.insert(0, earlier)
        behind = point
    return path


def save_time_grid(folder: Path, timesteps: Sequence[int]) -> None:
    """Add a learnt grid to those of a run, in place of one of as many steps."""
    grids = read_time_grids(folder) | {len(timesteps): tuple(timesteps)}
    with atomic_write(folder / LEARNT_GRIDS) as temporary:
        content = {"timesteps": {str(n): list(grids[n]) for n in sorted(grids)}}
        temporary.write_text(json.dumps(content, indent=1), "utf-8")


def with_time_grid(model: DDPM, timesteps: Sequence[int]) -> DDPM:
    """The model with one more learnt grid, its default for so many steps."""
    return replace(model, learnt_grids=model.learnt_grids | {len(timesteps): tuple(timesteps)})
