"""Guidance: the rule, where the guiding model comes from, and what does not fit."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny import NETWORK, PARAMS, fit

from ddpmlib.diffusion.ddpm import DDPM, GUIDING_MODEL, WEIGHTS
from ddpmlib.diffusion.guidance import guided
from ddpmlib.models.condition import ClassCondition
from ddpmlib.models.unet import UNetConfig
from ddpmlib.training.run_directory import keep_guiding_model


def model(seed: int, network: UNetConfig = NETWORK, **settings) -> DDPM:
    torch.manual_seed(seed)
    network = network.build()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1 and not parameter.any():
                parameter.normal_(0, 0.1)
    return DDPM(network.eval(), PARAMS, **{"noise_steps": 20, "precision": "float32"} | settings)


def test_the_prediction_is_extrapolated_by_the_guidance_scale():
    own, guiding = model(0), model(1, UNetConfig(width=16, multipliers=(1, 2)))
    x_t, time = torch.randn(2, 1, *PARAMS.image_size), torch.tensor([0.3, 0.9])
    with torch.inference_mode():
        for guidance_scale in (0.0, 0.5, 1.0, 3.0):
            ours, theirs = own.predict(x_t, time), guiding.predict(x_t, time)
            wanted = guidance_scale * ours + (1 - guidance_scale) * theirs
            found = guided(own.predict, guidance_scale, guiding=guiding.predict)(x_t, time)
            torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_samples_depend_on_the_guiding_model_and_without_one_guidance_changes_nothing():
    own = model(0)
    both = replace(own, guiding_model=model(1))
    plain = own.sample(2, num_steps=4, guidance_scale=5.0)
    assert np.array_equal(plain, own.sample(2, num_steps=4))
    assert np.array_equal(plain, both.sample(2, num_steps=4, guidance_scale=1.0))
    assert np.abs(plain - both.sample(2, num_steps=4)).max() > 0.01
    itself = replace(own, guiding_model=own).sample(2, num_steps=4)
    np.testing.assert_allclose(itself, plain, atol=1e-3)


def test_a_long_guided_sample_is_guided_everywhere():
    own = model(0)
    seconds = 3 * PARAMS.seconds
    plain = own.sample(1, num_steps=4, seconds=seconds)
    long = replace(own, guiding_model=model(1)).sample(1, num_steps=4, seconds=seconds)
    changed = np.abs(long - plain).max(axis=(0, 1, 2))
    assert (changed > 0).all()


@pytest.mark.parametrize("guidance_scale", [float("nan"), float("inf"), "2"])
def test_the_guidance_scale_is_a_number(guidance_scale):
    needed = f"guidance_scale is {guidance_scale!r}; needed: a finite number"
    with pytest.raises(ValueError, match=needed):
        model(0).sample(1, num_steps=1, guidance_scale=guidance_scale)


def test_a_folder_with_a_guiding_model_is_loaded_with_it(tmp_path):
    own, guiding = model(0), model(1)
    own.save(tmp_path / WEIGHTS)
    assert DDPM.load(tmp_path).guiding_model is None
    guiding.save(tmp_path / GUIDING_MODEL)
    loaded = DDPM.load(tmp_path)
    loaded.precision = loaded.guiding_model.precision = "float32"
    both = replace(own, guiding_model=guiding).sample(2, num_steps=4)
    np.testing.assert_allclose(loaded.sample(2, num_steps=4), both, atol=1e-5)
    assert DDPM.load(tmp_path / WEIGHTS).guiding_model is None, "a file is that file alone"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prediction_type": "eps"}, "prediction_type of the guiding model is eps; needed: v"),
        ({"schedule": "linear"}, "schedule of the guiding model is linear; needed: cosine"),
        ({"noise_steps": 30}, "noise_steps of the guiding model is 30; needed: 20"),
    ],
)
def test_a_guiding_model_that_does_not_fit_is_refused(tmp_path, settings, message):
    model(0).save(tmp_path / WEIGHTS)
    model(1, **settings).save(tmp_path / GUIDING_MODEL)
    with pytest.raises(ValueError, match=message):
        DDPM.load(tmp_path)


def test_a_run_stores_its_young_weights_once(tmp_path):
    own = model(0)
    for share in (0.0, 0.04, 1.0):
        keep_guiding_model(own, tmp_path, share)
        assert not (tmp_path / GUIDING_MODEL).exists(), "too young, or already old"
    conditional = DDPM(NETWORK.with_condition(ClassCondition(2)).build(), PARAMS)
    keep_guiding_model(conditional, tmp_path, 0.05)
    assert not (tmp_path / GUIDING_MODEL).exists(), "a conditional model needs none"
    keep_guiding_model(own, tmp_path, 0.05)
    young = (tmp_path / GUIDING_MODEL).read_bytes()
    keep_guiding_model(model(1), tmp_path, 0.5)
    assert (tmp_path / GUIDING_MODEL).read_bytes() == young


def test_training_stores_the_weights_of_its_first_epoch(tmp_path):
    seen = []

    def callback(progress):
        if progress.metrics:
            seen.append(load_file(tmp_path / "run" / WEIGHTS))

    fit(tmp_path, callback=callback)
    guiding = load_file(tmp_path / "run" / GUIDING_MODEL)
    assert all(torch.equal(guiding[name], value) for name, value in seen[0].items())
    assert not all(torch.equal(guiding[name], value) for name, value in seen[-1].items())
