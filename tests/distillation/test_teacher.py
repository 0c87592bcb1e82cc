"""Distillation: what a student is trained towards, and that it trains like any other run."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ddpmlib.diffusion.ddpm import DDPM
from ddpmlib.diffusion.samplers import SAMPLERS
from ddpmlib.distillation.teacher import GUIDANCE_SCALE, SQUARED_ERROR, Teacher
from ddpmlib.distillation.texture import texture_distance
from ddpmlib.models.condition import ClassCondition
from ddpmlib.models.unet import UNetConfig
from ddpmlib.spectrogram.params import SpectrogramParams

PARAMS = SpectrogramParams(n_fft=256, hop_length=64, n_mels=16, n_frames=16)
SHAPE = (8, 1, 16, 16)


def model(condition=None, seed: int = 0, **options) -> DDPM:
    torch.manual_seed(seed)
    network = UNetConfig(width=8, dropout=0.3, condition=condition).build().eval()
    for weights in network.parameters():
        if not weights.any():  # where a network begins as the identity, all conditions are equal
            torch.nn.init.normal_(weights, std=0.05)
    return DDPM(network, PARAMS, noise_steps=100, precision="float32", **options)


def noise() -> torch.Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(3))


def test_losses_compare_the_samples_of_both_from_the_same_noise():
    """Those that `sample` makes: the teacher's are guided, the student's take its few steps."""
    guided = model(guiding_model=model(seed=1))
    teacher, network = Teacher(guided, 3), model(seed=2).network
    student = teacher.student(network)
    with torch.no_grad():
        losses = teacher.losses(student.predict, noise())
    how = {"noise": noise()}
    made, wanted = student.sample(8, **how), guided.sample(8, guidance_scale=GUIDANCE_SCALE, **how)
    squared = np.square(made - wanted).mean(axis=(1, 2, 3))
    texture = float(texture_distance(*map(torch.from_numpy, (made, wanted))))
    assert texture > 0
    np.testing.assert_allclose(losses, SQUARED_ERROR * squared + texture, rtol=1e-4)
    assert guided.sample(8, guidance_scale=1.0, **how) != pytest.approx(wanted)


def test_a_student_that_goes_as_its_teacher_does_has_no_loss(monkeypatch):
    """Without guidance, and with the dropout of neither of them."""
    monkeypatch.setitem(SAMPLERS, "dpmpp_2m", SAMPLERS["ddim"])
    teacher = Teacher(model(), 4)
    teacher.own_timesteps = teacher.timesteps
    torch.manual_seed(0)
    network = replace(teacher.model.network.config, dropout=0.0).build()
    network.load_state_dict(teacher.model.network.state_dict())
    student = teacher.student(network.train())
    assert teacher.losses(student.predict, noise()).max() < 1e-6


def test_all_steps_of_a_student_learn_and_the_teacher_does_not():
    teacher, network = Teacher(model(), 3), model(seed=2).network
    student, steps = teacher.student(network), []

    def model_of_one_step(x_t, time):
        output = student.predict(x_t, time)
        output.retain_grad()
        steps.append(output)
        return output

    teacher.losses(model_of_one_step, noise()).mean().backward()
    assert [bool(output.grad.any()) for output in steps] == [True] * 3
    assert all(weights.grad is None for weights in teacher.model.network.parameters())
    assert all(weights.grad is not None for weights in network.parameters())


def test_a_lesson_is_sampled_by_the_teacher_once():
    teacher = Teacher(model(), 3)
    student, calls = teacher.student(model(seed=2).network), []
    teacher.model.network.register_forward_hook(lambda *_: calls.append(1))
    first, again = (teacher.losses(student.predict, noise(), lesson=5) for _ in range(2))
    assert len(calls) == len(teacher.own_timesteps) == 12
    torch.testing.assert_close(first, again)
    other = teacher.losses(student.predict, noise(), lesson=6)
    assert len(calls) == 24
    assert (other - first).abs().max() > 1e-5, "its textures are seen from other directions"
    teacher.losses(student.predict, noise())
    assert (len(calls), sorted(teacher.lessons)) == (36, [5, 6])


def test_null_conditions_are_guided_by_none_and_others_away_from_it():
    spec = ClassCondition(2, ("ann", "eve"))
    teacher = Teacher(model(spec), 2)
    torch.nn.init.normal_(teacher.model.network.condition.table.weight, std=3.0)

    def found(condition: list[int]) -> torch.Tensor:
        """What the rows of a batch have for themselves: a student that predicts nothing."""
        losses = teacher.losses(lambda x_t, _: 0 * x_t, noise(), torch.tensor(condition))
        return losses - losses[1]

    both, null = found([0, -1] * 4), found([-1] * 8)
    torch.testing.assert_close(both[1::2], null[1::2])
    assert (both[::2] - null[::2]).abs().min() > 1e-4


def test_students_and_other_conditions_have_no_teacher():
    teacher = Teacher(model(), 4)
    with pytest.raises(ValueError, match="the teacher is a student; needed: the run"):
        Teacher(teacher.student(model().network), 2)
    spoken = UNetConfig(width=8, condition=ClassCondition(1, ("ann",))).build()
    with pytest.raises(ValueError, match="condition is ann; needed: None, that of"):
        teacher.student(spoken)
    with pytest.raises(ValueError, match="student_steps is 101; needed: 1 to 100"):
        Teacher(model(), 101)
