"""The exponential moving average of the weights."""

import pytest
import torch

from ddpmlib.models.ema import ema_of


def test_the_average_of_the_weights_follows_fast_at_first_and_slowly_later():
    """Decay (1 + n) / (10 + n) after n steps, up to ema_decay."""
    network = torch.nn.Linear(1, 1, bias=False)
    average = ema_of(network, 0.9)

    def after(weight: float) -> float:
        torch.nn.init.constant_(network.weight, weight)
        average.update_parameters(network)
        return average.module.weight.item()

    assert after(1.0) == 1
    assert after(0.0) == pytest.approx(2 / 11)
    assert after(0.0) == pytest.approx(2 / 11 * 3 / 12)
    average.n_averaged.fill_(1_000_000)
    assert after(1.0) == pytest.approx(0.9 * 2 / 11 * 3 / 12 + 0.1)
