"""The studio without a browser: what its controls do."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_cards import images_in, sounds_in
from test_recipe import RUN, made_by, model  # noqa: F401

from ddpmlib import recipe, studio
from ddpmlib.condition import Labels, Tokens
from ddpmlib.spectrogram import image_to_audio
from ddpmlib.studio import IDEA, NOISY, Studio


@pytest.fixture
def desk(model) -> Studio:  # noqa: F811
    desk = Studio(model, made_by(), "cpu")
    pictures = recipe.invent(model, made_by())
    desk.show(pictures, [image_to_audio(picture, model.params) for picture in pictures])
    return desk


def pages(desk: Studio) -> list[str]:
    return [box.children[0].value for box in desk.grid.children]


def test_without_anybody_to_click_the_samples_stand_there_as_cards(model):  # noqa: F811
    pictures = recipe.invent(model, made_by())
    sounds = [image_to_audio(picture, model.params) for picture in pictures]
    page = studio.open_studio(model, made_by(), pictures, sounds, "cpu").data
    assert page.count("<audio ") == page.count("<svg") == 3


def test_no_more_are_shown_than_a_page_can_carry(model):  # noqa: F811
    pictures = np.zeros((40, 1, 8, 16))
    page = studio.open_studio(model, made_by(count=40), pictures, [np.zeros(99)] * 40, "cpu").data
    assert page.count("<audio ") == studio.MOST


def test_the_controls_begin_where_the_notebook_was(desk):
    assert (desk.run.value, desk.steps.value, desk.count.value) == (RUN, 5, 3)
    assert set(desk.run.options) == {RUN, "pretrained"}
    assert len(pages(desk)) == 3


def test_invent_does_what_the_controls_say(desk, model):  # noqa: F811
    desk.seed.value, desk.count.value, desk.sampler.value = 9, 2, "ddim"
    desk.usual.value, desk.seconds.value = False, 1.0
    before = pages(desk)
    desk.invent.click()
    assert desk.status.said == ""
    assert desk.progress.value == desk.progress.max == 5
    assert len(pages(desk)) == 2
    assert not set(pages(desk)) & set(before)
    assert desk.made_by == made_by(seed=9, count=2, sampler="ddim", seconds=1.0, index=0)
    assert not desk.invent.disabled


def test_every_look_can_be_seen_and_heard(desk):
    desk.invent.click()
    assert desk.look.options == (1, 2, 3, 4, 5)
    assert desk.look.value == 5
    seen = {}
    for kind in (IDEA, NOISY):
        desk.seen.value = kind
        for look in range(1, 6):
            desk.look.value = look
            [image], [sound] = images_in(desk.stage.value), sounds_in(desk.stage.value)
            seen[kind, look] = np.asarray(image.convert("L"), int)
            assert np.abs(sound).max() > 0.1
    for one, other in (((NOISY, 1), (IDEA, 1)), ((NOISY, 1), (NOISY, 5)), ((IDEA, 1), (IDEA, 5))):
        assert np.abs(seen[one] - seen[other]).mean() > 3, (one, other)
    np.testing.assert_allclose(seen[IDEA, 5], seen[NOISY, 5], atol=3)
    desk.which.value = 2
    [image] = images_in(desk.stage.value)
    [finished] = images_in(pages(desk)[2])
    np.testing.assert_allclose(np.asarray(image.convert("L"), int), finished.convert("L"), atol=3)


def test_fewer_pictures_than_the_one_that_is_followed(desk):
    desk.count.value = 4
    desk.invent.click()
    desk.which.value, desk.look.value = 3, 4
    desk.count.value, desk.steps.value = 2, 3
    desk.invent.click()
    assert desk.status.said == ""
    assert (desk.which.value, desk.look.value) == (0, 3)


def test_of_many_looks_some_are_kept(desk, monkeypatch):
    monkeypatch.setattr(studio, "STAGES", 4)
    desk.steps.value = 16
    desk.invent.click()
    assert desk.look.options == (1, 6, 11, 16)
    assert desk.look.value == 16


def test_what_is_kept_has_the_weights_it_was_made_by(desk):
    before = recipe.weights_hash(RUN)
    (recipe.run_folder(RUN) / "model.safetensors").write_bytes(b"trained on meanwhile")
    desk.invent.click()
    assert desk.status.said == ""
    assert desk.made_by.weights == before


def test_morph_leads_from_one_seed_to_the_other(desk):
    desk.seed.value, desk.towards.value, desk.count.value = 3, 4, 4
    desk.morph.click()
    assert desk.made_by.towards == 4
    assert "0 of 3 from seed 3 to 4" in pages(desk)[0]
    desk.sampler.value = "ddpm"
    desk.morph.click()
    assert "a morph needs another" in desk.status.said


def test_a_favourite_is_kept_and_made_again(desk, model):  # noqa: F811
    desk.seed.value = 11
    desk.invent.click()
    desk.grid.children[2].children[1].click()
    folder = recipe.run_folder(RUN) / "favourites"
    [path] = folder.glob("*.json")
    assert str(path) in desk.status.said
    assert {file.suffix for file in folder.iterdir()} == {".wav", ".png", ".json"}
    picture, _ = recipe.make_again(path)
    assert np.array_equal(picture, recipe.invent(model, made_by(seed=11))[2])


def test_what_goes_wrong_is_said_and_the_studio_goes_on(desk):
    desk.steps.value = 999
    desk.invent.click()
    assert "steps is 999; needed: 1 to 20" in desk.status.said
    assert len(pages(desk)) == 3, "what was there stays"
    desk.steps.value = 2
    desk.invent.click()
    assert desk.status.said == ""


def test_every_control_has_a_label(desk):
    for name, control in vars(desk).items():
        if hasattr(control, "description") and name not in ("stage", "status"):
            assert control.description, name


def test_a_model_that_can_be_told_something_is(desk, model):  # noqa: F811
    torch.manual_seed(0)
    network = model.network.config.told(Labels(2, ("ann", "bob"))).build().eval()
    for parameter in network.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter)
    told = replace(model, network=network)
    desk.models["pretrained"] = told, "hash"
    assert desk.saying.label.layout.display == desk.saying.text.layout.display == "none"
    desk.run.value = "pretrained"
    assert desk.saying.label.layout.display is None
    assert desk.saying.label.options == (("nothing", ""), ("ann", "ann"), ("bob", "bob"))
    made = {}
    for shown, said in (("bob", "bob"), ("nothing", None)):
        desk.saying.label.label = shown
        desk.invent.click()
        assert desk.status.said == ""
        assert desk.saying.label.label == shown, "an empty control says nothing to people"
        assert desk.made_by.condition == said
        made[said] = images_in("".join(pages(desk)))
    assert made[None] != made["bob"]
    desk.usual.value, desk.seconds.value, desk.count.value = False, 1.0, 2
    desk.invent.click()
    desk.which.value = 1
    assert "1 after look 5" in desk.stage.value
    desk.run.value = RUN
    assert desk.saying.label.layout.display == "none"
    assert desk.saying.value is None


def test_a_text_can_be_said_and_a_character_that_was_never_seen_is_named(desk, model):  # noqa: F811
    network = model.network.config.told(Tokens(5, "abc")).build().eval()
    desk.models["pretrained"] = replace(model, network=network), "hash"
    desk.run.value = "pretrained"
    assert desk.saying.text.layout.display is None
    desk.saying.text.value = " AB "
    desk.invent.click()
    assert desk.made_by.condition == "AB"
    desk.saying.text.value = "xyz"
    desk.invent.click()
    assert desk.status.said == "text has 'x'; needed: characters of 'abc'"
    assert desk.made_by.condition == "AB"
