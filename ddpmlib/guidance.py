"""Guidance: say more of what is meant, by going away from a worse prediction."""

import math
from functools import partial
from numbers import Real
from typing import TYPE_CHECKING

import torch

from ddpmlib.condition import silenced
from ddpmlib.diffusion import Model

if TYPE_CHECKING:
    from ddpmlib.ddpm import DDPM


def guided(model: "DDPM", guidance: float, condition: torch.Tensor | None = None) -> Model:
    """What the network predicts, led away from a worse prediction: worse + g (own - worse).

    With a condition, the worse one is that of the network itself when nothing is said (Ho &
    Salimans 2022, "Classifier-Free Diffusion Guidance", eq. 6 with g = 1 + w), both in one batch:
    0 is the unconditional model, 1 the conditional one.

    A model that cannot be told anything is led away from its guide. Two models of the same voice
    make the same mistakes, the worse one larger ones; beyond the better one there are fewer (Karras
    et al. 2024, "Guiding a Diffusion Model with a Bad Version of Itself").

    Where there is nothing to go away from, and with guidance 1, `DDPM.predict`.

    Args:
        condition: (batch, ...), or one row for all pictures.

    Raises:
        ValueError: guidance is not a finite number.
    """
    if not isinstance(guidance, Real) or not math.isfinite(guidance):
        raise ValueError(f"guidance is {guidance!r}; needed: a finite number")
    guide = None if model.kind else model.guide
    if guidance == 1 or (condition is None and guide is None):
        return partial(model.predict, condition=condition)
    if condition is not None and guidance == 0:
        return model.predict

    def away_from_the_guide(x_t: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        worse = guide.predict(x_t, time).float()
        return worse + guidance * (model.predict(x_t, time).float() - worse)

    def away_from_nothing(x_t: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        said = condition.expand(len(x_t), *model.kind.shape)
        both = torch.cat([silenced(model.kind, said, True), said])
        asked = model.predict(torch.cat([x_t, x_t]), time.repeat(2), both).float()
        nothing, something = asked.chunk(2)
        return nothing + guidance * (something - nothing)

    return away_from_the_guide if condition is None else away_from_nothing
