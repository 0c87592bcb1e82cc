"""The network of the original project, as it was described; our training trains it."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from tiny import write_data

from ddpmlib.config import TrainConfig
from ddpmlib.dataset import SpectrogramSet
from ddpmlib.ddpm import DDPM, WEIGHTS
from ddpmlib.original import RECIPE, OriginalConfig, OriginalUNet
from ddpmlib.training import train


def test_it_has_the_size_that_was_counted():
    assert sum(p.numel() for p in OriginalUNet().parameters()) == pytest.approx(23.3e6, rel=0.005)


@pytest.mark.parametrize("size", [(8, 16), (16, 8)])
def test_input_and_output_are_pictures_of_one_size(size):
    network = OriginalUNet().eval()
    x_t = torch.randn(2, 1, *size)
    with torch.inference_mode():
        out = network(x_t, torch.tensor([0.1, 0.9]))
        assert out.shape == x_t.shape
        assert not torch.allclose(out, network(x_t, torch.tensor([0.5, 0.9])))
        alone = network(x_t[1:], torch.tensor([0.9]))
    torch.testing.assert_close(out[1:], alone, atol=1e-4, rtol=1e-4)


def test_every_place_sees_every_other():
    torch.manual_seed(0)
    network = OriginalUNet().eval()
    x_t = torch.randn(1, 1, 16, 64).requires_grad_()
    network(x_t, torch.tensor([0.5]))[0, 0, 0, 0].backward()
    assert (x_t.grad != 0).all()


def test_a_look_at_a_whole_picture_needs_no_matrix_of_all_scores():
    """One of 16,384 x 16,384 pixels by 4 heads takes 4.3 GB; a picture fits in 2 GiB beside it."""
    code = f"""
import resource, torch
from ddpmlib.original import OriginalUNet
network, x_t, time = OriginalUNet().eval(), torch.zeros(1, 1, 64, 256), torch.zeros(1)
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + {2 * 2**30}
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
with torch.inference_mode():
    network(x_t, time)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_our_training_trains_it_resumes_it_and_loads_it(tmp_path):
    path = write_data(tmp_path, pictures=10)
    data = SpectrogramSet(path), SpectrogramSet(path, "validation")
    plain = {"image_size": data[0].params.image_size, "num_samples": 0, "noise_steps": 20}
    losses = []
    for epochs in (1, 3):
        config = TrainConfig(epochs=epochs, **RECIPE | plain, device="cpu", precision="float32")
        record = lambda progress: losses.append(progress.loss)  # noqa: E731
        model = train(config, *data, tmp_path / "run", OriginalConfig(), callback=record)
    assert len(losses) == 6
    assert np.mean(losses[-2:]) < np.mean(losses[:2])
    loaded = DDPM.load(tmp_path / "run" / WEIGHTS)
    loaded.precision = "float32"
    assert isinstance(loaded.network, OriginalUNet)
    assert (loaded.target, loaded.schedule) == ("eps", "linear")
    assert np.array_equal(loaded.sample(1, steps=2), model.sample(1, steps=2))


def test_a_size_that_cannot_be_halved_is_named():
    with pytest.raises(ValueError, match=r"image_size is \(12, 16\); needed: multiples of 8"):
        OriginalConfig().check_image_size((12, 16))
