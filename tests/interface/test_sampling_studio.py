"""The sampling studio without a browser: what its controls do."""

from dataclasses import replace

import numpy as np
import pytest
from pages import controls_in, greys_in, images_in, sounds_in

from ddpmlib.diffusion import provenance
from ddpmlib.diffusion.ddpm import DDPM, WEIGHTS
from ddpmlib.diffusion.provenance import SampleProvenance
from ddpmlib.distillation.learnt_grid import save_time_grid, with_time_grid
from ddpmlib.interface import sampling_studio
from ddpmlib.interface.sampling_studio import NOISY, PREDICTED, Studio
from ddpmlib.models.condition import ClassCondition, TextCondition
from ddpmlib.vocoder.waveform import image_to_audio

RUN = "tiny"


@pytest.fixture
def model(data_folder, random_model) -> DDPM:
    """The model of a run in a data folder of its own."""
    folder = data_folder / "runs" / RUN
    folder.mkdir(parents=True)
    random_model().save(folder / WEIGHTS)
    return DDPM.load(folder)


def made_by(**changes) -> SampleProvenance:
    values = {"run": RUN, "weights": provenance.weights_hash(RUN), "num_steps": 5, "count": 3}
    return SampleProvenance(**values | changes)


@pytest.fixture
def studio(model) -> Studio:
    studio = Studio(model, made_by(), "cpu")
    mels = provenance.sample(model, made_by())
    studio.show(mels, [image_to_audio(mel, model.params) for mel in mels])
    return studio


def pages(studio: Studio) -> list[str]:
    return [box.children[0].value for box in studio.grid.children]


def test_where_nobody_can_click_the_samples_are_shown_as_players(model):
    mels = provenance.sample(model, made_by())
    sounds = [image_to_audio(mel, model.params) for mel in mels]
    page = sampling_studio.open_studio(model, made_by(), mels, sounds, "cpu").data
    assert page.count("<audio ") == page.count("<svg") == 3


def test_no_more_are_shown_than_a_page_can_carry(model):
    mels, many = np.zeros((40, 1, 8, 16)), made_by(count=40)
    page = sampling_studio.open_studio(model, many, mels, [np.zeros(99)] * 40, "cpu").data
    assert page.count("<audio ") == sampling_studio.MOST


def test_the_controls_begin_where_the_notebook_was(studio):
    assert (studio.run.value, studio.num_steps.value, studio.count.value) == (RUN, 5, 3)
    assert set(studio.run.options) == {RUN, "pretrained"}
    assert len(pages(studio)) == 3


def test_sample_does_what_the_controls_say(studio):
    studio.seed.value, studio.count.value, studio.sampler.value = 9, 2, "ddim"
    studio.usual.value, studio.seconds.value = False, 1.0
    before = pages(studio)
    studio.sample.click()
    assert studio.status.text == ""
    assert studio.progress.value == studio.progress.max == 5
    assert len(pages(studio)) == 2
    assert not set(pages(studio)) & set(before)
    assert studio.made_by == made_by(seed=9, count=2, sampler="ddim", seconds=1.0)
    assert not studio.sample.disabled


def test_every_step_can_be_seen_and_played(studio):
    studio.sample.click()
    assert studio.step.options == (1, 2, 3, 4, 5)
    assert studio.step.value == 5
    seen = {}
    for kind in (PREDICTED, NOISY):
        studio.seen.value = kind
        for step in range(1, 6):
            studio.step.value = step
            [seen[kind, step]] = greys_in(studio.stage.value)
            [sound] = sounds_in(studio.stage.value)
            assert np.abs(sound).max() > 0.1
    for one, other in (
        ((NOISY, 1), (PREDICTED, 1)),
        ((NOISY, 1), (NOISY, 5)),
        ((PREDICTED, 1), (PREDICTED, 5)),
    ):
        assert np.abs(seen[one] - seen[other]).mean() > 3, (one, other)
    np.testing.assert_allclose(seen[PREDICTED, 5], seen[NOISY, 5], atol=3)
    studio.which.value = 2
    [last], [finished] = greys_in(studio.stage.value), greys_in(pages(studio)[2])
    np.testing.assert_allclose(last, finished, atol=3)


def test_fewer_samples_than_the_number_of_the_one_that_is_followed(studio):
    studio.count.value = 4
    studio.sample.click()
    studio.which.value, studio.step.value = 3, 4
    studio.count.value, studio.num_steps.value = 2, 3
    studio.sample.click()
    assert studio.status.text == ""
    assert (studio.which.value, studio.step.value) == (0, 3)
    assert "0 after step 3" in studio.stage.value


def test_of_many_steps_some_are_remembered(studio, monkeypatch):
    monkeypatch.setattr(sampling_studio, "STAGES", 4)
    studio.num_steps.value = 16
    studio.sample.click()
    assert studio.step.options == (1, 6, 11, 16)
    assert studio.step.value == 16


def test_a_sample_has_the_hash_of_the_weights_it_was_made_by(studio):
    before = provenance.weights_hash(RUN)
    (provenance.run_folder(RUN) / WEIGHTS).write_bytes(b"trained on meanwhile")
    studio.sample.click()
    assert studio.status.text == ""
    assert studio.made_by.weights == before


def test_interpolate_leads_from_one_seed_to_the_other(studio):
    studio.seed.value, studio.towards.value, studio.count.value = 3, 4, 4
    studio.interpolate.click()
    assert studio.made_by.towards == 4
    assert "0 of 3 from seed 3 to 4" in pages(studio)[0]
    studio.sampler.value = "ddpm"
    studio.interpolate.click()
    assert "sampler is 'ddpm'" in studio.status.text


def test_a_favourite_is_saved_and_reproduced(studio, model):
    studio.seed.value = 11
    studio.sample.click()
    studio.grid.children[2].children[1].click()
    folder = provenance.run_folder(RUN) / "favourites"
    [path] = folder.glob("*.json")
    assert str(path) in studio.status.text
    assert {file.suffix for file in folder.iterdir()} == {".wav", ".png", ".json"}
    mel, _ = provenance.reproduce(path)
    assert np.array_equal(mel, provenance.sample(model, made_by(seed=11))[2])


def test_a_favourite_by_a_learnt_grid_is_reproduced_after_another_was_learnt(studio, model):
    studio.models[RUN] = with_time_grid(model, (19, 11, 5)), studio.model()[1]
    studio.num_steps.value, studio.time_grid.value = 3, "learnt"
    studio.sample.click()
    assert studio.status.text == ""
    assert studio.made_by.timesteps == (19, 11, 5)
    studio.grid.children[0].children[1].click()
    folder = provenance.run_folder(RUN)
    save_time_grid(folder, (19, 15, 2))
    [path] = (folder / "favourites").glob("*.json")
    mel, _ = provenance.reproduce(path)
    how = {"num_steps": 3, "time_grid": "log_snr"}
    before = provenance.sample(studio.models[RUN][0], studio.made_by)[0]
    assert np.array_equal(mel, before)
    assert not np.array_equal(mel, provenance.sample(model, made_by(**how))[0])


def test_a_student_sets_the_controls_to_its_steps_and_its_teacher_sets_them_back(studio, model):
    student = replace(model, is_student=True, learnt_grids={3: (19, 11, 5)})
    studio.models["pretrained"] = student, "hash"
    for run, expected in (("pretrained", student.settings()), (RUN, model.settings())):
        studio.run.value = run
        found = {name: getattr(studio, name).value for name in expected}
        assert found == expected
        studio.sample.click()
        assert studio.status.text == ""
        assert studio.made_by.num_steps == expected["num_steps"]


def test_an_error_is_shown_and_the_studio_goes_on(studio):
    studio.num_steps.value = 999
    studio.sample.click()
    assert "is 999; needed: 1 to 20" in studio.status.text
    assert len(pages(studio)) == 3, "what was there stays"
    studio.num_steps.value = 2
    studio.sample.click()
    assert studio.status.text == ""


def test_every_control_has_a_label(studio):
    controls = list(controls_in(studio.widget))
    assert len(controls) == 18
    assert all(control.description for control in controls)


def test_a_model_with_classes_is_conditioned_on_the_chosen_one(studio, random_model):
    conditional = random_model(ClassCondition(2, ("ann", "bob")))
    studio.models["pretrained"] = conditional, "hash"
    assert not studio.condition.children
    studio.run.value = "pretrained"
    [choice] = studio.condition.children
    assert choice.options == (("none", ""), ("ann", "ann"), ("bob", "bob"))
    made = {}
    for label, condition in (("bob", "bob"), ("none", None)):
        choice.label = label
        studio.sample.click()
        assert studio.status.text == ""
        assert choice.label == label, "an empty control would show no condition"
        assert studio.made_by.condition == condition
        made[condition] = images_in("".join(pages(studio)))
    assert made[None] != made["bob"]
    studio.usual.value, studio.seconds.value, studio.count.value = False, 1.0, 2
    studio.sample.click()
    studio.which.value = 1
    assert "1 after step 5" in studio.stage.value
    studio.run.value = RUN
    assert not studio.condition.children
    assert studio.condition.value is None


def test_a_text_is_a_condition_and_a_character_outside_the_alphabet_is_named(studio, random_model):
    studio.models["pretrained"] = random_model(TextCondition(5, "abc")), "hash"
    studio.run.value = "pretrained"
    [text] = studio.condition.children
    text.value = " AB "
    studio.sample.click()
    assert studio.made_by.condition == "AB"
    text.value = "xyz"
    studio.sample.click()
    assert studio.status.text == "text has 'x'; needed: characters of 'abc'"
    assert studio.made_by.condition == "AB"
