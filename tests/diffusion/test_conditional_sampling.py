"""Sampling with a condition: guidance, batches, long mel-spectrograms, saved models."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conditional import SPECS, batch, network
from tiny import PARAMS

from ddpmlib.diffusion.ddpm import DDPM
from ddpmlib.diffusion.guidance import guided
from ddpmlib.diffusion.samplers import SAMPLERS
from ddpmlib.diffusion.schedules import log_snr, sampling_timesteps
from ddpmlib.models.condition_rows import encode_conditions


def model(spec, seed=0) -> DDPM:
    return DDPM(network(spec, seed), PARAMS, noise_steps=20, precision="float32")


PAIRS = {(sampler, "labels") for sampler in SAMPLERS} | {("dpmpp_2m", name) for name in SPECS}


@pytest.mark.parametrize(("sampler", "name"), sorted(PAIRS))
def test_guidance_leads_from_the_unconditional_over_the_conditional_model(sampler, name):
    spec, one, _ = SPECS[name]
    conditional = model(spec)
    options = {"sampler": sampler, "num_steps": 3, "seed": 2}
    unconditional = conditional.sample(2, guidance_scale=1, **options)
    samples = {
        g: conditional.sample(2, guidance_scale=g, condition=one, **options) for g in (0, 0.5, 1, 3)
    }
    assert np.array_equal(samples[0], unconditional)
    distances = [np.abs(samples[g] - unconditional).mean() for g in (0.5, 1, 3)]
    assert distances[0] > 1e-4
    assert sorted(distances) == distances


@pytest.mark.parametrize("condition", ["ann", ["ann", "eve"]])
def test_guidance_0_is_the_unconditional_model_of_long_mels_too(condition):
    conditional = model(SPECS["labels"][0])
    options = {"sampler": "ddpm", "num_steps": 3, "seconds": 3 * PARAMS.seconds}
    unconditional = conditional.sample(2, guidance_scale=1, **options)
    dropped = conditional.sample(2, guidance_scale=0, condition=condition, **options)
    assert np.array_equal(dropped, unconditional)


def test_long_mels_with_one_condition_are_sampled_in_one_batch():
    conditional, seen = model(SPECS["labels"][0]), []
    options = {"num_steps": 3, "seconds": 3 * PARAMS.seconds, "guidance_scale": 2}
    callback = lambda i, x_t, x_0: seen.append(len(x_0))  # noqa: E731
    conditional.sample(2, condition="ann", callback=callback, **options)
    assert seen == [2, 2, 2]


def test_conditions_may_be_rows_of_a_data_set():
    conditional = model(SPECS["labels"][0])
    given = conditional.sample(2, num_steps=3, condition=torch.tensor([2, 0]))
    named = conditional.sample(2, num_steps=3, condition=["eve", "ann"])
    assert np.array_equal(given, named)
    with pytest.raises(ValueError, match=r"conditions of shape \(3,\); needed: \(2,\)"):
        conditional.sample(2, num_steps=3, condition=torch.tensor([2, 0, 1]))


def test_a_condition_that_does_not_fit_the_model_is_refused():
    with pytest.raises(ValueError, match="condition is 'bo'; needed: ann, bob, eve"):
        model(SPECS["labels"][0]).sample(2, num_steps=2, condition="bo")
    with pytest.raises(ValueError, match="condition is 'ann'; needed: None"):
        model(None).sample(2, num_steps=2, condition="ann")


def test_guidance_is_a_line_through_both_predictions_of_one_batch():
    spec, one, other = SPECS["tokens"]
    conditional, sizes = model(spec), []
    conditional.network.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    x_t, time = batch()
    rows, null = encode_conditions(spec, [one, other, None], 3), encode_conditions(spec, None, 1)
    with torch.inference_mode():
        without, with_it = conditional.predict(x_t, time), conditional.predict(x_t, time, rows)
        sizes.clear()
        found = guided(conditional.predict, 2.5, rows, null)(x_t, time)
    assert sizes == [6]
    wanted = without + 2.5 * (with_it - without)
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_a_conditional_model_takes_no_notice_of_a_guiding_model():
    """The unconditional model is the same whether one label is given with guidance 0, no condition,
    or none for each."""
    spec, one, _ = SPECS["labels"]
    conditional = model(spec)
    both = replace(conditional, guiding_model=model(spec, seed=5))
    options = {"num_steps": 3, "guidance_scale": 3, "condition": one}
    assert np.array_equal(both.sample(1, **options), conditional.sample(1, **options))
    unconditional = both.sample(2, num_steps=3, guidance_scale=0, condition=one)
    for condition in (None, [None, None]):
        samples = both.sample(2, num_steps=3, condition=condition)
        np.testing.assert_allclose(samples, unconditional, atol=1e-5)


@pytest.mark.parametrize("interval", [None, (-1.0, 1.5), (20.0, 30.0)])
def test_there_is_guidance_in_its_interval_only(interval, monkeypatch):
    guided = replace(model(None), guiding_model=model(None, seed=5))
    levels, predict = [], DDPM.predict

    def spy(self, x_t, time, condition=None):
        if self is guided.guiding_model:
            levels.append(float(log_snr(self.alpha_bar[round(float(time[0]) * self.noise_steps)])))
        return predict(self, x_t, time, condition)

    monkeypatch.setattr(DDPM, "predict", spy)
    options = {"num_steps": 8, "guidance_scale": 3.0}
    mels = guided.sample(1, **options, guidance_interval=interval)
    inside = interval or (-np.inf, np.inf)
    grid = sampling_timesteps(guided.alpha_bar, 8, "log_snr")
    wanted = [float(log_snr(guided.alpha_bar[t])) for t in grid]
    assert levels == [level for level in wanted if inside[0] <= level <= inside[1]]
    everywhere = guided.sample(1, **options)
    nowhere = guided.sample(1, **options | {"guidance_scale": 1})
    assert np.array_equal(mels, everywhere) == (interval is None)
    assert np.array_equal(mels, nowhere) == (interval == (20.0, 30.0))


@pytest.mark.parametrize("interval", [(2.0, -1.0), (1.0,), (1.0, float("nan"))])
def test_an_interval_that_is_none_is_named(interval):
    with pytest.raises(ValueError, match=r"guidance_interval is .*; needed: two values of log-SNR"):
        model(None).sample(1, num_steps=2, guidance_interval=interval)


LONG = 3 * PARAMS.seconds


@pytest.mark.parametrize(("name", "what"), [("tokens", "text"), ("sequence", "sequence of vec")])
def test_a_text_is_not_said_in_each_window_of_a_long_mel(name, what):
    spec, one, other = SPECS[name]
    conditional = model(spec)
    options = {"num_steps": 2, "seconds": LONG}
    words = f"seconds is {LONG:g} with a {what}.*; needed: at most {PARAMS.seconds:.2f}, as in"
    for condition in (one, [one, other], [None, one]):
        with pytest.raises(ValueError, match=words) as caught:
            conditional.sample(2, condition=condition, **options)
        assert "\n" not in str(caught.value)
    for silent in ({}, {"condition": [None, None]}, {"condition": one, "guidance_scale": 0}):
        assert conditional.sample(2, **options, **silent).shape[-1] == 3 * PARAMS.n_frames
    for seconds in (PARAMS.seconds / 2, PARAMS.seconds):
        conditional.sample(2, num_steps=2, seconds=seconds, condition=one)


@pytest.mark.parametrize("name", ["labels", "vector"])
def test_a_speaker_is_that_of_all_windows(name):
    spec, one, _ = SPECS[name]
    options = {"num_steps": 2, "seconds": LONG, "condition": one}
    assert model(spec).sample(1, **options).shape[-1] == 3 * PARAMS.n_frames


@pytest.mark.parametrize(("name", "seconds"), [("tokens", None), ("labels", LONG)])
def test_each_mel_has_its_own_condition(name, seconds):
    spec, one, other = SPECS[name]
    conditional = model(spec)
    options = {"num_steps": 3, "seconds": seconds, "guidance_scale": 2}
    mixed = conditional.sample(3, condition=[one, other, None], batch_size=2, **options)
    for i, value in enumerate((one, other, None)):
        alone = conditional.sample(3, condition=[value] * 3, **options)
        np.testing.assert_allclose(mixed[i], alone[i], atol=1e-4)


def test_a_saved_model_is_loaded_with_its_condition(tmp_path):
    spec, one, _ = SPECS["labels"]
    conditional = model(spec)
    conditional.save(tmp_path / "model.safetensors")
    loaded = DDPM.load(tmp_path / "model.safetensors")
    assert loaded.condition_spec == spec
    loaded.precision = "float32"
    options = {"num_steps": 3, "condition": one}
    assert np.array_equal(loaded.sample(2, **options), conditional.sample(2, **options))
