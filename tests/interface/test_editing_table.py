"""The editing table without a browser: what its controls do."""

import numpy as np
import pytest
from pages import controls_in, images_in
from tiny import PARAMS

from ddpmlib.diffusion.ddpm import DDPM
from ddpmlib.interface import editing_table
from ddpmlib.interface.editing_table import EditingTable, keep_mask, open_editing_table
from ddpmlib.models.condition import ClassCondition

SENTENCES = {name: np.full((1, *PARAMS.image_size), value) for name, value in (("a", 0), ("b", 1))}


@pytest.fixture(scope="module")
def model(random_model) -> DDPM:
    return random_model(ClassCondition(2, ("ann", "bob")))


@pytest.fixture
def table(model) -> EditingTable:
    return EditingTable(model, SENTENCES, 3, 2.0)


@pytest.fixture
def calls(model, monkeypatch) -> list[dict]:
    """Arguments of `DDPM.sample`."""
    calls, sample = [], DDPM.sample

    def spy(self, count, sampler, **options):
        calls.append({"count": count, "sampler": sampler, **options})
        return sample(self, count, sampler, **options)

    monkeypatch.setattr(DDPM, "sample", spy)
    return calls


def test_where_nobody_can_click_edited_sentences_are_shown(model):
    edited = {"real": SENTENCES["a"], "inpainted": SENTENCES["b"]}
    page = open_editing_table(model, SENTENCES, edited, 3, 2.0).data
    assert page.count("<audio ") == 2
    assert "inpainted" in page


def test_a_chosen_sentence_is_shown(table):
    before = images_in(table.page.value)
    assert len(before) == 1
    table.sentence.value = "b"
    assert images_in(table.page.value) != before


def test_vary_begins_from_the_sentence_with_the_settings(table, calls):
    table.strength.value, table.seed.value, table.guidance_scale.value = 0.3, 7, 1.5
    table.condition.children[0].value = "bob"
    table.vary.click()
    assert table.status.text == ""
    [call] = calls
    edit = call["edit"]
    assert (edit.strength, edit.keep) == (0.3, None)
    np.testing.assert_array_equal(edit.mel, SENTENCES["a"][0])
    settings = [call[name] for name in ("condition", "guidance_scale", "seed", "num_steps")]
    assert settings == ["bob", 1.5, 7, 3]
    assert len(images_in(table.page.value)) == 2
    assert "strength 0.3" in table.page.value
    assert table.progress.value == table.progress.max
    assert not table.vary.disabled


def test_inpaint_keeps_all_but_what_is_cut_out(table, calls):
    seconds = PARAMS.seconds
    table.cut.value = (seconds / 4, seconds / 2)
    table.inpaint.click()
    assert table.status.text == ""
    [call] = calls
    assert call["edit"].strength == 1
    keep = call["edit"].keep
    assert keep.shape == PARAMS.image_size
    assert keep[0].tolist() == [True] * 4 + [False] * 4 + [True] * 8
    assert call["condition"] is None
    assert call["sampler"] == editing_table.SAMPLER


def test_all_can_be_cut_out_but_not_nothing(table, calls):
    end = PARAMS.seconds
    assert not keep_mask(PARAMS, 0, end).any()
    for cut in ((0.01, 0.01), (0.02, 0.01), (-0.1, end), (0, 3.0), (0, 1e-4), (float("nan"), end)):
        with pytest.raises(ValueError, match=rf"cut from .* needed: within 0 to {end:g}, and"):
            keep_mask(PARAMS, *cut)
    table.cut.value = (end, end)
    table.inpaint.click()
    assert "needed: within 0 to" in table.status.text
    assert not calls


def test_an_error_is_shown_and_no_sample(table, monkeypatch):
    def refuse(*_, **__):
        raise ValueError("no")

    monkeypatch.setattr(DDPM, "sample", refuse)
    table.vary.click()
    assert table.status.text == "no"
    assert len(images_in(table.page.value)) == 1


def test_every_control_has_a_label(table):
    assert all(control.description for control in controls_in(table.widget))
