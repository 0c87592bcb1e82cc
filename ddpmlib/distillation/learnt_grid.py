"""A time grid learnt for one model: the few noise steps whose samples are nearest to those of many.

A search that moves one step at a time and compares whole samplings with a fine one from the same
noise: the aim of Tong et al. 2024 ("Learning to Discretize Denoising Diffusion ODEs"), without
gradients. Errors of single steps do not tell: what is decided wrongly in the noise grows on the way
to the mel-spectrogram, and grids by their sum (dynamic programming, as Watson et al. 2021) end
further from the fine sampling than where the search begins.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ddpmlib.diffusion.ddpm import DDPM
from ddpmlib.diffusion.schedules import LEARNT_GRIDS, read_time_grids, sampling_timesteps
from ddpmlib.storage.atomic import atomic_write

FINE = 100  # noise steps of the sampling to come near to
MOVES = (0.4, 0.2, 0.1)  # of the way to a neighbour, one round each
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
    """A grid of `num_steps` noise steps whose samples are near to those of FINE steps from the same
    noise: on these samples at least as near as by the grid "log_snr". Takes as long as some 6
    num_steps samplings of `count`.

    Args:
        count: samples to compare.
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
    fine = min(FINE, model.noise_steps)
    if not 1 <= num_steps <= fine:
        raise ValueError(f"num_steps is {num_steps}; needed: 1 to {fine}")
    how = {"seed": seed, "guidance_scale": guidance_scale, "condition": condition}
    wanted = model.sample(count, sampler, fine, time_grid="log_snr", **how)

    def distance(grid: Sequence[int]) -> float:
        used = with_time_grid(model, grid)
        return float(
            np.square(
                used.sample(count, sampler, num_steps, time_grid="learnt", **how) - wanted
            ).mean()
        )

    grid = sampling_timesteps(model.alpha_bar, num_steps, "log_snr")
    least = distance(grid)
    for share in MOVES:
        for i in range(1, num_steps):
            for neighbour in (grid[i - 1], grid[i + 1] if i + 1 < num_steps else -1):
                moved = round(grid[i] + share * (neighbour - grid[i]))
                if moved not in (grid[i], neighbour):
                    other = [*grid[:i], moved, *grid[i + 1 :]]
                    if (found := distance(other)) < least:
                        grid, least = other, found
                        break
    return tuple(grid)


def save_time_grid(folder: Path, timesteps: Sequence[int]) -> None:
    """Add a learnt grid to those of a run, in place of one of as many steps."""
    grids = read_time_grids(folder) | {len(timesteps): tuple(timesteps)}
    with atomic_write(folder / LEARNT_GRIDS) as temporary:
        content = {"timesteps": {str(n): list(grids[n]) for n in sorted(grids)}}
        temporary.write_text(json.dumps(content, indent=1), "utf-8")


def with_time_grid(model: DDPM, timesteps: Sequence[int]) -> DDPM:
    """The model with one more learnt grid: its default for so many steps, and with the fewest of
    all the default number of steps too."""
    return replace(model, learnt_grids=model.learnt_grids | {len(timesteps): tuple(timesteps)})
