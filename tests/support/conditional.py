"""Networks of `tiny.NETWORK` with each kind of condition."""

import numpy as np
import torch
from tiny import NETWORK, PARAMS

from ddpmlib.models.condition import (
    ClassCondition,
    ConditionSpec,
    EmbeddingCondition,
    TextCondition,
)
from ddpmlib.models.unet import UNet

WORDS = np.random.default_rng(0).normal(size=(3, 4))
# Of each kind, one and another value.
SPECS = {
    "labels": (ClassCondition(3, ("ann", "bob", "eve")), "ann", "eve"),
    "vector": (EmbeddingCondition(4), WORDS[0], WORDS[1]),
    "sequence": (EmbeddingCondition(4, 5), WORDS, WORDS[::-1]),
    "tokens": (TextCondition(6, "abc"), "ab", "ba"),
}


def network(spec: ConditionSpec | None, seed: int = 0) -> UNet:
    """A network whose every part has an effect, unlike one at the beginning of training."""
    torch.manual_seed(seed)
    made = NETWORK.with_condition(spec).build()
    with torch.no_grad():
        for parameter in made.parameters():
            if not parameter.any():
                parameter.normal_(0, 0.3)
    return made.eval()


def batch(count: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """x_t and time."""
    generator = torch.Generator().manual_seed(1)
    x_t = torch.randn(count, 1, *PARAMS.image_size, generator=generator)
    return x_t, torch.linspace(0.1, 0.9, count)
