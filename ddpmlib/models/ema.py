"""Exponential moving average (EMA) of the weights of a network."""

import torch
from torch.optim.swa_utils import AveragedModel


def ema_of(network: torch.nn.Module, decay: float) -> AveragedModel:
    """The average of a network's weights, which follows them by `update_parameters(network)`.

    Its decay grows with the number n of updates as (1 + n) / (10 + n), up to `decay`, so that the
    first random weights are soon forgotten.
    """

    def update(averaged, current, count):
        now = min(decay, (1 + int(count)) / (10 + int(count)))
        torch._foreach_lerp_(averaged, current, 1 - now)

    return AveragedModel(network, multi_avg_fn=update)
