"""Distillation: what a student is trained towards, and that it trains like any other run."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ddpmlib.diffusion.ddpm import DDPM
from ddpmlib.diffusion.process import add_noise, predict, training_loss
from ddpmlib.diffusion.samplers import GUIDANCE_SCALE, SAMPLERS
from ddpmlib.distillation.teacher import SUBSTEPS, Teacher
from ddpmlib.models.condition import ClassCondition
from ddpmlib.models.unet import UNetConfig

SHAPE = (8, 1, 16, 16)


def model(condition=None, seed: int = 0, **options) -> DDPM:
    torch.manual_seed(seed)
    network = UNetConfig(width=8, dropout=0.3, condition=condition).build().eval()
    for weights in network.parameters():
        if not weights.any():  # where a network begins as the identity, all conditions are equal
            torch.nn.init.normal_(weights, std=0.05)
    return DDPM(network, noise_steps=100, precision="float32", **options)


def inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    x_0 = torch.rand(SHAPE, generator=generator) * 2 - 1
    return x_0, torch.arange(8) * 100 // 8, torch.randn(SHAPE, generator=generator)


def test_the_target_leads_one_step_of_ddim_to_where_the_teacher_goes():
    guided = model(guiding_model=model(seed=1))
    teacher = Teacher(guided, 4)
    x_0, t, noise = inputs()
    wanted, times, their_noise = teacher.target(x_0, t, noise)
    assert sorted(set(times.tolist()), reverse=True) == [c[0] for c in teacher.courses]
    x_t = add_noise(x_0, times, noise, guided.alpha_bar)
    torch.testing.assert_close(
        add_noise(wanted, times, their_noise, guided.alpha_bar), x_t, atol=1e-4, rtol=0
    )
    for i, step in ((7, 0), (0, 3)):  # from pure noise, and to x_0
        course, end = teacher.courses[step], teacher.ends[step]
        assert times[i] == course[0]

        def two(x, time):
            worse = guided.guiding_model.predict(x, time)
            return worse + GUIDANCE_SCALE * (guided.predict(x, time) - worse)

        levels = [*(float(guided.alpha_bar[t]) for t in course), end]
        sampler, arrived = SAMPLERS["dpmpp_2m"](), x_t[i : i + 1]
        for substep, t in enumerate(course):
            predicted = predict(two, arrived, t, guided.alpha_bar, "v")
            arrived = sampler(arrived, *predicted, *levels[substep : substep + 2])
        now = levels[0]
        eps = (x_t[i] - now**0.5 * wanted[i]) / (1 - now) ** 0.5
        ours = SAMPLERS["ddim"]()(x_t[i], wanted[i], eps, now, end)
        torch.testing.assert_close(ours, arrived[0].detach(), atol=1e-4, rtol=0)


def test_a_student_that_is_its_teacher_has_no_loss_where_one_step_is_one_step(monkeypatch):
    """Without guidance, and with the dropout of neither of them."""
    monkeypatch.setattr("ddpmlib.distillation.teacher.SUBSTEPS", 1)
    teacher = Teacher(model(), 4)
    torch.manual_seed(0)
    network = replace(teacher.model.network.config, dropout=0.0).build()
    network.load_state_dict(teacher.model.network.state_dict())
    student = teacher.student(network.train())
    x_0, t, noise = inputs()
    pair = teacher.target(0.1 * x_0, t, noise)
    losses = training_loss(student.network, *pair, student.alpha_bar, "v")
    # Where the prediction lies in [-1, 1]: a sampler clips what is beyond.
    assert losses[:2].max() < 1e-6
    assert losses.max() < 0.1


def test_null_conditions_are_guided_by_none_and_others_away_from_it():
    spec = ClassCondition(2, ("ann", "eve"))
    teacher = Teacher(model(spec), 2)
    torch.nn.init.normal_(teacher.model.network.condition.table.weight, std=3.0)
    x_0, t, noise = inputs()
    condition = torch.tensor([0, -1] * 4)
    both, _, _ = teacher.target(x_0, t, noise, condition)
    null, _, _ = teacher.target(x_0, t, noise, torch.full((8,), -1))
    torch.testing.assert_close(both[1::2], null[1::2])
    assert (both[::2] - null[::2]).abs().amax(dim=(1, 2, 3)).min() > 1e-4


def test_students_and_other_conditions_have_no_teacher():
    teacher = Teacher(model(), 4)
    with pytest.raises(ValueError, match="the teacher is a student; needed: the run"):
        Teacher(teacher.student(model().network), 2)
    spoken = UNetConfig(width=8, condition=ClassCondition(1, ("ann",))).build()
    with pytest.raises(ValueError, match="condition is ann; needed: None, that of"):
        teacher.student(spoken)
    with pytest.raises(ValueError, match="student_steps is 40; needed: 1 to 33"):
        Teacher(model(), 40)
    assert SUBSTEPS == 3
    assert np.isfinite(teacher.ends).all()
