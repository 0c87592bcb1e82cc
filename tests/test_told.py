"""Training with a condition: it is learned, resumed, silenced as often as asked, and begun from
weights that knew none."""

import numpy as np
import pytest
import torch
from tiny import NETWORK, assert_same_run, checkpoint, fit, tell, tiny_config, write_data

from ddpmlib import course
from ddpmlib.condition import Labels, Tokens, Vectors
from ddpmlib.dataset import SpectrogramSet, Told
from ddpmlib.ddpm import DDPM
from ddpmlib.training import train

SIDES = Labels(2, ("down", "up"))


def told_data(folder):
    """Steep ramps, and whether they fall or rise; nothing is said of one of them."""
    path = write_data(folder, validation=4)
    pictures = np.load(path)
    slopes = pictures[:, 0, 0, -1]
    steeper = (1 + np.abs(slopes)) / 2 / np.abs(slopes)
    np.save(path, pictures * steeper[:, None, None, None])
    sides = [SIDES.names[int(slope > 0)] for slope in slopes]
    texts = Tokens.of(sides)
    tell(path, side=(SIDES, [None, *sides[1:]]), text=(texts, sides))
    return path


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    folder = tmp_path_factory.mktemp("told")
    told_data(folder)
    fit(folder, condition="side", epochs=300, learning_rate=3e-3, num_samples=0)
    return folder


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_the_voice_that_was_asked_for_is_heard(told, guidance):
    model = DDPM.load(told / "run")
    asked = ["up", "down"] * 4
    pictures = model.sample(8, steps=10, condition=asked, guidance=guidance)
    rises = pictures[:, 0, :, -4:].mean((1, 2)) > pictures[:, 0, :, :4].mean((1, 2))
    assert rises.tolist() == [True, False] * 4


def test_knowing_lowers_the_loss_and_being_told_wrongly_raises_it(told):
    model = DDPM.load(told / "run")
    data = SpectrogramSet(told / "tiny.npy", "validation", condition="side")
    right = data.conditions(range(len(data)))
    said = {"right": right, "nothing": torch.full_like(right, -1), "wrong": 1 - right}
    losses = {name: model.loss_on(Told(data, rows)) for name, rows in said.items()}
    assert losses["right"] == model.loss_on(data)
    assert losses["right"] < losses["nothing"] < losses["wrong"]


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path):
    told_data(tmp_path)

    def interrupt(progress):
        if progress.step == 6:
            raise KeyboardInterrupt

    fit(tmp_path, "whole", condition="text")
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path, "parts", interrupt, condition="text", checkpoint_minutes=1e-9)
    fit(tmp_path, "parts", condition="text")
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


def test_vectors_are_learned_from_too(tmp_path):
    path = told_data(tmp_path)
    vectors = [None, *np.where(np.load(path)[1:, 0, 0, -1:] > 0, [1.0, 0.0], [0.0, 1.0])]
    kinds = {"mean": (Vectors(2), vectors)}
    kinds["words"] = Vectors(2, 3), [v if v is None else v[None].repeat(2, 0) for v in vectors]
    tell(path, **kinds)
    for column, (kind, values) in kinds.items():
        model = fit(tmp_path, column, condition=column, epochs=100, learning_rate=3e-3)
        assert model.kind == kind
        data = SpectrogramSet(path, "validation", condition=column)
        right = data.conditions(range(len(data)))
        wrong = Told(data, right.flip(-1))
        assert model.loss_on(data) < model.loss_on(wrong), column
        assert np.isfinite(model.sample(2, steps=3, condition=[values[1], None])).all()


def test_samples_of_a_training_are_asked_for_what_is_held_out(tmp_path, monkeypatch):
    path, asked = told_data(tmp_path), []
    sample = DDPM.sample

    def spy(self, count, **options):
        asked.append((options["condition"], options["guidance"]))
        return sample(self, count, **options)

    monkeypatch.setattr(DDPM, "sample", spy)
    fit(tmp_path, "told", condition="side", epochs=1, num_samples=3)
    fit(tmp_path, "untold", epochs=1)
    held_out = SpectrogramSet(path, "validation", condition="side")
    (said, guidance), (nothing, _) = asked
    assert said.tolist() == held_out.conditions([0, 1, 3]).tolist()
    assert guidance == 1, "as the network has learned it"
    assert nothing is None


def test_a_loss_on_pictures_that_are_told_something_else_is_refused(told):
    model = DDPM.load(told / "run")
    path = told / "tiny.npy"
    for column, kind in (("", "nothing"), ("text", "Tokens")):
        data = SpectrogramSet(path, "validation", condition=column)
        with pytest.raises(ValueError, match=rf"are told {kind}.*; needed: down, up"):
            model.loss_on(data)
    data = SpectrogramSet(path, "validation")
    with pytest.raises(ValueError, match="conditions from 2 to 2; needed: -1 to 1"):
        model.loss_on(Told(data, torch.full((len(data),), 2)))


def test_a_share_of_pictures_is_told_nothing_the_same_ones_each_time():
    config = tiny_config(batch_size=1000, condition_dropout=0.2)
    silent = course.silent(config, 3)
    assert 0.15 < silent.float().mean() < 0.25
    assert torch.equal(silent, course.silent(config, 3))
    assert not torch.equal(silent, course.silent(config, 4))
    assert not course.silent(tiny_config(batch_size=1000, condition_dropout=0.0), 3).any()


@pytest.mark.parametrize("dropout", [0.0, 0.9])
def test_what_the_network_is_told_is_silenced_that_often(dropout, tmp_path):
    told_data(tmp_path)
    seen, forward = [], torch.nn.Embedding.forward

    def spy(self, said):
        if self.training:
            seen.append(said)
        return forward(self, said)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.Embedding, "forward", spy)
        fit(tmp_path, condition="side", condition_dropout=dropout, epochs=10, num_samples=0)
    nothing = (torch.cat(seen) == SIDES.n).float().mean()
    assert nothing < 0.1 if dropout == 0 else 0.8 < nothing < 1


def test_weights_that_knew_nothing_go_on_with_a_condition(tmp_path):
    path = told_data(tmp_path)
    fit(tmp_path, "before", epochs=5)
    options = {"network": None, "init_from": str(tmp_path / "before"), "epochs": 1}
    fit(tmp_path, "after", condition="text", learning_rate=1e-12, **options)
    data = SpectrogramSet(path, condition="text")
    before, after = (DDPM.load(tmp_path / run) for run in ("before", "after"))
    assert before.kind is None
    assert after.kind == data.kind
    assert after.loss_on(data) == pytest.approx(before.loss_on(data), abs=1e-5)


def test_weights_that_can_be_told_something_else_are_refused(tmp_path):
    told_data(tmp_path)
    fit(tmp_path, "before", condition="side", epochs=1)
    with pytest.raises(ValueError, match=r"condition is 'text', .* but .*before was told down, up"):
        fit(tmp_path, "after", condition="text", network=None, init_from=str(tmp_path / "before"))


def test_a_run_is_not_resumed_with_another_condition(tmp_path):
    told_data(tmp_path)
    fit(tmp_path, epochs=1)
    assert checkpoint(tmp_path / "run")["config"]["condition"] == ""
    with pytest.raises(ValueError, match=r"condition is side but  in .*checkpoint\.pt"):
        fit(tmp_path, condition="side")
    with pytest.raises(ValueError, match=r"condition_dropout is 0\.2 but 0\.1 in"):
        fit(tmp_path, condition_dropout=0.2)


def test_validation_data_are_told_too(tmp_path):
    path = told_data(tmp_path)
    asked = []

    class Spied(SpectrogramSet):
        def conditions(self, indices):
            asked.extend(int(i) for i in indices)
            return super().conditions(indices)

    data = SpectrogramSet(path, condition="side")
    validation = Spied(path, "validation", condition="side")
    config = tiny_config(condition="side", epochs=1, num_samples=0)
    train(config, data, validation, tmp_path / "run", NETWORK)
    assert sorted(asked) == list(range(len(validation)))


@pytest.mark.parametrize("which", [0, 1])
def test_data_that_were_opened_for_another_condition_are_refused(which, tmp_path):
    path = told_data(tmp_path)
    sets = [SpectrogramSet(path, split, condition="side") for split in ("train", "validation")]
    sets[which] = SpectrogramSet(path, ("train", "validation")[which])
    with pytest.raises(ValueError, match=r"condition is 'side' but tiny\.npy was opened with ''"):
        train(tiny_config(condition="side"), *sets, tmp_path / "run", NETWORK)
