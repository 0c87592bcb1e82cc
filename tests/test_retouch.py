"""The table for retouching without a browser: what its controls do."""

import numpy as np
import pytest
import torch
from test_cards import images_in
from tiny import NETWORK, PARAMS

from ddpmlib import retouch
from ddpmlib.condition import Labels
from ddpmlib.ddpm import DDPM
from ddpmlib.retouch import Retouch, open_retouch, without

SENTENCES = {name: np.full((1, *PARAMS.image_size), value) for name, value in (("a", 0), ("b", 1))}


@pytest.fixture
def model() -> DDPM:
    torch.manual_seed(0)
    network = NETWORK.told(Labels(2, ("ann", "bob"))).build().eval()
    for parameter in network.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter)
    return DDPM(network, PARAMS, noise_steps=20, precision="float32")


@pytest.fixture
def table(model) -> Retouch:
    return Retouch(model, SENTENCES, 3, 2.0)


@pytest.fixture
def asked(model, monkeypatch) -> list[dict]:
    """What the model is asked for."""
    calls, sample = [], DDPM.sample

    def spy(self, *values, **options):
        calls.append(dict(zip(("count", "sampler", "steps", "seed"), values, strict=False)))
        calls[-1].update(options)
        return sample(self, *values, **options)

    monkeypatch.setattr(DDPM, "sample", spy)
    return calls


def test_without_anybody_to_click_what_was_made_stands_there(model):
    page = open_retouch(
        model, SENTENCES, {"real": SENTENCES["a"], "filled": SENTENCES["b"]}, 3, 2.0
    )
    assert page.data.count("<audio ") == 2
    assert "filled" in page.data


def test_a_chosen_sentence_is_shown(table):
    before = images_in(table.page.value)
    assert len(before) == 1
    table.sentence.value = "b"
    assert images_in(table.page.value) != before


def test_vary_begins_from_the_sentence_with_what_is_said(table, asked):
    table.strength.value, table.seed.value, table.guidance.value = 0.3, 7, 1.5
    table.saying.label.value = "bob"
    table.vary.click()
    assert table.status.said == ""
    [call] = asked
    edit = call["edit"]
    assert (edit.strength, edit.keep) == (0.3, None)
    np.testing.assert_array_equal(edit.picture, SENTENCES["a"][0])
    assert (call["condition"], call["guidance"], call["seed"]) == ("bob", 1.5, 7)
    assert len(images_in(table.page.value)) == 2
    assert "strength 0.3" in table.page.value
    assert table.progress.value == table.progress.max
    assert not table.vary.disabled


def test_fill_keeps_all_but_what_is_cut_out(table, asked, model):
    seconds = PARAMS.seconds
    table.cut.value = (seconds / 4, seconds / 2)
    table.fill.click()
    assert table.status.said == ""
    assert asked[0]["edit"].strength == 1
    keep = asked[0]["edit"].keep
    assert keep.shape == PARAMS.image_size
    assert keep[0].tolist() == [True] * 4 + [False] * 4 + [True] * 8
    assert asked[0]["condition"] is None
    assert asked[0]["sampler"] == retouch.SAMPLER


def test_all_can_be_cut_out_but_not_nothing(table, asked):
    end = PARAMS.seconds
    assert not without(PARAMS, 0, end).any()
    for cut in ((0.01, 0.01), (0.02, 0.01), (-0.1, end), (0, 3.0), (0, 1e-4), (float("nan"), end)):
        with pytest.raises(ValueError, match=rf"cut from .* needed: within 0 to {end:g}, and"):
            without(PARAMS, *cut)
    table.cut.value = (end, end)
    table.fill.click()
    assert "needed: within 0 to" in table.status.said
    assert not asked


def test_an_error_is_said_and_nothing_is_shown_as_made(table, monkeypatch):
    def refuse(*_, **__):
        raise ValueError("no")

    monkeypatch.setattr(DDPM, "sample", refuse)
    table.vary.click()
    assert table.status.said == "no"
    assert len(images_in(table.page.value)) == 1
