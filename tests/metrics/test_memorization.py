"""Memorization: a copied second is found wherever it lies; a new mel is no copy."""

import json

import numpy as np
import pytest

from ddpmlib.data.dataset import SpectrogramSet
from ddpmlib.metrics.memorization import BLOCK, diversity, nearest_neighbours
from ddpmlib.spectrogram.params import SpectrogramParams

PARAMS = SpectrogramParams(sample_rate=2048, hop_length=128, fmax=1024, n_mels=16, n_frames=40)
SECOND = 16  # frames
COUNT = BLOCK + 9  # a second block that is not full


def random_mels(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (count, 1, 16, 40)).astype(np.float16)


@pytest.fixture
def data(tmp_path):
    mels = random_mels(COUNT, 0)
    np.save(tmp_path / "set.npy", mels)
    span = {"file": "a.wav", "split": "train", "first": 0, "pictures": COUNT}
    description = {"params": PARAMS.to_dict(), "shape": mels.shape, "files": [span]}
    (tmp_path / "set.json").write_text(json.dumps(description))
    return SpectrogramSet(tmp_path / "set.npy")


@pytest.mark.parametrize("index", [0, 5, BLOCK - 1, BLOCK, COUNT - 1])
def test_a_copy_is_found(data, index):
    [found], [distance] = nearest_neighbours(data[index].numpy()[None], data)
    assert found == index
    assert distance == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("start", [0, 7, 40 - SECOND])
def test_one_second_of_a_copy_is_found_wherever_it_was(data, start):
    mel = random_mels(1, 1).astype(np.float32)
    mel[..., SECOND : 2 * SECOND] = data[7].numpy()[..., start : start + SECOND]
    [found], [distance] = nearest_neighbours(mel, data)
    assert found == 7
    assert distance == pytest.approx(0, abs=0.05)


def test_a_new_mel_is_no_copy(data):
    indices, distances = nearest_neighbours(random_mels(3, 1), data)
    assert (distances > 20).all()
    for mel, index, distance in zip(random_mels(3, 1), indices, distances, strict=True):
        windows = [mel[0, :, :SECOND], mel[0, :, SECOND : 2 * SECOND]]
        places = [data[index].numpy()[0, :, s : s + SECOND] for s in range(40 - SECOND + 1)]
        errors = [np.square(w.astype(float) - p).mean() for w in windows for p in places]
        assert distance == pytest.approx(40 * min(errors) ** 0.5, rel=1e-4)


def test_the_distance_is_in_decibels(data):
    [_], [distance] = nearest_neighbours((data[3].numpy() * 0.9)[None], data)
    rms = np.sqrt(np.square(data[3].numpy()[..., :32]).reshape(16, 2, 16).mean(axis=(0, 2)))
    assert distance == pytest.approx(40 * 0.1 * rms.min(), rel=1e-3)


def test_silence_beside_sound_is_not_a_copy_of_silence(data):
    data.mels = np.concatenate([data.mels[:-1], np.full((1, 1, 16, 40), -1, np.float16)])
    mel = random_mels(1, 1)
    mel[..., SECOND:] = -1
    assert nearest_neighbours(mel, data)[1] > 20
    assert nearest_neighbours(np.full((1, 1, 16, 40), -1, np.float32), data)[1] == pytest.approx(
        0, abs=0.05
    )


def test_many_mels_are_found_like_one(data):
    wanted = [5, COUNT - 1, 0]
    indices, distances = nearest_neighbours(np.stack([data[i].numpy() for i in wanted]), data)
    assert indices.tolist() == wanted
    assert distances == pytest.approx(np.zeros(3), abs=0.05)


def test_a_model_with_a_single_output_has_no_diversity():
    alike = random_mels(1, 0).repeat(5, axis=0) + random_mels(5, 1) / 100
    assert (diversity(alike, PARAMS) < 1).all()
    assert (diversity(random_mels(5, 0), PARAMS) > 20).all()
    half = np.concatenate([random_mels(4, 0), random_mels(1, 0)])
    assert (diversity(half, PARAMS) < 0.1).tolist() == [True, False, False, False, True]


def test_the_diversity_of_one_mel_is_refused():
    with pytest.raises(ValueError, match="1 mels; needed: at least 2"):
        diversity(random_mels(1, 0), PARAMS)
