"""The mel-spectrogram of a sound, and of the same sound at another speed or pitch."""

from dataclasses import replace

import librosa
import numpy as np
import pytest
from cases import CORPUS, RATE, tone

from ddpmlib.audio.cleaning import clean
from ddpmlib.audio.recording import load_audio
from ddpmlib.data.preparation import AUGMENTATIONS
from ddpmlib.spectrogram.mel import audio_to_image, audio_to_mel, window_gain
from ddpmlib.spectrogram.params import DEFAULT, PRESETS


@pytest.mark.parametrize("name", ["default", "80 mels", "12 s"])
@pytest.mark.parametrize("samples", [1025, 16_000, 100_001])
def test_mel_power_is_that_of_librosa(name, samples):
    params = PRESETS[name]
    sound = np.random.default_rng(0).normal(0, 0.1, samples + params.n_fft).astype(np.float32)
    options = {"n_fft": params.n_fft, "hop_length": params.hop_length, "norm": None}
    options |= {"sr": params.sample_rate, "n_mels": params.n_mels, "fmax": params.fmax}
    theirs = librosa.feature.melspectrogram(y=sound, **options) / window_gain(params) ** 2
    np.testing.assert_allclose(audio_to_mel(sound, params), theirs, atol=1e-5 * theirs.max())


@pytest.mark.parametrize("n_fft", [1024, 1025])
@pytest.mark.parametrize("samples", [2560, 2561, 2815])
def test_there_are_as_many_frames_as_librosa_makes(n_fft, samples):
    params = replace(DEFAULT, n_fft=n_fft)
    theirs = librosa.stft(np.ones(samples, np.float32), n_fft=n_fft, hop_length=256).shape[1]
    assert audio_to_mel(np.ones(samples, np.float32), params).shape[1] == theirs


@pytest.mark.parametrize("speed", [0, -1.0, float("nan")])
def test_a_speed_that_is_none_is_refused(speed):
    with pytest.raises(ValueError, match=f"speed is {speed}; it must be above 0"):
        audio_to_mel(np.ones(2560, np.float32), DEFAULT, speed=speed)


def test_there_are_the_originals_twenty_augmentations():
    speeds = [change["speed"] for change in AUGMENTATIONS.values() if "speed" in change]
    steps = [change["semitones"] for change in AUGMENTATIONS.values() if "semitones" in change]
    assert speeds == pytest.approx(np.linspace(0.95, 1.05, 10))
    assert steps == [-5, -4, -3, -2, -1, 1, 2, 3, 4, 5]
    assert len(AUGMENTATIONS) == 20


@pytest.mark.parametrize("change", AUGMENTATIONS.values(), ids=AUGMENTATIONS)
def test_speed_changes_the_length_alone_and_semitones_the_pitch_alone(change):
    sound = tone(1000, 1).astype(np.float32)
    mel = audio_to_mel(sound, DEFAULT, **change)
    length = RATE / change.get("speed", 1) / DEFAULT.hop_length
    assert mel.shape[1] == pytest.approx(1 + length, abs=1)
    higher = tone(1000 * 2 ** (change.get("semitones", 0) / 12), 1).astype(np.float32)
    bands, expected = mel.mean(axis=1), audio_to_mel(higher, DEFAULT).mean(axis=1)
    assert bands.argmax() == expected.argmax()
    assert bands.sum() == pytest.approx(expected.sum(), rel=0.2)
    assert np.isfinite(audio_to_image(sound[:400], DEFAULT, **change)).all()


@pytest.mark.parametrize(("rate", "decibels"), [(0.95, 0.5), (1.05, 0.5), (0.75, 1), (4 / 3, 2)])
def test_both_together_are_a_tape_that_runs_at_another_speed(rate, decibels):
    """Resampling is exact, so it says what another speed and another pitch give."""
    sound = clean(load_audio(CORPUS / "001.ogg", RATE).samples, RATE)
    tape = librosa.resample(sound, orig_sr=RATE * rate, target_sr=RATE)
    changed = audio_to_image(sound, DEFAULT, speed=rate, semitones=12 * np.log2(rate))
    played = audio_to_image(tape, DEFAULT)
    assert abs(changed.shape[1] - played.shape[1]) <= 1
    n = min(changed.shape[1], played.shape[1])
    audible = played[:, :n] > -0.25
    difference = np.abs(changed[:, :n] - played[:, :n])[audible] * DEFAULT.top_db / 2
    assert difference.mean() < decibels
