"""Samplers against an independent implementation, and against cases with a known result."""

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler

from ddpmlib.diffusion.samplers import SAMPLERS, ddim, ddpm, dpmpp_2m, run_sampler
from ddpmlib.diffusion.schedules import noise_schedule, sampling_timesteps

NOISE_STEPS = 100
SHAPE = (3, 1, 4, 12)
NAMES = {"eps": "epsilon", "x0": "sample", "v": "v_prediction"}
SCHEDULE_OPTIONS = {
    "linear": {"beta_schedule": "linear", "beta_start": 1e-3, "beta_end": 0.2},
    "cosine": {"beta_schedule": "squaredcos_cap_v2"},
}

every_schedule = pytest.mark.parametrize("schedule", SCHEDULE_OPTIONS)
every_prediction_type = pytest.mark.parametrize("prediction_type", NAMES)
some_steps = pytest.mark.parametrize("num_steps", [1, 7, 20, NOISE_STEPS])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


MIX = torch.randn((2, SHAPE[-1], SHAPE[-1]), generator=seeded(9)) / SHAPE[-1] ** 0.5


def toy_model(x_t: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
    """A fixed network, neither linear nor small, whose output depends on the time."""
    hidden = torch.tanh(x_t @ MIX[0] + torch.sin(5 * time.view(-1, 1, 1, 1)))
    return hidden @ MIX[1] + 0.3 * x_t


def start() -> torch.Tensor:
    return torch.randn(SHAPE, generator=seeded(1))


def theirs(scheduler, timesteps, **options) -> torch.Tensor:
    """Result of the independent scheduler with the same noise and network."""
    x_t = start()
    for t in timesteps:
        time = torch.full((len(x_t),), int(t)) / NOISE_STEPS
        x_t = scheduler.step(toy_model(x_t, time), t, x_t, **options).prev_sample
    return x_t


def assert_close(ours: torch.Tensor, other: torch.Tensor) -> None:
    assert ours.std() > 0.1  # agreeing on nothing would prove nothing
    assert (ours - other).abs().max() < 1e-4


@every_schedule
@every_prediction_type
@some_steps
def test_ddpm_agrees_with_an_independent_implementation(schedule, prediction_type, num_steps):
    scheduler = DDPMScheduler(
        NOISE_STEPS,
        prediction_type=NAMES[prediction_type],
        timestep_spacing="trailing",
        clip_sample=True,
        variance_type="fixed_small",
        **SCHEDULE_OPTIONS[schedule],
    )
    scheduler.set_timesteps(num_steps)
    alpha_bar = noise_schedule(schedule, NOISE_STEPS)
    timesteps = sampling_timesteps(alpha_bar, num_steps)
    assert scheduler.timesteps.tolist() == timesteps
    step = ddpm(seeded(5))
    ours = run_sampler(step, toy_model, start(), alpha_bar, prediction_type, timesteps)
    assert_close(ours, theirs(scheduler, scheduler.timesteps, generator=seeded(5)))


@every_schedule
@every_prediction_type
@pytest.mark.parametrize("eta", [0.0, 0.7])
@pytest.mark.parametrize(
    ("num_steps", "spacing"), [(1, "trailing"), (20, "trailing"), (100, "trailing"), (7, "leading")]
)
def test_ddim_agrees_with_an_independent_implementation(
    schedule, prediction_type, eta, num_steps, spacing
):
    """Its steps are all of one length, T // steps: so 7 of 100 steps lie on "leading" spacing."""
    scheduler = DDIMScheduler(
        NOISE_STEPS,
        prediction_type=NAMES[prediction_type],
        timestep_spacing=spacing,
        clip_sample=True,
        **SCHEDULE_OPTIONS[schedule],
    )
    scheduler.set_timesteps(num_steps)
    timesteps = scheduler.timesteps.tolist()
    alpha_bar = noise_schedule(schedule, NOISE_STEPS)
    step = ddim(seeded(5), eta)
    ours = run_sampler(step, toy_model, start(), alpha_bar, prediction_type, timesteps)
    options = {"eta": eta, "use_clipped_model_output": True, "generator": seeded(5)}
    assert_close(ours, theirs(scheduler, timesteps, **options))


@every_schedule
@every_prediction_type
@some_steps
def test_dpmpp_2m_agrees_with_an_independent_implementation(schedule, prediction_type, num_steps):
    """Dynamic thresholding at the largest value, bounded by 1, is clipping to [-1, 1]."""
    scheduler = DPMSolverMultistepScheduler(
        NOISE_STEPS,
        prediction_type=NAMES[prediction_type],
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
    scheduler.set_timesteps(num_steps)
    alpha_bar = noise_schedule(schedule, NOISE_STEPS)
    timesteps = sampling_timesteps(alpha_bar, num_steps)
    assert scheduler.timesteps.tolist() == timesteps
    ours = run_sampler(dpmpp_2m(), toy_model, start(), alpha_bar, prediction_type, timesteps)
    assert_close(ours, theirs(scheduler, scheduler.timesteps))


def point_mass(mel: torch.Tensor, alpha_bar: torch.Tensor):
    """The best possible network where all mels are the same: it predicts that mel ("x0")."""
    return lambda x_t, time: mel.expand_as(x_t)


def gaussian(mean: float, deviation: float, alpha_bar: torch.Tensor):
    """The best possible network for pixels drawn from N(mean, deviation^2): E[x_0 | x_t]."""

    def model(x_t, time):
        power = alpha_bar[(time * len(alpha_bar)).round().long()].view(-1, 1, 1, 1).float()
        gain = power.sqrt() * deviation**2 / (power * deviation**2 + 1 - power)
        return mean + gain * (x_t - power.sqrt() * mean)

    return model


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("num_steps", [1, 9, 100])
def test_samplers_find_the_only_mel_there_is(name, num_steps):
    alpha_bar = noise_schedule("cosine", NOISE_STEPS)
    mel = torch.rand(SHAPE[1:], generator=seeded(3)) * 2 - 1
    timesteps = sampling_timesteps(alpha_bar, num_steps)
    model = point_mass(mel, alpha_bar)
    x_0 = run_sampler(SAMPLERS[name](), model, start(), alpha_bar, "x0", timesteps)
    assert torch.allclose(x_0, mel.expand(SHAPE), atol=1e-5)


@every_schedule
@pytest.mark.parametrize(
    ("name", "options", "num_steps"),
    [
        ("ddpm", {}, 200),
        ("ddim", {"eta": 0.0}, 200),
        ("ddim", {"eta": 1.0}, 200),
        ("dpmpp_2m", {}, 50),
    ],
)
def test_samplers_reach_the_mean_and_deviation_of_gaussian_data(schedule, name, options, num_steps):
    alpha_bar = noise_schedule(schedule, 200)
    x_t = torch.randn((64, 1, 16, 16), generator=seeded(2))
    timesteps = sampling_timesteps(alpha_bar, num_steps)
    model = gaussian(0.2, 0.15, alpha_bar)
    step = SAMPLERS[name](seeded(4), **options)
    x_0 = run_sampler(step, model, x_t, alpha_bar, "x0", timesteps)
    assert x_0.mean() == pytest.approx(0.2, abs=0.01)
    assert x_0.std() == pytest.approx(0.15, abs=0.02)  # finite steps lose some


@pytest.mark.parametrize(("name", "options"), [("ddim", {"eta": 0.0}), ("dpmpp_2m", {})])
def test_deterministic_samplers_draw_no_noise(name, options):
    alpha_bar, timesteps = noise_schedule("cosine", NOISE_STEPS), [99, 60, 20, 0]
    generator = seeded(0)
    before = generator.get_state()
    made = [
        run_sampler(SAMPLERS[name](g, **options), toy_model, start(), alpha_bar, "v", timesteps)
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
        step = SAMPLERS[name](seeded(seed), **options)
        made.append(run_sampler(step, toy_model, start(), alpha_bar, "v", timesteps))
    assert torch.equal(made[0], made[1])
    assert not torch.allclose(made[0], made[2], atol=0.01)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_callback_is_called_once_a_step_with_both_mels(name):
    alpha_bar, timesteps = noise_schedule("cosine", NOISE_STEPS), [99, 60, 20, 0]
    seen = []
    inputs = toy_model, start(), alpha_bar, "v", timesteps
    result = run_sampler(SAMPLERS[name](seeded()), *inputs, lambda *args: seen.append(args))
    assert [step for step, _, _ in seen] == [0, 1, 2, 3]
    assert all(x_t.shape == x_0.shape == SHAPE for _, x_t, x_0 in seen)
    assert all(x_0.abs().max() <= 1 for _, _, x_0 in seen)
    assert torch.equal(seen[-1][1], result)
    assert torch.allclose(seen[-1][2], result, atol=1e-6)  # the last step leads to the prediction


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_network_is_evaluated_once_a_step_at_the_right_times(name):
    alpha_bar, seen = noise_schedule("cosine", NOISE_STEPS), []

    def model(x_t, time):
        seen.append(time)
        return toy_model(x_t, time)

    run_sampler(SAMPLERS[name](seeded()), model, start(), alpha_bar, "v", [99, 60, 20, 0])
    assert torch.stack(seen).shape == (4, 3)
    assert torch.stack(seen)[:, 0].tolist() == pytest.approx([0.99, 0.6, 0.2, 0.0])


@pytest.mark.parametrize("eta", [-0.1, 1.1])
def test_ddim_refuses_an_eta_that_means_nothing(eta):
    with pytest.raises(ValueError, match=f"eta is {eta}; it must be 0 to 1"):
        ddim(eta=eta)
