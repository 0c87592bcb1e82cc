"""The sample corpus is as data/README.md describes it; speech survives the default parameters."""

import csv
import sys

import numpy as np
import pytest
import soundfile
from workspace import ROOT

from ddpmlib.audio.cleaning import clean
from ddpmlib.metrics.speech import speech_share
from ddpmlib.spectrogram.mel import audio_to_image
from ddpmlib.spectrogram.params import DEFAULT, PRESETS
from ddpmlib.vocoder.waveform import image_to_audio

CORPUS = ROOT / "data" / "sample_corpus"
FILES = sorted(CORPUS.glob("*.ogg"))
RATE = DEFAULT.sample_rate


@pytest.fixture(scope="module")
def clips():
    return {path.name: soundfile.read(path, dtype="float32")[0] for path in FILES}


def test_size_and_format(clips):
    assert 150 <= len(FILES) <= 250
    assert sum(path.stat().st_size for path in CORPUS.iterdir()) < 5_000_000
    for path in FILES:
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.format) == (16_000, 1, "OGG")
    minutes = sum(map(len, clips.values())) / RATE / 60
    assert 11.5 < minutes < 13
    level = [10 * np.log10(np.mean(samples**2)) for samples in clips.values()]
    assert max(level) - min(level) < 1
    assert max(np.abs(samples).max() for samples in clips.values()) < 1


def test_sentences_are_those_that_the_script_composes(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "data"), *sys.path])
    import sentences

    with (CORPUS / "sentences.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["file"] for row in rows] == [path.name for path in FILES]
    assert [row["text"] for row in rows] == sentences.corpus_sentences()
    assert len({row["text"] for row in rows}) == len(rows)
    assert len(sentences.distinct_words([row["text"] for row in rows])) >= 600


@pytest.mark.parametrize("every", [16, pytest.param(1, marks=pytest.mark.slow)])
def test_it_is_detected_as_speech(clips, every):
    shares = [speech_share(clips[path.name]) for path in FILES[::every]]
    assert np.mean(shares) > 0.85
    assert min(shares) > 0.7


def test_noise_and_a_chord_are_not_detected_as_speech():
    noise = np.random.default_rng(0).normal(size=4 * RATE) * 0.1
    seconds = np.arange(4 * RATE) / RATE
    chord = sum(0.1 * np.sin(2 * np.pi * hz * seconds) for hz in (220, 277, 330))
    assert speech_share(noise) < 0.05
    assert speech_share(chord) < 0.05


def test_speech_survives_the_default_parameters_and_not_the_original_ones(clips):
    """The finding that decided the parameters: 0.9 of the frames are speech, or none."""
    default, original = [], []
    for path in FILES[::50]:
        speech = clean(clips[path.name], RATE)
        default.append(speech_share(image_to_audio(audio_to_image(speech, DEFAULT), DEFAULT)))
        original.append(share_by_original_parameters(speech))
    assert np.mean(default) > 0.85
    assert np.mean(original) < 0.1


def share_by_original_parameters(speech: np.ndarray) -> float:
    import librosa

    params = PRESETS["12 s, original"]
    at_its_rate = librosa.resample(speech, orig_sr=RATE, target_sr=params.sample_rate)
    back = image_to_audio(audio_to_image(at_its_rate, params), params)
    back = librosa.resample(back, orig_sr=params.sample_rate, target_sr=RATE)
    return speech_share(0.5 * back / np.abs(back).max())
