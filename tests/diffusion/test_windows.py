"""Long-form sampling: windows that agree, at a cost that grows with the length only."""

import numpy as np
import pytest
import torch
from tiny import NETWORK

from ddpmlib.diffusion.ddpm import DDPM
from ddpmlib.diffusion.windows import over_windows
from ddpmlib.models.unet import UNet
from ddpmlib.spectrogram.params import SpectrogramParams

WIDTH = 16
PARAMS = SpectrogramParams(n_mels=16, n_frames=WIDTH)
TIME = torch.tensor([0.3, 0.7])


def noise(width: int, count: int = 2) -> torch.Tensor:
    return torch.randn(count, 1, 8, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("width", [16, 17, 24, 40, 41, 100])
def test_a_model_of_single_places_is_the_same_in_windows(width):
    def model(x_t, time, condition=None):
        assert width in (WIDTH, x_t.shape[-1]) or x_t.shape[1:] == (1, 8, WIDTH)
        return x_t.sin() * (1 + time[:, None, None, None])

    x_t = noise(width)
    torch.testing.assert_close(over_windows(model, WIDTH)(x_t, TIME), model(x_t, TIME))


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("width", [16, 17, 40, 41])
def test_a_condition_with_a_row_for_each_frame_is_cut_along(width, rows):
    def model(x_t, time, condition=None):
        assert condition.shape == (len(x_t), x_t.shape[-1], 3)
        frames = condition[..., 0] + 10 * condition[..., 1]
        return x_t + frames[:, None, None] * (1 + time[:, None, None, None])

    x_t = noise(width)
    condition = torch.rand(rows, width, 3, generator=torch.Generator().manual_seed(1))
    found = over_windows(model, WIDTH, batch_size=3, aligned=True)(x_t, TIME, condition)
    torch.testing.assert_close(found, model(x_t, TIME, condition.expand(2, -1, -1)))
    no_condition = lambda x_t, time, condition: x_t + (condition is None)  # noqa: E731
    torch.testing.assert_close(over_windows(no_condition, WIDTH, 3, True)(x_t, TIME), x_t + 1)


@pytest.mark.parametrize("rows", [1, 2])
def test_any_other_condition_is_that_of_all_windows(rows):
    def model(x_t, time, condition=None):
        return x_t + condition[:, :1, None, None]

    x_t, condition = noise(40), torch.tensor([[1.0, 5.0], [2.0, 6.0]])[:rows]
    found = over_windows(model, WIDTH, batch_size=3)(x_t, TIME, condition)
    torch.testing.assert_close(found, model(x_t, TIME, condition))


def test_neighbours_share_the_middle_and_it_changes_smoothly():
    # Each window predicts its own number: what lies between is a mix without a jump.
    def model(x_t, time, condition=None):
        numbers = torch.arange(len(x_t)).float()
        return numbers[:, None, None, None].expand_as(x_t)

    predicted = over_windows(model, WIDTH)(noise(40, 1), TIME[:1])[0, 0, 0]
    assert predicted[0] == 0
    assert predicted[-1] == 3
    assert (predicted.diff() > -1e-6).all()
    assert predicted.diff().max() < 0.25


def test_cost_grows_with_the_length_and_batches_stay_small():
    seen = []

    def model(x_t, time, condition=None):
        seen.append(len(x_t))
        return x_t

    evaluated = {}
    for mels in (1, 10, 100):
        seen.clear()
        over_windows(model, WIDTH, batch_size=4)(noise(mels * WIDTH), TIME)
        evaluated[mels] = sum(seen)
        assert max(seen) <= 4
    assert evaluated == {1: 2, 10: 2 * 19, 100: 2 * 199}


@pytest.fixture
def model():
    torch.manual_seed(0)
    network = UNet(NETWORK).eval()
    torch.nn.init.normal_(network.head.weight, std=0.1)
    return DDPM(network, PARAMS, precision="float32")


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "dpmpp_2m"])
@pytest.mark.parametrize("frames", [5, 16, 17, 50])
def test_samples_have_the_length_given(model, sampler, frames):
    seconds = frames * PARAMS.hop_length / PARAMS.sample_rate
    mels = model.sample(2, sampler, num_steps=3, seconds=seconds)
    assert mels.shape == (2, 1, 16, frames)
    assert np.isfinite(mels).all()
    assert np.abs(mels).max() <= 1
    if frames <= WIDTH:
        np.testing.assert_array_equal(mels, model.sample(2, sampler, num_steps=3)[..., :frames])


def test_long_samples_follow_the_seed(model):
    one, again, other = (model.sample(1, num_steps=3, seed=s, seconds=1.0) for s in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 0.1


@pytest.mark.parametrize("seconds", [0, -1.0, float("nan"), float("inf")])
def test_no_length_is_refused(model, seconds):
    with pytest.raises(ValueError, match=f"seconds is {seconds}; it must be above 0"):
        model.sample(1, num_steps=3, seconds=seconds)
