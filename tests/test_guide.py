"""Guided by a younger self: the rule, where the guide comes from, and what does not fit."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny import NETWORK, PARAMS, fit

from ddpmlib.condition import Labels
from ddpmlib.ddpm import DDPM, GUIDE, WEIGHTS
from ddpmlib.guidance import guided
from ddpmlib.run import keep_guide
from ddpmlib.unet import UNetConfig


def model(seed: int, network: UNetConfig = NETWORK, **settings) -> DDPM:
    torch.manual_seed(seed)
    network = network.build()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1 and not parameter.any():
                parameter.normal_(0, 0.1)
    return DDPM(network.eval(), PARAMS, **{"noise_steps": 20, "precision": "float32"} | settings)


def test_the_prediction_goes_as_far_beyond_the_guide_as_asked():
    own, guide = model(0), model(1, UNetConfig(width=16, multipliers=(1, 2)))
    x_t, time = torch.randn(2, 1, *PARAMS.image_size), torch.tensor([0.3, 0.9])
    both = replace(own, guide=guide)
    with torch.inference_mode():
        for guidance in (0.0, 0.5, 1.0, 3.0):
            ours, theirs = own.predict(x_t, time), guide.predict(x_t, time)
            wanted = guidance * ours + (1 - guidance) * theirs
            found = guided(both, guidance)(x_t, time)
            torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_samples_follow_the_guide_and_without_one_guidance_means_nothing():
    own = model(0)
    led = replace(own, guide=model(1))
    plain = own.sample(2, steps=4, guidance=5.0)
    assert np.array_equal(plain, own.sample(2, steps=4))
    assert np.array_equal(plain, led.sample(2, steps=4, guidance=1.0))
    assert np.abs(plain - led.sample(2, steps=4)).max() > 0.01
    itself = replace(own, guide=own).sample(2, steps=4)
    np.testing.assert_allclose(itself, plain, atol=1e-3)


def test_a_long_guided_sample_is_guided_everywhere():
    own = model(0)
    seconds = 3 * PARAMS.seconds
    plain = own.sample(1, steps=4, seconds=seconds)
    long = replace(own, guide=model(1)).sample(1, steps=4, seconds=seconds)
    changed = np.abs(long - plain).max(axis=(0, 1, 2))
    assert (changed > 0).all()


@pytest.mark.parametrize("guidance", [float("nan"), float("inf"), "2", None])
def test_guidance_is_a_number(guidance):
    with pytest.raises(ValueError, match=f"guidance is {guidance!r}; needed: a finite number"):
        model(0).sample(1, steps=1, guidance=guidance)


def test_a_folder_with_a_guide_is_loaded_with_it(tmp_path):
    own, guide = model(0), model(1)
    own.save(tmp_path / WEIGHTS)
    assert DDPM.load(tmp_path).guide is None
    guide.save(tmp_path / GUIDE)
    loaded = DDPM.load(tmp_path)
    loaded.precision = loaded.guide.precision = "float32"
    both = replace(own, guide=guide).sample(2, steps=4)
    np.testing.assert_allclose(loaded.sample(2, steps=4), both, atol=1e-5)
    assert DDPM.load(tmp_path / WEIGHTS).guide is None, "a file is that file alone"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target": "eps"}, "target of the guide is eps; needed: v"),
        ({"schedule": "linear"}, "schedule of the guide is linear; needed: cosine"),
        ({"noise_steps": 30}, "noise_steps of the guide is 30; needed: 20"),
    ],
)
def test_a_guide_that_does_not_fit_is_refused(tmp_path, settings, message):
    model(0).save(tmp_path / WEIGHTS)
    model(1, **settings).save(tmp_path / GUIDE)
    with pytest.raises(ValueError, match=message):
        DDPM.load(tmp_path)


def test_a_run_keeps_its_young_weights_once(tmp_path):
    own = model(0)
    for share in (0.0, 0.04, 1.0):
        keep_guide(own, tmp_path, share)
        assert not (tmp_path / GUIDE).exists(), "too young, or already old"
    told = DDPM(NETWORK.told(Labels(2)).build(), PARAMS)
    keep_guide(told, tmp_path, 0.05)
    assert not (tmp_path / GUIDE).exists(), "what can be told something needs none"
    keep_guide(own, tmp_path, 0.05)
    young = (tmp_path / GUIDE).read_bytes()
    keep_guide(model(1), tmp_path, 0.5)
    assert (tmp_path / GUIDE).read_bytes() == young


def test_training_keeps_the_weights_of_its_first_epoch(tmp_path):
    seen = []

    def callback(progress):
        if progress.metrics:
            seen.append(load_file(tmp_path / "run" / WEIGHTS))

    fit(tmp_path, callback=callback)
    guide = load_file(tmp_path / "run" / GUIDE)
    assert all(torch.equal(guide[name], value) for name, value in seen[0].items())
    assert not all(torch.equal(guide[name], value) for name, value in seen[-1].items())
