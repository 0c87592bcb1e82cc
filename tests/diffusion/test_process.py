"""Schedules, forward process and loss: against formulas and an independent schedule."""

import itertools
import math

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler

from ddpmlib.diffusion import process
from ddpmlib.diffusion.process import PREDICTION_TYPES
from ddpmlib.diffusion.samplers import SAMPLERS, run_sampler
from ddpmlib.diffusion.schedules import (
    MIN_NOISE_STEPS,
    SCHEDULES,
    noise_schedule,
    sampling_timesteps,
)

SHAPE = (6, 1, 4, 8)


def mels(seed: int = 0, shape=SHAPE) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def normal(seed: int = 1, shape=SHAPE) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", SCHEDULES)
def test_no_signal_is_left_at_the_last_step_of_any_schedule(name):
    for noise_steps in range(MIN_NOISE_STEPS, 1501):
        alpha_bar = noise_schedule(name, noise_steps)
        assert alpha_bar.shape == (noise_steps,)
        assert alpha_bar.dtype == torch.float64
        assert 0 < alpha_bar[-1] < 1e-3, noise_steps
        assert alpha_bar[0] < 1, noise_steps
        assert (alpha_bar.diff() < 0).all(), noise_steps


def test_the_schedule_of_the_original_project_would_be_refused(monkeypatch):
    """Betas 1e-4 ... 0.02 in 100 steps, not rescaled, leave alpha_bar 0.364."""
    original = torch.linspace(1e-4, 0.02, 100, dtype=torch.float64)
    assert torch.cumprod(1 - original, 0)[-1] == pytest.approx(0.364, abs=1e-3)
    monkeypatch.setattr(process.torch, "linspace", lambda *args, **options: original)
    with pytest.raises(ValueError, match=r"linear schedule of 100 steps leaves alpha_bar 0\.364"):
        noise_schedule("linear", 100)


@pytest.mark.parametrize("noise_steps", [25, 50, 100, 400, 1000, 1500])
def test_schedules_agree_with_an_independent_one(noise_steps):
    scale = 1000 / noise_steps
    linear = DDPMScheduler(noise_steps, 1e-4 * scale, 0.02 * scale, "linear")
    cosine = DDPMScheduler(noise_steps, beta_schedule="squaredcos_cap_v2")
    for name, scheduler in (("linear", linear), ("cosine", cosine)):
        ours = noise_schedule(name, noise_steps)
        assert (ours - scheduler.alphas_cumprod).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("name", "noise_steps", "words"),
    [
        ("sigmoid", 100, "schedule is 'sigmoid'; needed: linear or cosine"),
        ("cosine", 9, "noise_steps is 9; needed: 10 to 100000"),
        ("linear", 10**12, "noise_steps is 1000000000000; needed: 10 to 100000"),
    ],
)
def test_a_wrong_schedule_is_named(name, noise_steps, words):
    with pytest.raises(ValueError, match=words):
        noise_schedule(name, noise_steps)


def test_added_noise_has_the_mean_and_variance_of_the_forward_process():
    alpha_bar = noise_schedule("cosine", 100)
    for t in (0, 30, 99):
        x_0 = torch.full((2000, 1, 4, 4), 0.5)
        noise = normal(2, x_0.shape)
        x_t = process.add_noise(x_0, torch.full((2000,), t), noise, alpha_bar)
        power = float(alpha_bar[t])
        assert x_t.dtype == torch.float32
        assert x_t.mean() == pytest.approx(0.5 * power**0.5, abs=0.02)
        assert x_t.var() == pytest.approx(1 - power, abs=0.02)


def test_each_mel_of_a_batch_gets_the_noise_of_its_own_step():
    alpha_bar = noise_schedule("linear", 50)
    x_0, noise, t = mels(), normal(), torch.tensor([0, 10, 20, 30, 40, 49])
    together = process.add_noise(x_0, t, noise, alpha_bar)
    for i in range(len(t)):
        power = float(alpha_bar[t[i]])
        alone = power**0.5 * x_0[i] + (1 - power) ** 0.5 * noise[i]
        assert torch.allclose(together[i], alone, atol=1e-6)


@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_mel_and_noise_follow_from_an_exact_prediction(prediction_type, schedule):
    alpha_bar = noise_schedule(schedule, 100).clone()
    x_0, noise = mels() * 0.99, normal()
    for t in (0, 1, 50, 80):
        steps = torch.full((len(x_0),), t)
        x_t = process.add_noise(x_0, steps, noise, alpha_bar)
        truth = process.prediction_target(prediction_type, x_0, steps, noise, alpha_bar)
        found, eps = process.predict(lambda x, time, v=truth: v, x_t, t, alpha_bar, prediction_type)
        assert torch.allclose(found, x_0, atol=2e-4), t
        assert torch.allclose(eps, noise, atol=2e-3), t


def test_v_is_the_velocity_of_salimans_and_ho():
    """v = d x_t / d phi, where sqrt(alpha_bar) = cos phi: checked by a numerical derivative."""
    phi, delta = 0.7, 1e-4
    x_0, noise = mels().double(), normal().double()
    moved = [math.cos(p) * x_0 + math.sin(p) * noise for p in (phi - delta, phi + delta)]
    alpha_bar = torch.tensor([math.cos(phi) ** 2], dtype=torch.float64)
    v = process.prediction_target("v", x_0, torch.zeros(len(x_0), dtype=int), noise, alpha_bar)
    assert torch.allclose(v, (moved[1] - moved[0]) / (2 * delta), atol=1e-6)


def test_a_predicted_mel_is_clipped_and_eps_fits_it():
    alpha_bar, x_t = noise_schedule("cosine", 100), normal()
    for prediction_type in PREDICTION_TYPES:
        x_0, eps = process.predict(lambda x, time: 7 * x, x_t, 60, alpha_bar, prediction_type)
        assert x_0.abs().max() == 1
        power = float(alpha_bar[60])
        assert torch.allclose(power**0.5 * x_0 + (1 - power) ** 0.5 * eps, x_t, atol=1e-5)


@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
def test_the_loss_of_a_perfect_model_is_zero_and_one_number_a_mel(prediction_type):
    alpha_bar = noise_schedule("cosine", 100)
    x_0, noise, t = mels(), normal(), torch.tensor([0, 5, 30, 60, 90, 99])
    truth = process.prediction_target(prediction_type, x_0, t, noise, alpha_bar)
    losses = process.training_loss(lambda x, time: truth, x_0, t, noise, alpha_bar, prediction_type)
    assert losses.shape == (6,)
    assert (losses == 0).all()
    wrong = truth.clone()
    wrong[2] += 0.5
    losses = process.training_loss(lambda x, time: wrong, x_0, t, noise, alpha_bar, prediction_type)
    assert losses.tolist() == pytest.approx([0, 0, 0.25, 0, 0, 0], abs=1e-6)


def test_the_model_gets_the_noisy_mel_and_a_time_between_0_and_1():
    alpha_bar, seen = noise_schedule("cosine", 200), []
    x_0, noise, t = mels(), normal(), torch.tensor([0, 50, 100, 150, 198, 199])

    def model(x_t, time):
        seen.append((x_t, time))
        return x_t

    process.training_loss(model, x_0, t, noise, alpha_bar, "v")
    process.predict(model, x_0, 50, alpha_bar, "v")
    assert torch.equal(seen[0][0], process.add_noise(x_0, t, noise, alpha_bar))
    assert seen[0][1].tolist() == pytest.approx([0, 0.25, 0.5, 0.75, 0.99, 0.995])
    assert seen[1][1].tolist() == pytest.approx([0.25] * 6)


def test_time_does_not_depend_on_the_number_of_noise_steps():
    few, many = noise_schedule("cosine", 100), noise_schedule("cosine", 1000)
    assert process.time_of(torch.tensor([50]), few) == process.time_of(torch.tensor([500]), many)


def test_an_unknown_prediction_type_is_named():
    alpha_bar, x = noise_schedule("cosine", 100), mels()
    with pytest.raises(ValueError, match="prediction_type is 'noise'; needed: eps, x0, v"):
        process.prediction_target("noise", x, torch.zeros(6, dtype=int), x, alpha_bar)
    with pytest.raises(ValueError, match="prediction_type is 'noise'; needed: eps, x0, v"):
        process.predict(lambda x, time: x, x, 0, alpha_bar, "noise")


def test_sampling_with_all_steps_visits_every_one():
    """Step 0 included: the original never visited it."""
    for noise_steps in (10, 99, 1000):
        every = sampling_timesteps(noise_schedule("cosine", noise_steps), noise_steps)
        assert every == list(range(noise_steps - 1, -1, -1))


def test_sampling_steps_are_those_of_trailing_spacing():
    for noise_steps in (10, 37, 100, 1000):
        scheduler = DDPMScheduler(noise_steps, timestep_spacing="trailing")
        for steps in range(1, noise_steps + 1, 1 if noise_steps <= 100 else 7):
            ours = sampling_timesteps(noise_schedule("cosine", noise_steps), steps)
            scheduler.set_timesteps(steps)
            theirs = scheduler.timesteps.tolist()[:steps]  # rounding may leave it one too many
            exact = np.array([noise_steps - i * noise_steps / steps for i in range(steps)])
            tie = np.isclose(exact % 1, 0.5)  # such as 12.5, which may go either way
            assert (np.equal(ours, theirs) | tie).all(), (noise_steps, steps)
            assert np.abs(np.subtract(ours, theirs)).max() <= 1
            assert ours[0] == noise_steps - 1
            assert len(ours) == len(set(ours)) == steps
            assert all(now > later >= 0 for now, later in itertools.pairwise(ours))


@pytest.mark.parametrize("num_steps", [0, -1, 101])
def test_a_wrong_number_of_sampling_steps_is_named(num_steps):
    with pytest.raises(ValueError, match=f"num_steps is {num_steps}; needed: 1 to 100"):
        sampling_timesteps(noise_schedule("cosine", 100), num_steps)


def test_every_sampler_keeps_the_shape_and_ends_in_the_range_of_mels():
    alpha_bar = noise_schedule("cosine", 50)
    for sampler in SAMPLERS.values():
        steps = normal(), alpha_bar, "v", [49, 30, 10]
        x_0 = run_sampler(sampler(), lambda x, time: 3 * x, *steps)
        assert x_0.shape == SHAPE
        assert x_0.abs().max() <= 1
