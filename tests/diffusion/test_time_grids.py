"""Time grids: which noise steps are visited, and what a model or a student makes of them."""

import itertools
import json

import numpy as np
import pytest
import torch

from ddpmlib.diffusion.ddpm import DDPM
from ddpmlib.diffusion.samplers import SAMPLERS, run_sampler
from ddpmlib.diffusion.schedules import (
    LEARNT_GRIDS,
    LOG_SNR,
    SCHEDULES,
    log_snr,
    noise_schedule,
    sampling_timesteps,
)
from ddpmlib.models.unet import UNetConfig

GRIDS = {4: (99, 70, 40, 5)}


def small(**options) -> DDPM:
    torch.manual_seed(0)
    network = UNetConfig(width=8).build().eval()
    torch.nn.init.normal_(network.head.weight, std=0.05)
    return DDPM(network, noise_steps=100, **options)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("grid", ["uniform", "log_snr"])
@pytest.mark.parametrize("noise_steps", [10, 99, 1000])
def test_a_grid_has_as_many_steps_as_asked_for_and_falls_from_pure_noise(
    schedule, grid, noise_steps
):
    alpha_bar = noise_schedule(schedule, noise_steps)
    for num_steps in {1, 2, 5, 10, noise_steps // 2, noise_steps - 1, noise_steps}:
        timesteps = sampling_timesteps(alpha_bar, num_steps, grid)
        assert timesteps[0] == noise_steps - 1
        assert len(timesteps) == num_steps
        assert all(now > later >= 0 for now, later in itertools.pairwise([*timesteps, -1][:-1]))
        assert timesteps[-1] >= 0


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_steps_of_the_log_snr_grid_are_evenly_spaced_in_log_snr(schedule):
    alpha_bar = noise_schedule(schedule, 1000)
    timesteps = sampling_timesteps(alpha_bar, 12, "log_snr")
    levels = log_snr(alpha_bar[timesteps])
    wanted = np.linspace(*LOG_SNR, 12)
    assert np.abs(levels - wanted)[1:].max() < 0.1
    assert log_snr(0.5) == 0
    assert log_snr(1 / (1 + np.exp(-2))) == pytest.approx(1)


def test_few_steps_even_in_log_snr_end_nearer_to_the_exact_solution():
    """Pixels of a distribution of two values, whose best network is known; 500 steps are exact."""
    alpha_bar = noise_schedule("cosine", 1000)
    x_t = torch.randn((16, 1, 16, 16), generator=torch.Generator().manual_seed(2))

    def best(x_t, time):  # E[x_0 | x_t] of -0.6 or 0.6
        power = alpha_bar[(time[0] * 1000).round().long()].float()
        return 0.6 * torch.tanh(0.6 * power.sqrt() * x_t / (1 - power))

    def sample(num_steps: int, grid: str) -> torch.Tensor:
        timesteps = sampling_timesteps(alpha_bar, num_steps, grid)
        return run_sampler(SAMPLERS["dpmpp_2m"](), best, x_t, alpha_bar, "x0", timesteps)

    exact = sample(500, "log_snr")
    error = {grid: (sample(8, grid) - exact).abs().mean() for grid in ("uniform", "log_snr")}
    assert error["log_snr"] < 0.5 * error["uniform"]


def test_a_learnt_grid_is_used_for_its_number_of_steps_only():
    model = small(learnt_grids=GRIDS)
    assert model.settings(num_steps=4)["time_grid"] == "learnt"
    assert model.settings()["num_steps"] == min(GRIDS), "and by default, the fewest of them"
    assert model.settings(num_steps=5)["time_grid"] == "log_snr"
    visited = []
    model.sample(1, num_steps=4, callback=lambda i, x_t, x_0: visited.append(i))
    assert len(visited) == 4
    learnt, other = (model.sample(1, num_steps=4, time_grid=g) for g in ("learnt", "log_snr"))
    assert not np.array_equal(learnt, other)
    with pytest.raises(ValueError, match="num_steps is 5 of a learnt time_grid; needed: 4"):
        model.sample(1, num_steps=5, time_grid="learnt")
    with pytest.raises(ValueError, match="needed: another grid, none is learnt here"):
        small().sample(1, time_grid="learnt")
    with pytest.raises(ValueError, match="time_grid is 'even'; needed: log_snr, uniform, learnt"):
        model.sample(1, time_grid="even")


def test_learnt_grids_are_read_with_the_run(tmp_path):
    small().save(tmp_path / "model.safetensors")
    assert DDPM.load(tmp_path).learnt_grids == {}
    grids = tmp_path / LEARNT_GRIDS
    grids.write_text(json.dumps({"timesteps": {"4": GRIDS[4]}}))
    assert DDPM.load(tmp_path).learnt_grids == GRIDS
    for damaged in ("{}", "[1]", '{"timesteps": {"4": [9, 9, 3, 1]}}', '{"timesteps": {"x": []}}'):
        grids.write_text(damaged)
        with pytest.raises(ValueError, match=f"{LEARNT_GRIDS} holds no time grids"):
            DDPM.load(tmp_path)


def test_a_student_is_sampled_as_it_was_distilled_and_not_otherwise(tmp_path):
    student = small(learnt_grids=GRIDS, is_student=True)
    student.save(tmp_path / "model.safetensors")
    loaded = DDPM.load(tmp_path)
    assert loaded.is_student
    assert loaded.learnt_grids == GRIDS
    own = {"sampler": "ddim", "num_steps": 4, "time_grid": "learnt", "guidance_scale": 1.0}
    assert loaded.settings() == own
    np.testing.assert_allclose(loaded.sample(2), student.sample(2, **own), atol=1e-6)
    for name, value in {"sampler": "dpmpp_2m", "num_steps": 12, "guidance_scale": 2.0}.items():
        with pytest.raises(
            ValueError, match=f"{name} is {value!r}; .* needs .*{name} {own[name]!r}"
        ):
            loaded.sample(1, **{name: value})
