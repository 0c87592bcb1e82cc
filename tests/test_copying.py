"""Is it copying? A second of a copy is found wherever it lies; an invention is not called one."""

import json

import numpy as np
import pytest

from ddpmlib.copying import BLOCK, nearest, spread
from ddpmlib.dataset import SpectrogramSet
from ddpmlib.spectrogram import SpectrogramParams

PARAMS = SpectrogramParams(sample_rate=2048, hop_length=128, fmax=1024, n_mels=16, n_frames=40)
SECOND = 16  # frames
COUNT = BLOCK + 9  # a second block that is not full


def inventions(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (count, 1, 16, 40)).astype(np.float16)


@pytest.fixture
def data(tmp_path):
    pictures = inventions(COUNT, 0)
    np.save(tmp_path / "set.npy", pictures)
    span = {"file": "a.wav", "split": "train", "first": 0, "pictures": COUNT}
    description = {"params": PARAMS.to_dict(), "shape": pictures.shape, "files": [span]}
    (tmp_path / "set.json").write_text(json.dumps(description))
    return SpectrogramSet(tmp_path / "set.npy")


@pytest.mark.parametrize("index", [0, 5, BLOCK - 1, BLOCK, COUNT - 1])
def test_a_copy_is_found(data, index):
    [found], [distance] = nearest(data[index].numpy()[None], data)
    assert found == index
    assert distance == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("start", [0, 7, 40 - SECOND])
def test_one_second_of_a_copy_is_found_wherever_it_was(data, start):
    picture = inventions(1, 1).astype(np.float32)
    picture[..., SECOND : 2 * SECOND] = data[7].numpy()[..., start : start + SECOND]
    [found], [distance] = nearest(picture, data)
    assert found == 7
    assert distance == pytest.approx(0, abs=0.05)


def test_an_invention_is_no_copy(data):
    indices, distances = nearest(inventions(3, 1), data)
    assert (distances > 20).all()
    for picture, index, distance in zip(inventions(3, 1), indices, distances, strict=True):
        windows = [picture[0, :, :SECOND], picture[0, :, SECOND : 2 * SECOND]]
        places = [data[index].numpy()[0, :, s : s + SECOND] for s in range(40 - SECOND + 1)]
        errors = [np.square(w.astype(float) - p).mean() for w in windows for p in places]
        assert distance == pytest.approx(40 * min(errors) ** 0.5, rel=1e-4)


def test_the_distance_is_in_decibels(data):
    [_], [distance] = nearest((data[3].numpy() * 0.9)[None], data)
    rms = np.sqrt(np.square(data[3].numpy()[..., :32]).reshape(16, 2, 16).mean(axis=(0, 2)))
    assert distance == pytest.approx(40 * 0.1 * rms.min(), rel=1e-3)


def test_silence_beside_sound_is_not_a_copy_of_silence(data):
    data.pictures = np.concatenate([data.pictures[:-1], np.full((1, 1, 16, 40), -1, np.float16)])
    picture = inventions(1, 1)
    picture[..., SECOND:] = -1
    assert nearest(picture, data)[1] > 20
    assert nearest(np.full((1, 1, 16, 40), -1, np.float32), data)[1] == pytest.approx(0, abs=0.05)


def test_many_pictures_are_found_like_one(data):
    wanted = [5, COUNT - 1, 0]
    indices, distances = nearest(np.stack([data[i].numpy() for i in wanted]), data)
    assert indices.tolist() == wanted
    assert distances == pytest.approx(np.zeros(3), abs=0.05)


def test_a_model_that_says_one_thing_has_no_spread():
    said = inventions(1, 0).repeat(5, axis=0) + inventions(5, 1) / 100
    assert (spread(said, PARAMS) < 1).all()
    assert (spread(inventions(5, 0), PARAMS) > 20).all()
    half = np.concatenate([inventions(4, 0), inventions(1, 0)])
    assert (spread(half, PARAMS) < 0.1).tolist() == [True, False, False, False, True]


def test_the_spread_of_one_picture_is_refused():
    with pytest.raises(ValueError, match="1 pictures; needed: at least 2"):
        spread(inventions(1, 0), PARAMS)
