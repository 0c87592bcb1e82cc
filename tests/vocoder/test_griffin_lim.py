"""Phases of magnitudes: consistent after few iterations, for any parameters."""

from dataclasses import replace

import numpy as np
import pytest
from cases import CORPUS, RATE, tone
from small_voice import SMALL, magnitudes

from ddpmlib.audio.cleaning import clean
from ddpmlib.audio.recording import load_audio
from ddpmlib.spectrogram.params import DEFAULT
from ddpmlib.vocoder.griffin_lim import Frames, griffin_lim
from ddpmlib.vocoder.phase import estimate_phase, nearest_peak


def inconsistency(magnitude: np.ndarray, sound: np.ndarray, params) -> float:
    """Share of the magnitudes that the sound misses."""
    missed = magnitudes(sound, params)[:, : magnitude.shape[1]] - magnitude
    return float(np.linalg.norm(missed) / np.linalg.norm(magnitude))


def speech() -> np.ndarray:
    return clean(load_audio(CORPUS / "001.ogg", RATE).samples, RATE)


def test_eight_iterations_are_as_consistent_as_16_from_random_phases():
    import librosa

    magnitude = magnitudes(speech(), DEFAULT)
    sound = griffin_lim(magnitude, DEFAULT)
    options = {"hop_length": 256, "n_fft": 1024, "length": len(sound), "random_state": 0}
    theirs = librosa.griffinlim(magnitude * 256, n_iter=16, **options)
    ours, other = (inconsistency(magnitude, each, DEFAULT) for each in (sound, theirs))
    assert ours < 0.95 * other


def test_the_estimated_phases_of_a_tone_are_those_of_a_tone():
    magnitude = magnitudes(tone(1010, 1), DEFAULT)
    phase = estimate_phase(np.ascontiguousarray(magnitude.T), DEFAULT)
    loudest = int(magnitude.mean(axis=1).argmax())
    advance = np.diff(phase[8:-8, loudest]) / (2 * np.pi)
    expected = 1010 * DEFAULT.hop_length / RATE
    assert np.abs(advance - expected - np.round(advance - expected)).max() < 0.01
    across = np.diff(phase[8:-8, loudest - 1 : loudest + 2], axis=1) / np.pi
    assert np.abs(np.abs(across) % 2 - 1).max() < 0.1  # windows begin half their length before


@pytest.mark.parametrize("n_fft", [2, 399, 400, 1024])
def test_the_window_is_that_of_scipy_to_the_last_bit(n_fft):
    from scipy.signal import get_window

    window = Frames(3, replace(DEFAULT, n_fft=n_fft)).window
    np.testing.assert_array_equal(window, get_window("hann", n_fft).astype(np.float32))


def test_the_nearest_peak_of_each_value():
    rows = np.array([[0, 3, 1, 0, 2, 5], [5, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1]])
    assert nearest_peak(rows)[0].tolist() == [1, 1, 1, 1, 5, 5]
    assert nearest_peak(rows)[1].tolist() == [0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(("n_fft", "hop"), [(256, 64), (256, 60), (255, 64), (256, 128), (257, 50)])
def test_a_spectrogram_of_a_sound_gives_the_sound_back(n_fft, hop):
    params = replace(SMALL, n_fft=n_fft, hop_length=hop)
    frames = Frames(20, params)
    sound = np.zeros_like(frames.level)
    length = frames.inside.stop - frames.inside.start
    assert length == 19 * hop
    sound[frames.inside] = np.random.default_rng(0).standard_normal(length)
    spectrum = frames.stft(sound)
    assert spectrum.shape == (20, n_fft // 2 + 1)
    np.testing.assert_allclose(frames.istft(spectrum), sound, atol=1e-4)


@pytest.mark.parametrize(("n_fft", "hop"), [(256, 60), (255, 64), (200, 300), (2, 1), (1024, 256)])
@pytest.mark.parametrize("n_frames", [1, 2, 3, 17])
def test_any_parameters_and_number_of_frames_give_finite_sound(n_fft, hop, n_frames):
    params = replace(SMALL, n_fft=n_fft, hop_length=hop)
    rng = np.random.default_rng(0)
    for magnitude in (rng.random((n_fft // 2 + 1, n_frames)), np.zeros((n_fft // 2 + 1, n_frames))):
        sound = griffin_lim(magnitude.astype(np.float32), params)
        assert sound.dtype == np.float32
        assert sound.shape == ((n_frames - 1) * hop,)
        assert np.isfinite(sound).all()
        assert magnitude.any() or not sound.any()
