"""Muon: what its update is, which weights get it, that its state is saved and loaded."""

import pytest
import torch
from tiny import NETWORK

from ddpmlib.models.muon import RMS, Muon, optimizer_of, orthogonalised


@pytest.mark.parametrize("shape", [(8, 40), (40, 8), (16, 16)])
def test_singular_values_are_moved_to_about_one(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1)) * 1e-4
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    assert values[0] > 1.5 * values[-1]
    found = left.T @ orthogonalised(matrix) @ right.T
    moved = torch.diag(found)
    assert moved.min() > 0.6
    assert moved.max() < 1.3
    assert (found - torch.diag(moved)).abs().max() < 1e-4, "other singular vectors"


def test_inner_kernels_have_muon_and_all_else_has_adam():
    network = NETWORK.build()
    optimizer = optimizer_of(network, "muon", 1e-3)
    others, kernels = (set(group["params"]) for group in optimizer.param_groups)
    assert others | kernels == set(network.parameters())
    assert not others & kernels
    assert network.middle[0].conv1.weight in kernels
    assert {network.stem.weight, network.head.weight, network.norm.weight} <= others
    assert all(weight.ndim == 4 for weight in kernels)
    (everything,) = optimizer_of(network, "adam", 1e-3).param_groups
    assert set(everything["params"]) == set(network.parameters())


def test_one_learning_rate_sets_the_size_of_all_updates():
    """The first update of Adam is the learning rate, whatever the gradient; Muon's a fifth."""
    kernel, bias = (torch.nn.Parameter(torch.zeros(s)) for s in ((8, 4, 3, 3), (8,)))
    optimizer = Muon([kernel], [bias], learning_rate=1.0)
    for group in optimizer.param_groups:
        group["lr"] = 0.01
    kernel.grad, bias.grad = torch.randn(kernel.shape), torch.full((8,), 50.0)
    optimizer.step()
    assert bias.detach().numpy() == pytest.approx(-0.01, rel=1e-4)
    assert kernel.detach().square().mean().sqrt() == pytest.approx(RMS * 0.01, rel=0.3)


def test_weights_without_a_gradient_stay():
    network = NETWORK.build()
    before = [weight.clone() for weight in network.parameters()]
    optimizer_of(network, "muon", 1.0).step()
    assert all(map(torch.equal, before, network.parameters()))


def test_momentum_goes_on_after_loading():
    """Three steps in one go are three steps with saving and loading before the last."""

    def trained(again_before: int) -> list[torch.Tensor]:
        torch.manual_seed(0)
        kernel, bias = (torch.nn.Parameter(torch.zeros(s)) for s in ((8, 4, 3, 3), (8,)))
        optimizer = Muon([kernel], [bias], 0.01)
        for step in range(3):
            if step == again_before:
                saved = optimizer.state_dict()
                optimizer = Muon([kernel], [bias], 0.01)
                optimizer.load_state_dict(saved)
            kernel.grad, bias.grad = torch.randn(kernel.shape), torch.randn(8)
            optimizer.step()
        return [kernel.detach(), bias.detach()]

    assert all(map(torch.equal, trained(2), trained(99)))
