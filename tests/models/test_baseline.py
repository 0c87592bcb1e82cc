"""The baseline network, as it was described; the training loop trains it."""

import numpy as np
import pytest
import torch
from tiny import write_data
from torch.profiler import profile

from ddpmlib.data.dataset import SpectrogramSet
from ddpmlib.diffusion.ddpm import DDPM, WEIGHTS
from ddpmlib.models.baseline import RECIPE, BaselineConfig, BaselineUNet
from ddpmlib.training.config import TrainConfig
from ddpmlib.training.loop import train


def test_it_has_the_size_that_was_counted():
    assert sum(p.numel() for p in BaselineUNet().parameters()) == pytest.approx(23.3e6, rel=0.005)


@pytest.mark.parametrize("size", [(8, 16), (16, 8)])
def test_input_and_output_are_mels_of_one_size(size):
    network = BaselineUNet().eval()
    x_t = torch.randn(2, 1, *size)
    with torch.inference_mode():
        out = network(x_t, torch.tensor([0.1, 0.9]))
        assert out.shape == x_t.shape
        assert not torch.allclose(out, network(x_t, torch.tensor([0.5, 0.9])))
        alone = network(x_t[1:], torch.tensor([0.9]))
    torch.testing.assert_close(out[1:], alone, atol=1e-4, rtol=1e-4)


def test_every_pixel_sees_every_other():
    torch.manual_seed(0)
    network = BaselineUNet().eval()
    x_t = torch.randn(1, 1, 16, 64).requires_grad_()
    network(x_t, torch.tensor([0.5]))[0, 0, 0, 0].backward()
    assert (x_t.grad != 0).all()


def test_attention_needs_no_matrix_of_all_scores():
    """One of 4,096 x 4,096 pixels by 4 heads takes 268 MB; all else is far smaller."""
    network, x_t = BaselineUNet().eval(), torch.zeros(1, 1, 32, 128)
    with torch.inference_mode(), profile(profile_memory=True) as profiled:
        network(x_t, torch.zeros(1))
    assert 1e6 < max(event.cpu_memory_usage for event in profiled.events()) < 60e6


def test_training_lowers_its_loss_resumes_and_saves_it(tmp_path):
    path = write_data(tmp_path, mels=10)
    data = SpectrogramSet(path), SpectrogramSet(path, "validation")
    plain = {"image_size": data[0].params.image_size, "num_samples": 0, "noise_steps": 20}
    losses = []
    for epochs in (1, 2):
        config = TrainConfig(epochs=epochs, **RECIPE | plain, device="cpu", precision="float32")
        record = lambda progress: losses.append(progress.loss)  # noqa: E731
        model = train(config, *data, tmp_path / "run", BaselineConfig(), callback=record)
    assert len(losses) == 4
    assert np.mean(losses[2:]) < np.mean(losses[:2])
    loaded = DDPM.load(tmp_path / "run" / WEIGHTS)
    loaded.precision = "float32"
    assert isinstance(loaded.network, BaselineUNet)
    assert (loaded.prediction_type, loaded.schedule) == ("eps", "linear")
    assert np.array_equal(loaded.sample(1, num_steps=2), model.sample(1, num_steps=2))


def test_a_size_that_cannot_be_halved_is_named():
    with pytest.raises(ValueError, match=r"image_size is \(12, 16\); needed: multiples of 8"):
        BaselineConfig().check_image_size((12, 16))
