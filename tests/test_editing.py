"""Beginning from a picture: what is kept stays to the bit, what is varied goes as far as asked."""

import numpy as np
import pytest
import torch
from tiny import NETWORK, PARAMS, fit

from ddpmlib.ddpm import DDPM
from ddpmlib.diffusion import SAMPLERS, TARGETS, add_noise, noise_in
from ddpmlib.editing import Edit
from ddpmlib.schedules import noise_schedule, sampling_timesteps

every_sampler = pytest.mark.parametrize("sampler", SAMPLERS)
RAMP = np.linspace(-0.9, 0.9, PARAMS.n_frames, dtype=np.float32) * np.ones((PARAMS.n_mels, 1))


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> DDPM:
    """Knows ramps of different slopes."""
    options = {"learning_rate": 3e-3, "num_samples": 0, "noise_steps": 100}
    return fit(tmp_path_factory.mktemp("ramps"), epochs=300, **options)


def slope(picture: np.ndarray) -> float:
    return float((picture * RAMP).sum() / (RAMP**2).sum())


@every_sampler
@pytest.mark.parametrize("target", TARGETS)
def test_what_is_kept_stays_whatever_the_network_says(sampler, target):
    torch.manual_seed(0)
    network = NETWORK.build().eval()
    torch.nn.init.normal_(network.head.weight)
    model = DDPM(network, PARAMS, noise_steps=50, target=target, precision="float32")
    keep = np.zeros(PARAMS.image_size, bool)
    keep[:, :5], keep[3] = True, True
    made = model.sample(3, sampler, 7, edit=Edit(RAMP, keep=keep))[:, 0]
    np.testing.assert_allclose(made[:, keep], np.tile(RAMP[keep], (3, 1)), atol=2e-3)
    plain = model.sample(3, sampler, 7)[:, 0]
    assert np.abs(plain[:, keep] - RAMP[keep]).mean() > 0.1
    assert np.abs(made[0][~keep] - made[1][~keep]).mean() > 0.05


@every_sampler
def test_what_is_invented_comes_to_fit_what_is_kept(sampler, trained):
    keep = np.arange(PARAMS.n_frames) < PARAMS.n_frames // 2
    errors = {True: [], False: []}
    for sign in (1, -1):
        for looks, edit in (True, Edit(sign * RAMP, keep=keep)), (False, None):
            made = trained.sample(16, sampler, 20, edit=edit)[:, 0]
            errors[looks].append(np.abs(made - sign * RAMP)[:, :, ~keep].mean())
    # Fresh noise in each step lets ddpm mend what did not fit.
    most = 0.5 if sampler == "ddpm" else 0.7
    assert np.mean(errors[True]) < most * np.mean(errors[False])


def test_a_little_strength_keeps_the_picture_and_much_of_it_forgets(trained):
    kept = []
    for strength in (0.05, 0.4, 0.8, 1.0):
        made = trained.sample(6, "ddim", 20, edit=Edit(RAMP, strength), seed=3)
        kept.append(np.mean([slope(picture[0]) for picture in made]))
    assert kept[0] == pytest.approx(1, abs=0.05)
    assert abs(kept[-1]) < 0.6
    assert kept[1] > kept[2] > kept[-1]


def test_full_strength_is_a_sample_from_noise(trained):
    options = {"steps": 5, "seed": 4}
    made = trained.sample(2, edit=Edit(RAMP), **options)
    assert np.array_equal(made, trained.sample(2, **options))


def test_looks_begin_where_the_strength_says():
    assert sampling_timesteps(100, 4, 0.5) == [49, 37, 24, 11]
    assert sampling_timesteps(100, 50, 0.1) == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
    assert sampling_timesteps(100, 5, 0.001) == [0]
    for share in (0, -0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match=r"strength is .*; it must be above 0 and at most 1"):
            sampling_timesteps(100, 4, share)


def test_the_noise_between_two_pictures_is_found_again():
    alpha_bar = noise_schedule("cosine", 100)
    x_0, noise, t = torch.randn(3, 1, 4, 4), torch.randn(3, 1, 4, 4), torch.tensor([0, 50, 99])
    found = noise_in(add_noise(x_0, t, noise, alpha_bar), x_0, t, alpha_bar)
    torch.testing.assert_close(found, noise, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Edit(np.zeros(5)), r"picture of shape \(5,\); needed: one, \(n_mels, frames\)"),
        (lambda: Edit(np.zeros((2, 1, 8, 16))), r"picture of shape \(2, 1, 8, 16\); needed: one"),
        (lambda: Edit(np.full((8, 16), np.nan)), r"128 values of the picture are outside"),
        (lambda: Edit(1.2 * RAMP), r"\d+ values of the picture are outside -1\.\.\.1, or NaN"),
        (lambda: Edit(RAMP, 1.5), r"strength is 1\.5; it must be above 0 and at most 1"),
        (lambda: Edit(RAMP, keep=np.ones(3, bool)), r"\(3,\); needed: \(8, 16\) or \(16,\)"),
        (lambda: Edit(RAMP, keep=np.ones(16)), "keep is of type float64; needed: True or False"),
    ],
)
def test_what_is_no_edit_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_picture_of_a_data_set_is_one():
    picture = torch.from_numpy(RAMP)[None]
    assert np.array_equal(Edit(picture).picture, RAMP.astype(np.float32))


def test_a_picture_of_another_size_is_refused(trained):
    with pytest.raises(ValueError, match=r"picture of shape \(8, 10\); needed: \(8, 16\)"):
        trained.sample(1, steps=2, edit=Edit(RAMP[:, :10]))
