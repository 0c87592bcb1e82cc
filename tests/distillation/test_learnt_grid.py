"""Learnt time grids: the best path is the best of all; a learnt grid is nearer to many steps."""

import itertools

import numpy as np
import pytest
import torch

from ddpmlib.diffusion.ddpm import DDPM
from ddpmlib.diffusion.samplers import SAMPLERS, run_sampler
from ddpmlib.diffusion.schedules import noise_schedule, sampling_timesteps
from ddpmlib.distillation.learnt_grid import (
    best_path,
    learn_time_grid,
    local_errors,
    save_time_grid,
    with_time_grid,
)
from ddpmlib.models.unet import UNetConfig

NOISE_STEPS = 200


@pytest.mark.parametrize("num_steps", [1, 2, 3, 5])
def test_the_best_path_is_the_best_of_all(num_steps):
    count = 6
    errors = np.random.default_rng(num_steps).random((count + 1, count, count + 1))

    def total(path: tuple[int, ...]) -> float:
        stops = [count, 0, *path, count]
        ways = zip(stops, stops[1:], stops[2:], strict=False)
        return sum(errors[before, start, end] for before, start, end in ways)

    paths = itertools.combinations(range(1, count), num_steps - 1)
    best = min(paths, key=total)
    for before, start, end in itertools.product(*map(range, errors.shape)):
        if end <= start or (start <= before < count):
            errors[before, start, end] = np.inf
    assert best_path(errors, num_steps) == [0, *best]


def two_values(alpha_bar: torch.Tensor):
    """The best network for pixels of -0.6 or 0.6: E[x_0 | x_t]."""

    def best(x_t, time):
        power = alpha_bar[(time[0] * len(alpha_bar)).round().long()].float()
        return 0.6 * torch.tanh(0.6 * power.sqrt() * x_t / (1 - power))

    return best


@pytest.mark.parametrize("sampler", ["dpmpp_2m", "ddim"])
def test_errors_of_single_steps_are_those_of_the_sampler(sampler):
    alpha_bar = noise_schedule("cosine", NOISE_STEPS)
    timesteps = sampling_timesteps(alpha_bar, 6, "log_snr")
    x_t, x_0 = [torch.randn((2, 1, 8, 8), generator=torch.Generator().manual_seed(1))], []
    how = alpha_bar, "x0", timesteps
    run_sampler(
        SAMPLERS[sampler](),
        two_values(alpha_bar),
        x_t[0],
        *how,
        callback=lambda _, later, predicted: (x_t.append(later), x_0.append(predicted)),
    )
    levels = [*(float(alpha_bar[t]) for t in timesteps), 1.0]
    errors = local_errors(sampler, x_t, x_0, levels)
    for start in range(6):  # the steps that were taken have none
        assert errors[start - 1 if start else 6, start, start + 1] < 1e-9
    assert errors[6, 0, 6] > 1e-2
    assert np.isinf(errors[3, 2, 4])


@pytest.mark.parametrize("num_steps", [4, 8])
def test_a_learnt_grid_is_nearer_to_many_steps_than_even_times(num_steps, monkeypatch, tmp_path):
    torch.manual_seed(0)
    model = DDPM(UNetConfig(width=8).build().eval(), noise_steps=NOISE_STEPS, prediction_type="x0")
    best = two_values(model.alpha_bar)
    monkeypatch.setattr("ddpmlib.distillation.learnt_grid.CANDIDATES", 50)
    monkeypatch.setattr(DDPM, "predict", lambda self, x_t, time, condition=None: best(x_t, time))
    grid = learn_time_grid(model, num_steps, count=1)
    assert grid[0] == NOISE_STEPS - 1
    assert len(set(grid)) == num_steps
    model = with_time_grid(model, grid)
    fine = model.sample(2, num_steps=100, seed=7)
    error = {
        name: np.abs(model.sample(2, num_steps=num_steps, seed=7, time_grid=name) - fine).mean()
        for name in ("learnt", "uniform")
    }
    assert error["learnt"] < 0.7 * error["uniform"]
    model.save(tmp_path / "model.safetensors")
    save_time_grid(tmp_path, (199, 3))
    save_time_grid(tmp_path, grid)
    assert DDPM.load(tmp_path).learnt_grids == {2: (199, 3), num_steps: grid}


def test_noisy_samplers_students_and_odd_numbers_are_refused():
    model = DDPM(UNetConfig(width=8).build().eval(), noise_steps=50)
    with pytest.raises(ValueError, match="sampler is 'ddpm'; needed: dpmpp_2m or ddim, which add"):
        learn_time_grid(model, 4, sampler="ddpm")
    with pytest.raises(ValueError, match="num_steps is 51; needed: 1 to 50"):
        learn_time_grid(model, 51)
    model.is_student = True
    with pytest.raises(ValueError, match="the model is a student, which has its noise steps"):
        learn_time_grid(model, 4)
