"""The teacher of a student: what some guided steps of a model arrive at, as the target of one step.

Progressive distillation (Salimans & Ho 2022, algorithm 2), of a guided teacher (Meng et al. 2023),
from the wanted number of steps at once.
"""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch

from ddpmlib.diffusion.ddpm import DDPM
from ddpmlib.diffusion.guidance import guided_model
from ddpmlib.diffusion.process import add_noise, noise_in, predict, time_of
from ddpmlib.diffusion.samplers import GUIDANCE_SCALE, SAMPLERS
from ddpmlib.diffusion.schedules import LOG_SNR, nearest_timesteps
from ddpmlib.models.unet import UNet

SUBSTEPS = 3  # of the teacher, in one step of its student
# Log-SNR where a student's steps begin: quantiles of a logistic distribution. With these two it has
# nearly the grids of two to six steps whose single steps of DDIM sum up to the least error for the
# shipped weights. Even in log-SNR, most of the error of four steps would be made in one of them.
CENTRE, SPREAD = 0.3, 1.27


class Teacher:
    """A guided model, and the noise steps of a student that does SUBSTEPS of its steps at once.

    Args:
        model: with its guiding model, if it has one.
        num_steps: of the student.

    Raises:
        ValueError: the model is a student, or has too few noise steps.
    """

    def __init__(self, model: DDPM, num_steps: int):
        if model.is_student:
            raise ValueError("the teacher is a student; needed: the run that it was distilled from")
        if num_steps * SUBSTEPS > model.noise_steps:
            most = model.noise_steps // SUBSTEPS
            raise ValueError(f"student_steps is {num_steps}; needed: 1 to {most}")
        self.model = model
        inner = np.arange(1, num_steps) / num_steps
        inner = np.clip(CENTRE + SPREAD * np.log(inner / (1 - inner)), *LOG_SNR)
        starts = [LOG_SNR[0], *inner, LOG_SNR[1]]
        fine = [np.linspace(*ends, SUBSTEPS, endpoint=False) for ends in pairwise(starts)]
        fine = nearest_timesteps(model.alpha_bar, np.concatenate(fine))
        self.courses = [fine[i : i + SUBSTEPS] for i in range(0, len(fine), SUBSTEPS)]
        self.ends = [float(model.alpha_bar[course[0]]) for course in self.courses[1:]] + [1.0]

    def student(self, network: UNet) -> DDPM:
        """The model that a network becomes by it.

        Raises:
            ValueError: the network has a condition, and not that of the teacher.
        """
        if (theirs := network.config.condition) not in (None, self.model.condition_spec):
            needed = f"{self.model.condition_spec}, that of the teacher, or none"
            raise ValueError(f"condition is {theirs}; needed: {needed}")
        grid = {len(self.courses): tuple(course[0] for course in self.courses)}
        changes = {"network": network, "learnt_grids": grid, "is_student": True}
        return replace(self.model, guiding_model=None, **changes)

    @torch.no_grad()
    def target(
        self,
        x_0: torch.Tensor,
        t: torch.Tensor,
        noise: torch.Tensor,
        condition: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """What a training step of the student has in place of x_0, t and noise (`training_loss`).

        t becomes a noise step of the student, and x_0 what its prediction must be for one step of
        DDIM to arrive where the teacher does (Salimans & Ho 2022, appendix G), with the noise that
        makes the same x_t of it.

        Args:
            x_0, noise: (batch, 1, n_mels, n_frames).
            t: (batch,) 0 ... noise_steps - 1, which are divided evenly among the student's.
            condition: (batch, ...); null conditions are guided as gibberish is.
        """
        alpha_bar = self.model.alpha_bar
        step = len(self.courses) - 1 - t.cpu() * len(self.courses) // self.model.noise_steps
        t = torch.tensor(self.courses)[step, 0]
        x_t = add_noise(x_0, t, noise, alpha_bar)
        arrived = self._arrive(x_t, step, condition)
        now = alpha_bar[t].view(-1, 1, 1, 1)
        end = torch.tensor(self.ends).double()[step].view(-1, 1, 1, 1)
        ratio = ((1 - end) / (1 - now)).sqrt()
        wanted = (arrived - ratio.to(x_t) * x_t) / (end.sqrt() - ratio * now.sqrt()).to(x_t)
        return wanted, t, noise_in(x_t, wanted, t, alpha_bar)

    def _arrive(
        self, x_t: torch.Tensor, step: torch.Tensor, condition: torch.Tensor | None
    ) -> torch.Tensor:
        """Where the courses of each row's step lead; rows of all steps go through the networks
        together."""
        guided = guided_model(self.model, GUIDANCE_SCALE, condition)
        alpha_bar, x_t = self.model.alpha_bar, x_t.clone()
        rows = {i: (step == i).nonzero()[:, 0] for i in step.unique().tolist()}
        samplers = {i: SAMPLERS["dpmpp_2m"]() for i in rows}
        for substep in range(SUBSTEPS):
            t = torch.tensor(self.courses)[step, substep]
            output = guided(x_t, time_of(t, alpha_bar).to(x_t.device))
            for i, mine in rows.items():
                levels = [*(float(alpha_bar[t]) for t in self.courses[i]), self.ends[i]]
                at = x_t[mine], self.courses[i][substep], alpha_bar, self.model.prediction_type
                predicted = predict(lambda *_, own=output[mine]: own, *at)
                x_t[mine] = samplers[i](at[0], *predicted, *levels[substep : substep + 2])
        return x_t


def teacher_of(run: str, num_steps: int, like: DDPM) -> Teacher:
    """The teacher of a student in `num_steps` steps, on the device and in the precision of another
    model; raises as `DDPM.load` and `Teacher`."""
    device = str(next(like.network.parameters()).device)
    return Teacher(replace(DDPM.load(run, device), precision=like.precision), num_steps)
