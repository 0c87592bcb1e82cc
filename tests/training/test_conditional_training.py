"""Conditional training: the condition is learned, resumed, dropped as often as configured, and may
begin from unconditional weights."""

import numpy as np
import pytest
import torch
from tiny import (
    NETWORK,
    assert_same_run,
    checkpoint,
    fit,
    tiny_config,
    write_conditions,
    write_data,
)

from ddpmlib.data.dataset import Reconditioned, SpectrogramSet
from ddpmlib.diffusion.ddpm import DDPM
from ddpmlib.models.condition import ClassCondition, EmbeddingCondition, TextCondition
from ddpmlib.training import step_schedule
from ddpmlib.training.loop import train

SIDES = ClassCondition(2, ("down", "up"))


LEARNING = {"learning_rate": 4e-3, "batch_size": 16, "num_samples": 0}


def conditional_data(folder, mels=18):
    """Steep ramps conditioned on whether they fall or rise; the first has the null condition."""
    path = write_data(folder, mels, validation=4)
    ramps = np.load(path)
    slopes = ramps[:, 0, 0, -1]
    steeper = (1 + np.abs(slopes)) / 2 / np.abs(slopes)
    np.save(path, ramps * steeper[:, None, None, None])
    sides = [SIDES.names[int(slope > 0)] for slope in slopes]
    texts = TextCondition.of(sides)
    write_conditions(path, side=(SIDES, [None, *sides[1:]]), text=(texts, sides))
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    conditional_data(folder, mels=642)
    fit(folder, condition="side", epochs=6, **LEARNING)
    return folder


@pytest.mark.parametrize("guidance_scale", [1.0, 2.0])
def test_samples_have_the_class_that_they_are_conditioned_on(trained, guidance_scale):
    model = DDPM.load(trained / "run")
    condition = ["up", "down"] * 4
    mels = model.sample(8, num_steps=10, condition=condition, guidance_scale=guidance_scale)
    rises = mels[:, 0, :, -4:].mean((1, 2)) > mels[:, 0, :, :4].mean((1, 2))
    assert rises.tolist() == [True, False] * 4


def test_a_condition_lowers_the_loss_and_a_wrong_one_raises_it(trained):
    model = DDPM.load(trained / "run")
    data = SpectrogramSet(trained / "tiny.npy", "validation", condition="side")
    right = data.conditions(range(len(data)))
    rows = {"right": right, "null": torch.full_like(right, -1), "wrong": 1 - right}
    losses = {name: model.loss_on(Reconditioned(data, each)) for name, each in rows.items()}
    assert losses["right"] == model.loss_on(data)
    assert losses["right"] < losses["null"] < losses["wrong"]


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path):
    conditional_data(tmp_path)

    def interrupt(progress):
        if progress.step == 6:
            raise KeyboardInterrupt

    fit(tmp_path, "whole", condition="text")
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path, "parts", interrupt, condition="text", checkpoint_minutes=1e-9)
    fit(tmp_path, "parts", condition="text")
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.parametrize("length", [0, 3])
def test_vectors_and_sequences_of_vectors_are_learned_from_too(length, tmp_path):
    path = conditional_data(tmp_path, mels=642)
    vectors = np.where(np.load(path)[1:, 0, 0, -1:] > 0, [1.0, 0.0], [0.0, 1.0])
    values = [None, *(vectors[:, None].repeat(2, 1) if length else vectors)]
    spec = EmbeddingCondition(2, length)
    write_conditions(path, words=(spec, values))
    model = fit(tmp_path, condition="words", epochs=4, **LEARNING)
    assert model.condition_spec == spec
    data = SpectrogramSet(path, "validation", condition="words")
    wrong = Reconditioned(data, data.conditions(range(len(data))).flip(-1))
    assert model.loss_on(data) < model.loss_on(wrong)
    assert np.isfinite(model.sample(2, num_steps=3, condition=[values[1], None])).all()


def test_samples_of_a_training_are_conditioned_like_held_out_data(tmp_path, monkeypatch):
    path, given = conditional_data(tmp_path), []
    sample = DDPM.sample

    def spy(self, count, **options):
        given.append((options["condition"], options["guidance_scale"]))
        return sample(self, count, **options)

    monkeypatch.setattr(DDPM, "sample", spy)
    fit(tmp_path, "conditional", condition="side", epochs=1, num_samples=3)
    fit(tmp_path, "unconditional", epochs=1)
    held_out = SpectrogramSet(path, "validation", condition="side")
    (condition, guidance_scale), (none, _) = given
    assert condition.tolist() == held_out.conditions([0, 1, 3]).tolist()
    assert guidance_scale == 1, "as the network has learned it"
    assert none is None


def test_a_loss_on_data_of_another_condition_is_refused(trained):
    model = DDPM.load(trained / "run")
    path = trained / "tiny.npy"
    for column, theirs in (("", "None"), ("text", "TextCondition")):
        data = SpectrogramSet(path, "validation", condition=column)
        with pytest.raises(ValueError, match=rf"of the data is {theirs}.*; needed: down, up"):
            model.loss_on(data)
    data = SpectrogramSet(path, "validation")
    with pytest.raises(ValueError, match="conditions from 2 to 2; needed: -1 to 1"):
        model.loss_on(Reconditioned(data, torch.full((len(data),), 2)))


def test_a_share_of_conditions_is_dropped_the_same_ones_each_time():
    config = tiny_config(batch_size=1000, condition_dropout=0.2)
    dropped = step_schedule.dropped(config, 3)
    assert 0.15 < dropped.float().mean() < 0.25
    assert torch.equal(dropped, step_schedule.dropped(config, 3))
    assert not torch.equal(dropped, step_schedule.dropped(config, 4))
    assert not step_schedule.dropped(tiny_config(batch_size=1000, condition_dropout=0.0), 3).any()


@pytest.mark.parametrize("dropout", [0.0, 0.9])
def test_conditions_of_the_network_are_dropped_that_often(dropout, tmp_path):
    conditional_data(tmp_path)
    seen, forward = [], torch.nn.Embedding.forward

    def spy(self, condition):
        if self.training:
            seen.append(condition)
        return forward(self, condition)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.Embedding, "forward", spy)
        fit(tmp_path, condition="side", condition_dropout=dropout, epochs=10, num_samples=0)
    null = (torch.cat(seen) == SIDES.n).float().mean()
    assert null < 0.1 if dropout == 0 else 0.8 < null < 1


def test_unconditional_weights_go_on_with_a_condition(tmp_path):
    path = conditional_data(tmp_path)
    fit(tmp_path, "before", epochs=5, num_samples=0)
    options = {"network": None, "init_from": str(tmp_path / "before"), "epochs": 1}
    fit(tmp_path, "after", condition="text", learning_rate=1e-12, **options)
    data = SpectrogramSet(path, condition="text")
    before, after = (DDPM.load(tmp_path / run) for run in ("before", "after"))
    assert before.condition_spec is None
    assert after.condition_spec == data.condition_spec
    assert after.loss_on(data) == pytest.approx(before.loss_on(data), abs=1e-5)


def test_weights_of_another_condition_are_refused(tmp_path):
    conditional_data(tmp_path)
    fit(tmp_path, "before", condition="side", epochs=1, num_samples=0)
    with pytest.raises(ValueError, match=r"condition is 'text', .* of .*before is down, up;"):
        fit(tmp_path, "after", condition="text", network=None, init_from=str(tmp_path / "before"))


def test_a_run_is_not_resumed_with_another_condition(tmp_path):
    conditional_data(tmp_path)
    fit(tmp_path, epochs=1, num_samples=0)
    assert checkpoint(tmp_path / "run")["config"]["condition"] == ""
    with pytest.raises(ValueError, match=r"condition is side but  in .*checkpoint\.pt"):
        fit(tmp_path, condition="side")
    with pytest.raises(ValueError, match=r"condition_dropout is 0\.2 but 0\.1 in"):
        fit(tmp_path, condition_dropout=0.2)


def test_the_validation_loss_is_conditioned_too(tmp_path):
    path = conditional_data(tmp_path)
    used = []

    class Spied(SpectrogramSet):
        def conditions(self, indices):
            used.extend(int(i) for i in indices)
            return super().conditions(indices)

    data = SpectrogramSet(path, condition="side")
    validation = Spied(path, "validation", condition="side")
    config = tiny_config(condition="side", epochs=1, num_samples=0)
    train(config, data, validation, tmp_path / "run", NETWORK)
    assert sorted(used) == list(range(len(validation)))


@pytest.mark.parametrize("which", [0, 1])
def test_data_that_were_opened_for_another_condition_are_refused(which, tmp_path):
    path = conditional_data(tmp_path)
    sets = [SpectrogramSet(path, split, condition="side") for split in ("train", "validation")]
    sets[which] = SpectrogramSet(path, ("train", "validation")[which])
    with pytest.raises(ValueError, match=r"condition is 'side' but tiny\.npy was opened with ''"):
        train(tiny_config(condition="side"), *sets, tmp_path / "run", NETWORK)
