"""Weights stored as their difference from those of another file."""

import pytest
import torch

from ddpmlib.storage.difference import BLOCK, MOST, add_difference, difference
from ddpmlib.storage.weights import load_weights, save_weights


def network(shape: int = 40) -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(shape, 50), torch.nn.Linear(50, 3))


@pytest.fixture
def files(tmp_path):
    """A base, what is near it, and the file of the difference."""
    base, near = network(), network()
    with torch.no_grad():
        near[0].weight += 0.01 * torch.randn(50, 40) * torch.linspace(0.1, 3, 50)[:, None]
        near[1].bias[1] += 1e-3
    save_weights(tmp_path / "base.safetensors", base, "toy", {}, half=True)
    (tmp_path / "student").mkdir()
    path = tmp_path / "student" / "near.safetensors"
    save_weights(path, near, "toy", {"of": "a test"}, base=tmp_path / "base.safetensors")
    return tmp_path / "base.safetensors", near.state_dict(), path


def test_weights_come_back_but_for_half_a_level_of_their_block(files):
    base, near, path = files
    description, found = load_weights(path, "toy")
    assert description == {"of": "a test"}
    assert {name: values.shape for name, values in found.items()} == {
        name: values.shape for name, values in near.items()
    }
    before = load_weights(base, "toy")[1]["0.weight"].float().flatten()
    change, kept = (s["0.weight"].flatten() - before for s in (near, found))
    for part in torch.arange(len(change)).split(BLOCK):
        level = change[part].abs().max() / MOST
        assert (kept[part] - change[part]).abs().max() < 0.51 * level
    assert found["1.bias"][1] - near["1.bias"][1] == pytest.approx(0, abs=1e-4)


def test_a_difference_is_small_and_nothing_where_nothing_differs(files):
    base, near, path = files
    assert difference(near, near) == {}
    torch.testing.assert_close(add_difference(near, {}), near)
    big = {"w": torch.zeros(100, 1000)}
    found = difference({"w": torch.randn(100, 1000)}, big)
    stored = sum(values.numel() * values.element_size() for values in found.values())
    assert stored < 0.27 * 2 * 100_000  # of float16
    assert path.stat().st_size < base.stat().st_size


def test_another_base_or_none_is_named(files):
    base, _, path = files
    other = base.with_name("other.safetensors")
    save_weights(other, network(41), "toy", {})
    with pytest.raises(ValueError, match=r"0.weight is of shape \(50, 40\); needed: \(50, 41\)"):
        save_weights(path, network(), "toy", {}, base=other)
    other.replace(base)
    with pytest.raises(ValueError, match=r"SHA-256 of .*base.safetensors is \w{64}; needed: \w"):
        load_weights(path, "toy")
    base.unlink()
    with pytest.raises(FileNotFoundError, match=r"near.safetensors holds a difference from .*base"):
        load_weights(path, "toy")
