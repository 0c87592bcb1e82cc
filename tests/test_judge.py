"""Is it copying? A copy is found wherever in time it lies; an invention is not called one."""

import json

import numpy as np
import pytest

from ddpmlib.dataset import SpectrogramSet
from ddpmlib.judge import BLOCK, nearest
from ddpmlib.spectrogram import SpectrogramParams

PARAMS = SpectrogramParams(n_mels=16, n_frames=32)
COUNT = BLOCK + 9  # a second block that is not full


@pytest.fixture
def data(tmp_path):
    pictures = np.random.default_rng(0).uniform(-1, 1, (COUNT, 1, 16, 32)).astype(np.float16)
    np.save(tmp_path / "set.npy", pictures)
    span = {"file": "a.wav", "split": "train", "first": 0, "pictures": COUNT}
    description = {"params": PARAMS.to_dict(), "shape": pictures.shape, "files": [span]}
    (tmp_path / "set.json").write_text(json.dumps(description))
    return SpectrogramSet(tmp_path / "set.npy")


@pytest.mark.parametrize("index", [0, 5, BLOCK - 1, BLOCK, COUNT - 1])
def test_a_copy_is_found(data, index):
    [found], [likeness] = nearest(data[index].numpy()[None], data)
    assert found == index
    assert likeness == pytest.approx(1, abs=1e-4)


def test_a_copy_that_starts_later_is_found(data):
    shifted = np.full((1, 16, 32), -1.0, np.float32)
    shifted[..., 6:] = data[7].numpy()[..., :-6]
    [found], [likeness] = nearest(shifted[None], data)
    assert found == 7
    assert likeness > 0.88


def test_louder_copies_are_copies(data):
    [found], [likeness] = nearest((data[3].numpy()[None] + 1) * 0.5 - 1, data)
    assert found == 3
    assert likeness > 0.999


def test_an_invention_is_no_copy(data):
    other = np.random.default_rng(1).uniform(-1, 1, (1, 16, 32)).astype(np.float32)
    assert nearest(other[None], data)[1] < 0.9


def test_silence_is_like_nothing(data):
    assert nearest(np.full((1, 1, 16, 32), -1.0, np.float32), data)[1] < 0.01


def test_many_pictures_are_found_like_one(data):
    wanted = [5, COUNT - 1, 0]
    indices, likeness = nearest(np.stack([data[i].numpy() for i in wanted]), data)
    assert indices.tolist() == wanted
    assert likeness == pytest.approx(np.ones(3), abs=1e-4)
