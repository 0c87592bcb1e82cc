"""Longer than one picture: windows that agree, at a cost that grows with the length only."""

import numpy as np
import pytest
import torch
from tiny import NETWORK

from ddpmlib.ddpm import DDPM
from ddpmlib.spectrogram import SpectrogramParams
from ddpmlib.stitching import over_windows
from ddpmlib.unet import UNet

WIDTH = 16
PARAMS = SpectrogramParams(n_mels=16, n_frames=WIDTH)
TIME = torch.tensor([0.3, 0.7])


def noise(width: int, count: int = 2) -> torch.Tensor:
    return torch.randn(count, 1, 8, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("width", [16, 17, 24, 40, 41, 100])
def test_a_model_that_sees_each_place_alone_is_the_same_in_windows(width):
    def model(x_t, time):
        assert width in (WIDTH, x_t.shape[-1]) or x_t.shape[1:] == (1, 8, WIDTH)
        return x_t.sin() * (1 + time[:, None, None, None])

    x_t = noise(width)
    torch.testing.assert_close(over_windows(model, WIDTH)(x_t, TIME), model(x_t, TIME))


def test_neighbours_share_the_middle_and_it_changes_smoothly():
    # Each window says its own number: what lies between is a mix without a jump.
    def model(x_t, time):
        numbers = torch.arange(len(x_t)).float()
        return numbers[:, None, None, None].expand_as(x_t)

    said = over_windows(model, WIDTH)(noise(40, 1), TIME[:1])[0, 0, 0]
    assert said[0] == 0
    assert said[-1] == 3
    assert (said.diff() > -1e-6).all()
    assert said.diff().max() < 0.25


def test_cost_grows_with_the_length_and_batches_stay_small():
    seen = []

    def model(x_t, time):
        seen.append(len(x_t))
        return x_t

    looks = {}
    for pictures in (1, 10, 100):
        seen.clear()
        over_windows(model, WIDTH, batch_size=4)(noise(pictures * WIDTH), TIME)
        looks[pictures] = sum(seen)
        assert max(seen) <= 4
    assert looks == {1: 2, 10: 2 * 19, 100: 2 * 199}


@pytest.fixture
def model():
    torch.manual_seed(0)
    network = UNet(NETWORK).eval()
    torch.nn.init.normal_(network.head.weight, std=0.1)
    return DDPM(network, PARAMS, precision="float32")


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "dpmpp_2m"])
@pytest.mark.parametrize("frames", [5, 16, 17, 50])
def test_samples_have_the_length_asked_for(model, sampler, frames):
    seconds = frames * PARAMS.hop_length / PARAMS.sample_rate
    pictures = model.sample(2, sampler, steps=3, seconds=seconds)
    assert pictures.shape == (2, 1, 16, frames)
    assert np.isfinite(pictures).all()
    assert np.abs(pictures).max() <= 1
    if frames <= WIDTH:
        np.testing.assert_array_equal(pictures, model.sample(2, sampler, steps=3)[..., :frames])


def test_long_samples_follow_the_seed(model):
    one, again, other = (model.sample(1, steps=3, seed=s, seconds=1.0) for s in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 0.1


@pytest.mark.parametrize("seconds", [0, -1.0, float("nan"), float("inf")])
def test_no_length_is_refused(model, seconds):
    with pytest.raises(ValueError, match=f"seconds is {seconds}; it must be above 0"):
        model.sample(1, steps=3, seconds=seconds)
