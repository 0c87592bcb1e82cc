"""Editing: what is to stay stays to the bit, a variation goes as far as its strength."""

import numpy as np
import pytest
import torch
from tiny import NETWORK, PARAMS

from ddpmlib.diffusion.ddpm import DDPM
from ddpmlib.diffusion.editing import Edit
from ddpmlib.diffusion.process import PREDICTION_TYPES, add_noise, noise_in
from ddpmlib.diffusion.samplers import SAMPLERS
from ddpmlib.diffusion.schedules import noise_schedule, sampling_timesteps

every_sampler = pytest.mark.parametrize("sampler", SAMPLERS)
RAMP = np.linspace(-0.9, 0.9, PARAMS.n_frames, dtype=np.float32) * np.ones((PARAMS.n_mels, 1))


@pytest.fixture(scope="module")
def ideal() -> DDPM:
    """The best possible network for ramps of all slopes: it predicts E[x_0 | x_t], as v."""
    model = DDPM(NETWORK.build().eval(), PARAMS, noise_steps=100, precision="float32")
    slopes = torch.linspace(-1.1, 1.1, 45).view(1, -1, 1, 1)
    ramps = slopes * torch.from_numpy(RAMP).float()

    def forward(x_t, time):
        power = model.alpha_bar[(time * model.noise_steps).round().long()].view(-1, 1, 1, 1).float()
        signal, sigma = power.sqrt(), (1 - power).sqrt()
        errors = (x_t - signal * ramps).square().sum(dim=(2, 3), keepdim=True)
        likely = torch.softmax(-errors / (2 * sigma**2), dim=1)
        x_0 = (likely * ramps).sum(dim=1, keepdim=True)
        return (signal * x_t - x_0) / sigma  # v: Salimans & Ho 2022, section 4

    model.network.forward = forward
    return model


def slope(mel: np.ndarray) -> float:
    return float((mel * RAMP).sum() / (RAMP**2).sum())


@every_sampler
@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
def test_what_is_to_stay_stays_whatever_the_network_predicts(sampler, prediction_type):
    torch.manual_seed(0)
    network = NETWORK.build().eval()
    torch.nn.init.normal_(network.head.weight)
    model = DDPM(
        network, PARAMS, noise_steps=50, prediction_type=prediction_type, precision="float32"
    )
    keep = np.zeros(PARAMS.image_size, bool)
    keep[:, :5], keep[3] = True, True
    made = model.sample(3, sampler, 7, edit=Edit(RAMP, keep=keep))[:, 0]
    np.testing.assert_allclose(made[:, keep], np.tile(RAMP[keep], (3, 1)), atol=2e-3)
    plain = model.sample(3, sampler, 7)[:, 0]
    assert np.abs(plain[:, keep] - RAMP[keep]).mean() > 0.1
    assert np.abs(made[0][~keep] - made[1][~keep]).mean() > 0.05


@every_sampler
def test_the_inpainted_part_comes_to_fit_the_rest(sampler, ideal):
    keep = np.arange(PARAMS.n_frames) < PARAMS.n_frames // 2
    errors = {True: [], False: []}
    for sign in (1, -1):
        for edited, edit in (True, Edit(sign * RAMP, keep=keep)), (False, None):
            made = ideal.sample(16, sampler, 20, edit=edit)[:, 0]
            errors[edited].append(np.abs(made - sign * RAMP)[:, :, ~keep].mean())
    # Fresh noise in each step lets ddpm correct what does not fit.
    most = 0.5 if sampler == "ddpm" else 0.7
    assert np.mean(errors[True]) < most * np.mean(errors[False])


def test_a_small_strength_preserves_the_mel_and_a_large_one_does_not(ideal):
    slopes = []
    for strength in (0.05, 0.4, 0.8, 1.0):
        made = ideal.sample(6, "ddim", 20, edit=Edit(RAMP, strength), seed=3)
        slopes.append(np.mean([slope(mel[0]) for mel in made]))
    assert slopes[0] == pytest.approx(1, abs=0.05)
    assert abs(slopes[-1]) < 0.6
    assert slopes[1] > slopes[2] > slopes[-1]


def test_full_strength_is_a_sample_from_noise(ideal):
    options = {"num_steps": 5, "seed": 4}
    made = ideal.sample(2, edit=Edit(RAMP), **options)
    assert np.array_equal(made, ideal.sample(2, **options))


def test_sampling_begins_where_the_strength_says():
    alpha_bar = noise_schedule("cosine", 100)
    assert sampling_timesteps(alpha_bar, 4, "uniform", 0.5) == [49, 37, 24, 11]
    for grid in ("uniform", "log_snr"):
        every = sampling_timesteps(alpha_bar, 50, grid, 0.1)
        assert every == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
        assert sampling_timesteps(alpha_bar, 5, grid, 0.001) == [0]
    begun = sampling_timesteps(alpha_bar, 4, "learnt", 0.5, {4: (99, 60, 40, 10)})
    assert begun == [49, 40, 10]
    for strength in (0, -0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match=r"strength is .*; it must be above 0 and at most 1"):
            sampling_timesteps(alpha_bar, 4, "log_snr", strength)


def test_the_noise_between_two_mels_is_recovered():
    alpha_bar = noise_schedule("cosine", 100)
    x_0, noise, t = torch.randn(3, 1, 4, 4), torch.randn(3, 1, 4, 4), torch.tensor([0, 50, 99])
    found = noise_in(add_noise(x_0, t, noise, alpha_bar), x_0, t, alpha_bar)
    torch.testing.assert_close(found, noise, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Edit(np.zeros(5)), r"mel of shape \(5,\); needed: one, \(n_mels, n_frames\)"),
        (lambda: Edit(np.zeros((2, 1, 8, 16))), r"mel of shape \(2, 1, 8, 16\); needed: one"),
        (lambda: Edit(np.full((8, 16), np.nan)), r"128 values of the mel are outside"),
        (lambda: Edit(1.2 * RAMP), r"\d+ values of the mel are outside -1\.\.\.1, or NaN"),
        (lambda: Edit(RAMP, 1.5), r"strength is 1\.5; it must be above 0 and at most 1"),
        (lambda: Edit(RAMP, keep=np.ones(3, bool)), r"\(3,\); needed: \(8, 16\) or \(16,\)"),
        (lambda: Edit(RAMP, keep=np.ones(16)), "keep is of type float64; needed: True or False"),
    ],
)
def test_what_is_no_edit_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_mel_of_a_data_set_is_one():
    mel = torch.from_numpy(RAMP)[None]
    assert np.array_equal(Edit(mel).mel, RAMP.astype(np.float32))


def test_a_mel_of_another_size_is_refused(ideal):
    with pytest.raises(ValueError, match=r"mel of shape \(8, 10\); needed: \(8, 16\)"):
        ideal.sample(1, num_steps=2, edit=Edit(RAMP[:, :10]))
