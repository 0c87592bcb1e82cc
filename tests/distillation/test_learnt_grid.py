"""Learnt time grids: nearer to many steps than the others; saved; refused where there are none."""

import numpy as np
import pytest
import torch

from ddpmlib.diffusion.ddpm import DDPM
from ddpmlib.distillation.learnt_grid import learn_time_grid, save_time_grid, with_time_grid
from ddpmlib.models.unet import UNetConfig

NOISE_STEPS = 200


def two_values(alpha_bar: torch.Tensor):
    """The best network for pixels of -0.6 or 0.6: E[x_0 | x_t]."""

    def best(x_t, time):
        power = alpha_bar[(time[0] * len(alpha_bar)).round().long()].float()
        return 0.6 * torch.tanh(0.6 * power.sqrt() * x_t / (1 - power))

    return best


@pytest.mark.parametrize("num_steps", [3, 4])
def test_a_learnt_grid_is_nearer_to_many_steps_than_the_others(num_steps, monkeypatch, tmp_path):
    torch.manual_seed(0)
    model = DDPM(UNetConfig(width=8).build().eval(), noise_steps=NOISE_STEPS, prediction_type="x0")
    best = two_values(model.alpha_bar)
    monkeypatch.setattr(DDPM, "predict", lambda self, x_t, time, condition=None: best(x_t, time))
    grid = learn_time_grid(model, num_steps, count=2)
    assert grid[0] == NOISE_STEPS - 1
    assert sorted(set(grid), reverse=True) == list(grid)
    assert len(grid) == num_steps
    model = with_time_grid(model, grid)
    fine = model.sample(2, num_steps=100, seed=7)
    error = {
        name: np.abs(model.sample(2, num_steps=num_steps, seed=7, time_grid=name) - fine).mean()
        for name in ("learnt", "log_snr", "uniform")
    }
    assert error["learnt"] < 0.9 * error["log_snr"]
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
