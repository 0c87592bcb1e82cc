"""The teacher of a student: its guided samples, which the student must arrive at in a few steps.

A student learns whole samplings, with gradients through all of its steps, as Luhman & Luhman 2021
("Knowledge Distillation in Iterative Generative Models") do for one step. What it cannot foresee, a
squared error would have it average; so its textures are compared, too, and it sees the same samples
again and again: from ever new noise it learns to blur (notebook 05).
"""

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from ddpmlib.diffusion.ddpm import DDPM
from ddpmlib.diffusion.guidance import guided_model
from ddpmlib.diffusion.process import Model
from ddpmlib.diffusion.samplers import NUM_STEPS, SAMPLERS, run_sampler
from ddpmlib.diffusion.schedules import LOG_SNR, nearest_timesteps, sampling_timesteps
from ddpmlib.distillation.texture import texture_distance
from ddpmlib.models.unet import UNet
from ddpmlib.storage.paths import fetch

GUIDANCE_SCALE = 2.0  # a student loses some clarity, and has that of a lower scale then
SQUARED_ERROR = 1.0  # its weight beside the textures' distance
# Log-SNR where a student's steps begin: quantiles of a logistic distribution. With these two it has
# nearly the grids of two to six steps whose single steps of DDIM sum up to the least error for the
# shipped weights. Even in log-SNR, most of the error of four steps would be made in one of them.
CENTRE, SPREAD = 0.3, 1.27


class Teacher:
    """A guided model, and the noise steps of a student of it.

    Args:
        model: with its guiding model, if it has one.
        num_steps: of the student.

    Raises:
        ValueError: the model is a student, or has too few noise steps.
    """

    def __init__(self, model: DDPM, num_steps: int):
        if model.is_student:
            raise ValueError("the teacher is a student; needed: the run that it was distilled from")
        if num_steps > model.noise_steps:
            raise ValueError(f"student_steps is {num_steps}; needed: 1 to {model.noise_steps}")
        self.model = model
        inner = np.arange(1, num_steps) / num_steps
        inner = np.clip(CENTRE + SPREAD * np.log(inner / (1 - inner)), *LOG_SNR)
        self.timesteps = nearest_timesteps(model.alpha_bar, np.array([LOG_SNR[0], *inner]))
        grid = min(NUM_STEPS, model.noise_steps), "log_snr"
        self.own_timesteps = sampling_timesteps(model.alpha_bar, *grid)
        self.lessons: dict[int, torch.Tensor] = {}  # samples, by number

    def student(self, network: UNet) -> DDPM:
        """The model that a network becomes by it.

        Raises:
            ValueError: the network has a condition, and not that of the teacher.
        """
        if (theirs := network.config.condition) not in (None, self.model.condition_spec):
            needed = f"{self.model.condition_spec}, that of the teacher, or none"
            raise ValueError(f"condition is {theirs}; needed: {needed}")
        changes = {"network": network, "learnt_grids": {len(self.timesteps): tuple(self.timesteps)}}
        return replace(self.model, guiding_model=None, is_student=True, **changes)

    def losses(
        self,
        student: Model,
        noise: torch.Tensor,
        condition: torch.Tensor | None = None,
        lesson: int | None = None,
    ) -> torch.Tensor:
        """How far the samples of a student are from the teacher's of the same noise, (batch,). The
        textures are those of all of this batch; each of several processes compares its own part.

        Args:
            student: its prediction for these conditions.
            noise: (batch, 1, n_mels, n_frames).
            condition: (batch, ...); null conditions are guided as gibberish is.
            lesson: a number that comes with this noise and condition alone; what the teacher makes
                of them is kept for the next time.
        """
        if (wanted := self.lessons.get(lesson)) is None:
            with torch.no_grad():
                guided = guided_model(self.model, GUIDANCE_SCALE, condition)
                wanted = self._sample(guided, noise, "dpmpp_2m", self.own_timesteps)
            if lesson is not None:
                self.lessons[lesson] = wanted
        arrived = self._sample(student, noise, "ddim", self.timesteps)
        squared = (arrived - wanted).square().mean(dim=(1, 2, 3))
        return SQUARED_ERROR * squared + texture_distance(arrived, wanted, seed=lesson or 0)

    def _sample(self, model: Callable, noise: torch.Tensor, sampler: str, timesteps: list[int]):
        process = self.model.alpha_bar, self.model.prediction_type
        return run_sampler(SAMPLERS[sampler](), model, noise, *process, timesteps)


def teacher_of(run: str, num_steps: int, like: DDPM) -> Teacher:
    """The teacher of a student in `num_steps` steps, on the device and in the precision of another
    model. Where a run is a student itself, to go on from, it is the teacher of that one.

    Raises:
        FileNotFoundError, ValueError: as `DDPM.load` and `Teacher`; a student that is no run.
    """
    device = str(next(like.network.parameters()).device)
    while (model := DDPM.load(run, device)).is_student:
        if not (path := fetch(run) / "config.json").is_file():
            needed = "its run, of which config.json names its teacher"
            raise ValueError(f"{run} is a student without a config.json; needed: {needed}")
        run = json.loads(path.read_text("utf-8"))["init_from"]
    return Teacher(replace(model, precision=like.precision), num_steps)
