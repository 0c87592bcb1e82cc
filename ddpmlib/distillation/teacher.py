"""The teacher of a student: what some guided steps of a model arrive at, as the target of one step.

Progressive distillation (Salimans & Ho 2022, algorithm 2), of a guided teacher (Meng et al. 2023),
from the wanted number of steps at once.
"""

from dataclasses import replace

import torch

from ddpmlib.diffusion.ddpm import DDPM
from ddpmlib.diffusion.guidance import guided_model
from ddpmlib.diffusion.process import add_noise, noise_in
from ddpmlib.diffusion.samplers import GUIDANCE_SCALE, SAMPLERS, run_sampler
from ddpmlib.diffusion.schedules import sampling_timesteps
from ddpmlib.models.condition_rows import null_rows
from ddpmlib.models.unet import UNet

SUBSTEPS = 3  # of the teacher, in one step of its student


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
        fine = sampling_timesteps(model.alpha_bar, num_steps * SUBSTEPS, "log_snr")
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
        which = t * len(self.courses) // self.model.noise_steps
        null = torch.ones(len(t), dtype=torch.bool)
        if condition is not None:
            null = null_rows(self.model.condition_spec, condition).cpu()
        t = torch.tensor([self.courses[-1 - int(i)][0] for i in which])
        x_t = add_noise(x_0, t, noise, self.model.alpha_bar)
        wanted = torch.empty_like(x_t)
        for step in which.unique().tolist():
            for unconditional in (False, True):
                rows = ((which == step) & (null == unconditional)).nonzero()[:, 0]
                if len(rows):
                    given = None if unconditional else condition[rows]
                    wanted[rows] = self._arrival(x_t[rows], len(self.courses) - 1 - step, given)
        return wanted, t, noise_in(x_t, wanted, t, self.model.alpha_bar)

    def _arrival(
        self, x_t: torch.Tensor, step: int, condition: torch.Tensor | None
    ) -> torch.Tensor:
        """The x_0 of which one step of DDIM makes what all steps of the course make."""
        guided = guided_model(self.model, GUIDANCE_SCALE, condition)
        how = self.model.alpha_bar, self.model.prediction_type, self.courses[step]
        now, end = float(self.model.alpha_bar[self.courses[step][0]]), self.ends[step]
        arrived = run_sampler(SAMPLERS["dpmpp_2m"](), guided, x_t, *how, end=end)
        ratio = ((1 - end) / (1 - now)) ** 0.5
        return (arrived - ratio * x_t) / (end**0.5 - ratio * now**0.5)


def teacher_of(run: str, num_steps: int, like: DDPM) -> Teacher:
    """The teacher of a student in `num_steps` steps, on the device and in the precision of another
    model; raises as `DDPM.load` and `Teacher`."""
    device = str(next(like.network.parameters()).device)
    return Teacher(replace(DDPM.load(run, device), precision=like.precision), num_steps)
