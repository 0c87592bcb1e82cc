"""The speaker classifier, and when a mel-spectrogram falls silent."""

import numpy as np
import pytest
from tiny import PARAMS, write_conditions, write_data

from ddpmlib.data.dataset import SpectrogramSet
from ddpmlib.metrics.speakers import SpeakerClassifier, band_statistics, spoken_seconds
from ddpmlib.models.condition import ClassCondition


@pytest.fixture
def classifier(tmp_path) -> SpeakerClassifier:
    """Of voices that are bright in high or in low bands, and a silent one of nobody."""
    path = write_data(tmp_path, mels=20, validation=4)
    values = np.full(np.load(path).shape, -1, np.float16)
    values[:, :, :, 4:] = np.random.default_rng(0).normal(-0.1, 0.05, values[:, :, :, 4:].shape)
    values[::2, :, :4, 4:] = 0.8
    values[1::2, :, 4:, 4:] = 0.8
    values[0], names = -1, ["low", "high"] * 12
    np.save(path, values)
    write_conditions(path, speaker=(ClassCondition(2, ("high", "low")), [None, *names[1:]]))
    return SpeakerClassifier(SpectrogramSet(path, condition="speaker"))


def bright(rows: slice, frames: int = PARAMS.n_frames) -> np.ndarray:
    mel = np.full((1, PARAMS.n_mels, PARAMS.n_frames), -1.0)
    mel[:, :, :frames] = -0.1
    mel[:, rows, :frames] = 0.8
    return mel


def test_a_speaker_is_recognised_and_silence_does_not_count(classifier):
    low, high = bright(slice(0, 4), 5), bright(slice(4, 8))
    assert classifier.predict([low, high, low]).tolist() == [1, 0, 1]
    assert classifier.accuracy([low, high, low, high], [1, 0, 0, 0]) == 0.75
    np.testing.assert_allclose(band_statistics([low]), band_statistics([low[:, :, :5]]))


def test_a_speaker_is_recognised_however_loud(tmp_path):
    """Recordings are louder and quieter by far more than two voices differ."""
    path = write_data(tmp_path, mels=80, validation=20)
    rng, tilt = np.random.default_rng(0), np.linspace(-0.05, 0.05, PARAMS.n_mels)[:, None]
    loudness = rng.uniform(-0.2, 0.2, (100, 1, 1, 1))
    turned = tilt * np.resize([1, -1], (100, 1, 1, 1))
    noise = rng.normal(0, 0.05, (100, 1, PARAMS.n_mels, PARAMS.n_frames))
    np.save(path, (loudness + turned + noise).astype(np.float16))
    write_conditions(path, speaker=(ClassCondition(2, ("bright", "dark")), ["bright", "dark"] * 50))
    classifier = SpeakerClassifier(SpectrogramSet(path, condition="speaker"))
    held_out = SpectrogramSet(path, "validation", condition="speaker")
    mels = [held_out[i].numpy() for i in range(20)]
    for louder in (-0.3, 0.0, 0.3):
        assert classifier.accuracy([mel + louder for mel in mels], [0, 1] * 10) == 1


def test_silence_gets_some_speaker(classifier):
    assert classifier.predict([np.full((1, *PARAMS.image_size), -1.0)])[0] in (0, 1)


def test_band_statistics_of_silence_are_numbers():
    silence = np.full((1, *PARAMS.image_size), -1.0)
    assert np.isfinite(band_statistics([silence])).all()


@pytest.mark.parametrize(("frames", "seconds"), [(0, 0.0), (5, 0.5), (16, 1.6)])
def test_a_mel_falls_silent(frames, seconds):
    assert spoken_seconds(bright(slice(0, 4), frames), 0.1) == pytest.approx(seconds)
