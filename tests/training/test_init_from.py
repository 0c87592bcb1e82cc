"""Training that begins with weights that exist: a run of one's own, or the shipped ones."""

import pytest
import torch
from safetensors.torch import load_file
from tiny import NETWORK, assert_same_run, checkpoint, fit, tiny_config, write_data

from ddpmlib.data.dataset import SpectrogramSet
from ddpmlib.diffusion.ddpm import DDPM, WEIGHTS
from ddpmlib.distillation.teacher import Teacher, teacher_of
from ddpmlib.models.unet import UNetConfig
from ddpmlib.spectrogram.params import SpectrogramParams
from ddpmlib.training import step_schedule
from ddpmlib.training.checkpoint import first_model
from ddpmlib.training.loop import train
from ddpmlib.training.run_directory import read_metrics


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """A trained run, and the data it was trained on."""
    folder = tmp_path_factory.mktemp("teacher")
    fit(folder, epochs=10, num_samples=0)
    return folder


def test_the_first_model_is_the_one_that_was_saved(teacher):
    config = tiny_config(init_from=str(teacher / "run"))
    model = first_model(config, SpectrogramSet(teacher / "tiny.npy"), None, torch.device("cpu"))
    saved = load_file(teacher / "run" / WEIGHTS)
    for name, value in model.network.state_dict().items():
        assert torch.equal(value, saved[name]), name
    assert model.network.training
    assert model.network.config == NETWORK


def test_weights_in_half_precision_are_trained_in_full(teacher, tmp_path):
    DDPM.load(teacher / "run").save(tmp_path / "half.safetensors", half=True)
    assert {v.dtype for v in load_file(tmp_path / "half.safetensors").values()} == {torch.float16}
    config = tiny_config(init_from=str(tmp_path / "half.safetensors"))
    model = first_model(config, SpectrogramSet(teacher / "tiny.npy"), None, torch.device("cpu"))
    assert {p.dtype for p in model.network.parameters()} == {torch.float32}


def test_fine_tuning_starts_where_the_first_training_ended(teacher, tmp_path):
    where = str(teacher / "run")
    fit(tmp_path, network=None, init_from=where, learning_rate=1e-12, epochs=1)
    saved, tuned = (load_file(run / WEIGHTS) for run in (teacher / "run", tmp_path / "run"))
    for name, value in saved.items():
        torch.testing.assert_close(tuned[name], value, atol=1e-6, rtol=0)
    assert checkpoint(tmp_path / "run")["config"]["init_from"] == where


def test_a_resumed_fine_tuning_equals_an_uninterrupted_one(teacher, tmp_path):
    from_teacher = {"init_from": str(teacher / "run"), "network": None}
    fit(tmp_path, "whole", **from_teacher)

    def interrupt(progress):
        if progress.step == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path, "parts", interrupt, **from_teacher, checkpoint_minutes=1e-9)
    fit(tmp_path, "parts", **from_teacher)
    whole, parts = (load_file(tmp_path / run / WEIGHTS) for run in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


WRONG = [
    ({"prediction_type": "eps"}, None, "prediction_type is eps but v in"),
    ({"schedule": "linear"}, None, "schedule is linear but cosine in"),
    ({"noise_steps": 30}, None, "noise_steps is 30 but 20 in"),
    ({}, UNetConfig(width=16, multipliers=(1, 2), heads=2), "network is UNetConfig.width=16.* but"),
]


@pytest.mark.parametrize(("changes", "network", "words"), WRONG)
def test_what_does_not_fit_is_named_before_anything_is_written(
    changes, network, words, teacher, tmp_path
):
    with pytest.raises(ValueError, match=words):
        fit(tmp_path, network=network, init_from=str(teacher / "run"), **changes)
    assert not (tmp_path / "run").exists()


def test_data_of_other_spectrogram_parameters_are_refused(teacher, tmp_path):
    path = write_data(
        tmp_path, params=SpectrogramParams(n_fft=256, hop_length=64, n_mels=8, n_frames=16)
    )
    data = SpectrogramSet(path), SpectrogramSet(path, "validation")
    config = tiny_config(init_from=str(teacher / "run"))
    with pytest.raises(ValueError, match=r"n_fft is 128 in .* but 256 in the data"):
        train(config, *data, tmp_path / "run")


def test_weights_that_are_not_there_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nobody does not exist"):
        fit(tmp_path, network=None, init_from="nobody")


def test_weights_that_are_not_finite_are_named_before_anything_is_written(teacher, tmp_path):
    model = DDPM.load(teacher / "run")
    model.network.head.bias.data[:2] = float("nan")
    model.save(bad := tmp_path / "bad.safetensors")
    with pytest.raises(ValueError, match=f"2 of 4 values of head.bias in {bad} are NaN or inf"):
        fit(tmp_path, network=None, init_from=str(bad))
    assert not (tmp_path / "run").exists()


def test_a_run_is_not_resumed_from_other_first_weights(teacher, tmp_path):
    fit(tmp_path, epochs=1)
    with pytest.raises(ValueError, match=r"init_from is .*run but  in .*checkpoint.pt"):
        fit(tmp_path, init_from=str(teacher / "run"))


def test_a_student_is_trained_resumed_and_loaded_like_any_run(teacher, tmp_path, monkeypatch):
    monkeypatch.setattr(step_schedule, "LESSONS", 16)
    student = {"init_from": str(teacher / "run"), "student_steps": 2, "network": None}
    fit(tmp_path, "whole", **student)
    state = checkpoint(tmp_path / "whole")

    def interrupt(progress):
        if progress.step == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path, "parts", interrupt, **student, checkpoint_minutes=1e-9)
    fit(tmp_path, "parts", **student)
    assert_same_run(tmp_path / "parts", tmp_path / "whole")
    made = DDPM.load(tmp_path / "whole")
    assert made.is_student
    assert made.guiding_model is None
    assert [len(grid) for grid in made.learnt_grids.values()] == [2]
    assert made.sample(1).shape == (1, 1, *made.params.image_size)
    assert state["config"]["student_steps"] == 2
    with pytest.raises(ValueError, match="student_steps is 4 but 2 in"):
        fit(tmp_path, "whole", **student | {"student_steps": 4})


def test_a_student_goes_on_from_another_one_with_the_same_teacher(teacher, tmp_path, monkeypatch):
    monkeypatch.setattr(step_schedule, "LESSONS", 16)
    student = {"init_from": str(teacher / "run"), "student_steps": 2, "network": None}
    fit(tmp_path, "first", **student, epochs=1, num_samples=0)
    student |= {"init_from": str(tmp_path / "first"), "student_steps": 3}
    made = fit(tmp_path, "second", **student, epochs=1, num_samples=0, learning_rate=1e-9)
    first, original = DDPM.load(tmp_path / "first"), DDPM.load(teacher / "run")
    assert [len(grid) for grid in made.learnt_grids.values()] == [3]
    torch.testing.assert_close(made.network.state_dict(), first.network.state_dict())
    for run in ("first", "second"):
        found = teacher_of(str(tmp_path / run), 2, original).model
        torch.testing.assert_close(found.network.state_dict(), original.network.state_dict())
    file = tmp_path / "first" / "model.safetensors"
    with pytest.raises(ValueError, match=r"model.safetensors is a student without a config.json"):
        teacher_of(str(file), 2, original)


def test_a_student_of_other_lessons_is_not_resumed(teacher, tmp_path, monkeypatch):
    """With fewer ones it could find that none are left of its epoch, and wait for ever."""
    monkeypatch.setattr(step_schedule, "LESSONS", 16)
    student = {"init_from": str(teacher / "run"), "student_steps": 2, "network": None}
    fit(tmp_path, **student, epochs=1, num_samples=0)
    monkeypatch.setattr(step_schedule, "LESSONS", 32)
    with pytest.raises(ValueError, match=r"lessons of a student is 32 but 16 in .*checkpoint.pt"):
        fit(tmp_path, **student, epochs=2, num_samples=0)


def test_a_student_has_the_same_lessons_in_every_epoch(teacher, tmp_path, monkeypatch):
    monkeypatch.setattr(step_schedule, "LESSONS", 16)
    seen, losses = [], Teacher.losses

    def watch(self, model, noise, *condition, lesson=None):
        seen.append((lesson, noise.clone()))
        return losses(self, model, noise, *condition, lesson=lesson)

    monkeypatch.setattr(Teacher, "losses", watch)
    student = {"init_from": str(teacher / "run"), "student_steps": 2, "network": None}
    fit(tmp_path, **student, epochs=2, num_samples=0)
    taught = [(lesson, noise) for lesson, noise in seen if lesson is not None]  # not of validation
    first, second = taught[:4], dict(taught[4:])
    assert sorted(second) == [0, 1, 2, 3]
    assert all(torch.equal(second[lesson], noise) for lesson, noise in first)


def test_a_student_comes_nearer_to_its_teacher(teacher, tmp_path, monkeypatch):
    monkeypatch.setattr(step_schedule, "LESSONS", 64)
    student = {"init_from": str(teacher / "run"), "student_steps": 2, "network": None}
    fit(tmp_path, **student, epochs=8, learning_rate=3e-3, num_samples=0, ema_decay=0.9)
    rows = read_metrics(tmp_path / "run")
    assert rows[-1]["train_loss"] < 0.7 * rows[0]["train_loss"]
    assert rows[-1]["validation_loss"] < rows[0]["validation_loss"]
