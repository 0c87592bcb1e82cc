"""Textures: what is there counts, not where it is."""

import pytest
import torch
from torch.nn import functional

from ddpmlib.distillation import texture
from ddpmlib.distillation.texture import texture_distance


@pytest.fixture(scope="module")
def mels() -> torch.Tensor:
    """Stripes that bend, with pauses: (4, 1, 64, 128)."""
    generator = torch.Generator().manual_seed(0)
    time, band = torch.arange(128) / 20, torch.arange(64)[:, None] / 3
    phases = torch.rand(4, 1, 1, generator=generator) * 6
    stripes = torch.sin(band + torch.sin(time + phases) * 2) * (torch.sin(time / 2 + phases) > -0.5)
    return (stripes - 0.3)[:, None].clamp(-1, 1)


def test_equal_textures_have_no_distance_wherever_they_are(mels):
    assert texture_distance(mels, mels) == 0
    moved = mels.flip(0).roll(32, dims=3)
    blurred = functional.avg_pool2d(mels, 5, stride=1, padding=2)
    assert texture_distance(moved, mels) < texture_distance(blurred, mels) / 2


def test_what_is_quiet_counts_nearly_as_what_is_loud(mels):
    """Whitened; else half of the level would have half of the distance."""
    drawn = torch.randn(2, *mels.shape, generator=torch.Generator().manual_seed(1))
    rough = mels + 0.5 * drawn[0]
    noisy = rough + 0.2 * drawn[1]
    assert texture_distance(noisy / 2, rough / 2) > 0.8 * texture_distance(noisy, rough) > 0


def test_bands_are_compared_with_the_same_bands(mels):
    """Noise above stripes is not stripes above noise, though the patches are the same ones."""
    rough = torch.randn(mels.shape, generator=torch.Generator().manual_seed(1))
    low = torch.cat([rough[:, :, :32], mels[:, :, 32:]], dim=2)
    swapped = torch.cat([low[:, :, 32:], low[:, :, :32]], dim=2)
    assert texture_distance(swapped, low) > 1


def test_zones_leave_out_no_band(monkeypatch):
    """Where each value is the number of its band; the columns, which have all, come last."""
    seen = []

    def note(patches, wanted, seed):
        seen.append((int(patches.min()), int(patches.max())))
        return torch.zeros(())

    monkeypatch.setattr(texture, "_distance", note)
    bands = torch.arange(64.0)[:, None].expand(1, 1, 64, 16)
    texture_distance(bands, bands)
    assert seen == [(0, 21), (14, 35), (28, 49), (42, 63), (0, 63)]


@pytest.mark.parametrize("shape", [(8, 16), (4, 16), (64, 8), (32, 32)])
def test_small_mels_have_a_distance_with_a_gradient(shape):
    mels = torch.randn(2, 1, *shape, requires_grad=True)
    texture_distance(mels, torch.zeros_like(mels)).backward()
    assert mels.grad.isfinite().all()
    assert mels.grad.any()
