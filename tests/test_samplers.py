"""Samplers against an independent implementation, and against cases whose answer is known."""

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler

from ddpmlib.diffusion import SAMPLERS, ddim, ddpm, dpmpp_2m
from ddpmlib.schedules import noise_schedule, sampling_timesteps

NOISE_STEPS = 100
SHAPE = (3, 1, 4, 12)
NAMES = {"eps": "epsilon", "x0": "sample", "v": "v_prediction"}
SCHEDULE_OPTIONS = {
    "linear": {"beta_schedule": "linear", "beta_start": 1e-3, "beta_end": 0.2},
    "cosine": {"beta_schedule": "squaredcos_cap_v2"},
}

every_schedule = pytest.mark.parametrize("schedule", SCHEDULE_OPTIONS)
every_target = pytest.mark.parametrize("target", NAMES)
some_steps = pytest.mark.parametrize("steps", [1, 7, 20, NOISE_STEPS])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


MIX = torch.randn((2, SHAPE[-1], SHAPE[-1]), generator=seeded(9)) / SHAPE[-1] ** 0.5


def toy_model(x_t: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
    """A fixed network, neither linear nor small, whose answer depends on the time."""
    hidden = torch.tanh(x_t @ MIX[0] + torch.sin(5 * time.view(-1, 1, 1, 1)))
    return hidden @ MIX[1] + 0.3 * x_t


def start() -> torch.Tensor:
    return torch.randn(SHAPE, generator=seeded(1))


def theirs(scheduler, timesteps, **options) -> torch.Tensor:
    """What the independent scheduler makes of the same noise and network."""
    x_t = start()
    for t in timesteps:
        time = torch.full((len(x_t),), int(t)) / NOISE_STEPS
        x_t = scheduler.step(toy_model(x_t, time), t, x_t, **options).prev_sample
    return x_t


def assert_close(ours: torch.Tensor, other: torch.Tensor) -> None:
    assert ours.std() > 0.1  # agreeing on nothing would prove nothing
    assert (ours - other).abs().max() < 1e-4


@every_schedule
@every_target
@some_steps
def test_ddpm_agrees_with_an_independent_implementation(schedule, target, steps):
    scheduler = DDPMScheduler(
        NOISE_STEPS,
        prediction_type=NAMES[target],
        timestep_spacing="trailing",
        clip_sample=True,
        variance_type="fixed_small",
        **SCHEDULE_OPTIONS[schedule],
    )
    scheduler.set_timesteps(steps)
    timesteps = sampling_timesteps(NOISE_STEPS, steps)
    assert scheduler.timesteps.tolist() == timesteps
    alpha_bar = noise_schedule(schedule, NOISE_STEPS)
    ours = ddpm(toy_model, start(), alpha_bar, target, timesteps, seeded(5))
    assert_close(ours, theirs(scheduler, scheduler.timesteps, generator=seeded(5)))


@every_schedule
@every_target
@pytest.mark.parametrize("eta", [0.0, 0.7])
@pytest.mark.parametrize(
    ("steps", "spacing"), [(1, "trailing"), (20, "trailing"), (100, "trailing"), (7, "leading")]
)
def test_ddim_agrees_with_an_independent_implementation(schedule, target, eta, steps, spacing):
    """Its steps are all of one length, T // steps: so 7 of 100 steps lie on "leading" spacing."""
    scheduler = DDIMScheduler(
        NOISE_STEPS,
        prediction_type=NAMES[target],
        timestep_spacing=spacing,
        clip_sample=True,
        **SCHEDULE_OPTIONS[schedule],
    )
    scheduler.set_timesteps(steps)
    timesteps = scheduler.timesteps.tolist()
    alpha_bar = noise_schedule(schedule, NOISE_STEPS)
    ours = ddim(toy_model, start(), alpha_bar, target, timesteps, seeded(5), eta=eta)
    options = {"eta": eta, "use_clipped_model_output": True, "generator": seeded(5)}
    assert_close(ours, theirs(scheduler, timesteps, **options))


@every_schedule
@every_target
@some_steps
def test_dpmpp_2m_agrees_with_an_independent_implementation(schedule, target, steps):
    """Dynamic thresholding at the largest value, bounded by 1, is clipping to [-1, 1]."""
    scheduler = DPMSolverMultistepScheduler(
        NOISE_STEPS,
        prediction_type=NAMES[target],
        timestep_spacing="trailing",
        algorithm_type="dpmsolver++",
        solver_order=2,
        solver_type="midpoint",
        lower_order_final=True,
        final_sigmas_type="zero",
        thresholding=True,
        dynamic_thresholding_ratio=1.0,
        sample_max_value=1.0,
        **SCHEDULE_OPTIONS[schedule],
    )
    scheduler.set_timesteps(steps)
    timesteps = sampling_timesteps(NOISE_STEPS, steps)
    assert scheduler.timesteps.tolist() == timesteps
    alpha_bar = noise_schedule(schedule, NOISE_STEPS)
    ours = dpmpp_2m(toy_model, start(), alpha_bar, target, timesteps)
    assert_close(ours, theirs(scheduler, scheduler.timesteps))


def point_mass(picture: torch.Tensor, alpha_bar: torch.Tensor):
    """The best possible network where every picture is the same: it says that picture ("x0")."""
    return lambda x_t, time: picture.expand_as(x_t)


def gaussian(mean: float, deviation: float, alpha_bar: torch.Tensor):
    """The best possible network for pixels drawn from N(mean, deviation^2): E[x_0 | x_t]."""

    def model(x_t, time):
        power = alpha_bar[(time * len(alpha_bar)).round().long()].view(-1, 1, 1, 1).float()
        gain = power.sqrt() * deviation**2 / (power * deviation**2 + 1 - power)
        return mean + gain * (x_t - power.sqrt() * mean)

    return model


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("steps", [1, 9, 100])
def test_samplers_find_the_only_picture_there_is(name, steps):
    alpha_bar = noise_schedule("cosine", NOISE_STEPS)
    picture = torch.rand(SHAPE[1:], generator=seeded(3)) * 2 - 1
    timesteps = sampling_timesteps(NOISE_STEPS, steps)
    x_0 = SAMPLERS[name](point_mass(picture, alpha_bar), start(), alpha_bar, "x0", timesteps)
    assert torch.allclose(x_0, picture.expand(SHAPE), atol=1e-5)


@every_schedule
@pytest.mark.parametrize(
    ("name", "options", "steps"),
    [
        ("ddpm", {}, 200),
        ("ddim", {"eta": 0.0}, 200),
        ("ddim", {"eta": 1.0}, 200),
        ("dpmpp_2m", {}, 50),
    ],
)
def test_samplers_reach_the_mean_and_spread_of_gaussian_data(schedule, name, options, steps):
    alpha_bar = noise_schedule(schedule, 200)
    x_t = torch.randn((64, 1, 16, 16), generator=seeded(2))
    timesteps = sampling_timesteps(200, steps)
    model = gaussian(0.2, 0.15, alpha_bar)
    x_0 = SAMPLERS[name](model, x_t, alpha_bar, "x0", timesteps, seeded(4), **options)
    assert x_0.mean() == pytest.approx(0.2, abs=0.01)
    assert x_0.std() == pytest.approx(0.15, abs=0.02)  # finite steps lose some


@pytest.mark.parametrize(("name", "options"), [("ddim", {"eta": 0.0}), ("dpmpp_2m", {})])
def test_deterministic_samplers_draw_no_noise(name, options):
    alpha_bar, timesteps = noise_schedule("cosine", NOISE_STEPS), [99, 60, 20, 0]
    generator = seeded(0)
    before = generator.get_state()
    made = [
        SAMPLERS[name](toy_model, start(), alpha_bar, "v", timesteps, g, **options)
        for g in (generator, seeded(77), None)
    ]
    assert torch.equal(made[0], made[1])
    assert torch.equal(made[0], made[2])
    assert torch.equal(before, generator.get_state())


@pytest.mark.parametrize(("name", "options"), [("ddpm", {}), ("ddim", {"eta": 0.7})])
def test_stochastic_samplers_follow_their_generator_and_no_other(name, options):
    alpha_bar, timesteps = noise_schedule("cosine", NOISE_STEPS), [99, 60, 20, 0]
    made = []
    for seed, global_seed in ((5, 1), (5, 2), (6, 1)):
        torch.manual_seed(global_seed)
        generator = seeded(seed)
        made.append(
            SAMPLERS[name](toy_model, start(), alpha_bar, "v", timesteps, generator, **options)
        )
    assert torch.equal(made[0], made[1])
    assert not torch.allclose(made[0], made[2], atol=0.01)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_callback_is_called_once_a_step_with_both_pictures(name):
    alpha_bar, timesteps = noise_schedule("cosine", NOISE_STEPS), [99, 60, 20, 0]
    seen = []
    result = SAMPLERS[name](
        toy_model, start(), alpha_bar, "v", timesteps, seeded(), lambda *args: seen.append(args)
    )
    assert [step for step, _, _ in seen] == [0, 1, 2, 3]
    assert all(x_t.shape == x_0.shape == SHAPE for _, x_t, x_0 in seen)
    assert all(x_0.abs().max() <= 1 for _, _, x_0 in seen)
    assert torch.equal(seen[-1][1], result)
    assert torch.allclose(seen[-1][2], result, atol=1e-6)  # the last step leads to the prediction


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_network_is_asked_once_a_step_at_the_right_times(name):
    alpha_bar, seen = noise_schedule("cosine", NOISE_STEPS), []

    def model(x_t, time):
        seen.append(time)
        return toy_model(x_t, time)

    SAMPLERS[name](model, start(), alpha_bar, "v", [99, 60, 20, 0], seeded())
    assert torch.stack(seen).shape == (4, 3)
    assert torch.stack(seen)[:, 0].tolist() == pytest.approx([0.99, 0.6, 0.2, 0.0])


@pytest.mark.parametrize("eta", [-0.1, 1.1])
def test_ddim_refuses_an_eta_that_means_nothing(eta):
    with pytest.raises(ValueError, match=f"eta is {eta}; it must be 0 to 1"):
        ddim(toy_model, start(), noise_schedule("cosine", 50), "v", [49], eta=eta)
