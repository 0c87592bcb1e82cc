"""Recipes: what is kept is made again exactly; a morph leads from one seed to the other."""

import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
from tiny import fit

from ddpmlib import recipe
from ddpmlib.ddpm import DDPM
from ddpmlib.recipe import Recipe
from ddpmlib.spectrogram import image_to_audio, load_png

RUN = "tiny"


@pytest.fixture
def model(tmp_path, monkeypatch) -> DDPM:
    """Of a run in a data folder of its own."""
    (tmp_path / "data" / "runs").mkdir(parents=True)
    (tmp_path / "data" / "README.md").touch()
    monkeypatch.chdir(tmp_path)
    fit(tmp_path / "data", f"runs/{RUN}", epochs=1)
    return DDPM.load(recipe.run_folder(RUN))


def made_by(**changes) -> Recipe:
    values = {"run": RUN, "weights": recipe.weights_hash(RUN), "steps": 5, "count": 3, "index": 1}
    return Recipe(**values | changes)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"sampler": "ddpm", "seed": 3},
        {"towards": 7, "guidance": 1.0},
        {"seconds": 0.2},
        {"seconds": 0.03, "sampler": "ddim"},
    ],
)
def test_what_was_kept_is_made_again_to_the_bit(model, changes):
    kept = made_by(**changes)
    picture = recipe.invent(model, kept)[kept.index]
    frames = model.params.frames_in(kept.seconds) if kept.seconds else model.params.n_frames
    assert picture.shape == (1, model.params.n_mels, frames)
    sound = image_to_audio(picture, model.params)
    path = recipe.keep(kept, picture, sound, model.params.sample_rate)
    again, heard = recipe.make_again(path)
    assert np.array_equal(again, picture)
    assert np.array_equal(heard, sound)
    np.testing.assert_allclose(load_png(path.with_suffix(".png")), picture[0], atol=0.005)
    wav, rate = soundfile.read(path.with_suffix(".wav"))
    assert rate == model.params.sample_rate
    np.testing.assert_allclose(wav, sound.clip(-1, 1), atol=1e-4)


def test_different_recipes_have_different_names(model):
    changes = [{}, {"seed": 1}, {"index": 2}, {"count": 4}, {"steps": 6}, {"sampler": "ddim"}]
    changes += [{"towards": 1}, {"seconds": 1.5}, {"guidance": 1.5}, {"weights": "other"}]
    changes += [{"condition": said} for said in ("ann", "a b", "a_b", "a" * 99, "a" * 98)]
    assert len({made_by(**change).name for change in changes}) == len(changes)


def test_a_recipe_says_when_the_run_was_trained_on(model):
    kept = made_by()
    picture = recipe.invent(model, kept)[1]
    path = recipe.keep(kept, picture, np.zeros(10), 16_000)
    (recipe.run_folder(RUN) / "model.safetensors").write_bytes(b"others")
    with pytest.raises(ValueError, match=r"weights of tiny are \w{12} but \w{12} in .*json"):
        recipe.make_again(path)


@pytest.mark.parametrize("text", ["", "[]", '{"seeds": 1}', '{"run": '])
def test_what_is_no_recipe_is_refused(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=r"a\.json is not a recipe; needed: JSON with run, "):
        recipe.make_again(tmp_path / "a.json")


def test_runs_are_the_shipped_weights_and_local_runs_with_a_model(model):
    (recipe.run_folder(RUN).parent / "empty").mkdir()
    assert recipe.runs() == ["pretrained", RUN]


def test_a_morph_begins_with_one_seed_and_ends_with_the_other(model):
    morph = made_by(seed=3, towards=4, count=5)
    pictures = recipe.invent(model, morph)
    for place, seed in ((0, 3), (-1, 4)):
        alone = recipe.invent(model, made_by(seed=seed, count=1))[0]
        np.testing.assert_allclose(pictures[place], alone, atol=1e-5)
    steps = np.abs(np.diff(pictures, axis=0)).mean(axis=(1, 2, 3))
    whole = np.abs(pictures[-1] - pictures[0]).mean()
    assert steps.max() < whole, "no step is as large as the way"
    assert (steps > 0).all()


def test_a_morph_needs_a_sampler_that_remembers_its_beginning(model):
    with pytest.raises(ValueError, match="sampler is 'ddpm'"):
        recipe.invent(model, made_by(sampler="ddpm", towards=1))


def test_a_morph_has_two_ends(model):
    with pytest.raises(ValueError, match="number is 1; a morph needs at least 2"):
        recipe.invent(model, made_by(count=1, index=0, towards=1))


def test_slerp_stays_as_loud_as_noise():
    start, end = torch.randn(2, 1, 64, 256, generator=torch.Generator().manual_seed(0))
    between = recipe.slerp(start, end, [0, 0.25, 0.5, 1])
    torch.testing.assert_close(between[0], start)
    torch.testing.assert_close(between[-1], end)
    assert between.std(dim=(1, 2, 3)).numpy() == pytest.approx(1, abs=0.02)
    torch.testing.assert_close(recipe.slerp(start, start, [0, 0.5])[1], start)


def test_noise_is_what_a_sample_begins_with(model):
    noise = model.noise(2, seed=5)
    torch.manual_seed(99)
    same = model.sample(2, steps=4, seed=5)
    assert np.array_equal(model.sample(2, steps=4, seed=1, noise=noise), same)
    with pytest.raises(ValueError, match=r"noise is \(2, 1, 8, 16\); needed: \(3, 1, 8, 16\)"):
        model.sample(3, steps=4, noise=noise)


def test_the_recipe_in_the_file_is_the_one_that_was_given(model):
    kept = replace(made_by(), towards=2)
    path = recipe.keep(kept, np.zeros((1, 8, 16)), np.zeros(10), 16_000)
    assert Recipe(**json.loads(path.read_text())) == kept
