"""Mel-spectrogram -> waveform: level, pitch, duration, silence; speech comes back."""

import numpy as np
import pytest
import torch
from cases import CORPUS, RATE, loudest_hz, one_sentence, tone

from ddpmlib.audio.cleaning import clean
from ddpmlib.audio.recording import load_audio
from ddpmlib.spectrogram.codec import load_png, save_png
from ddpmlib.spectrogram.mel import audio_to_image, audio_to_mel, mel_filters
from ddpmlib.spectrogram.params import DEFAULT
from ddpmlib.vocoder.griffin_lim import mel_to_magnitude
from ddpmlib.vocoder.waveform import image_to_audio, images_to_audio


def speech(name: str = "001") -> np.ndarray:
    return clean(load_audio(CORPUS / f"{name}.ogg", RATE).samples, RATE)


def test_silence_comes_back_as_digital_silence():
    audio = image_to_audio(-np.ones(DEFAULT.image_size), DEFAULT)
    assert np.isfinite(audio).all()
    assert np.abs(audio).max() < 0.5 / 32768


@pytest.mark.parametrize("n_frames", [16, 64])
def test_duration_is_that_of_the_frames(n_frames):
    audio = image_to_audio(np.zeros((64, n_frames)), DEFAULT)
    assert audio.dtype == np.float32
    assert audio.shape == ((n_frames - 1) * DEFAULT.hop_length,)


@pytest.mark.parametrize("hz", [220, 1000, 4000])
def test_a_tone_comes_back_at_its_frequency_and_level(hz):
    sound = tone(hz, 1, amplitude=0.2)
    audio = image_to_audio(audio_to_image(sound, DEFAULT), DEFAULT)
    band = 8000 / 64 if hz > 1000 else 46  # Hz between band centres there, at least
    assert loudest_hz(audio) == pytest.approx(hz, abs=0.8 * band)
    assert np.std(audio) / np.std(sound) == pytest.approx(1, abs=0.3)


@pytest.mark.parametrize("name", ["001", "050"])
def test_speech_comes_back_within_two_decibels_a_cell(name):
    mel = audio_to_image(speech(name), DEFAULT)[:, :256]
    again = audio_to_image(image_to_audio(mel, DEFAULT), DEFAULT)[:, : mel.shape[1]]
    db = np.abs(again - mel) * DEFAULT.top_db / 2
    assert db.mean() < 2  # measured 1.1 to 1.2; another moment of the same speech is 17 away
    assert db[mel > -0.5].mean() < 1.5


def test_the_vocoder_is_deterministic_and_accepts_batches_of_one_and_png(tmp_path):
    mel = audio_to_image(speech()[:8_000], DEFAULT)
    first = image_to_audio(mel, DEFAULT)
    np.testing.assert_array_equal(first, image_to_audio(mel[None], DEFAULT))
    save_png(tmp_path / "x.png", mel)
    for path in (tmp_path / "x.png", str(tmp_path / "x.png")):
        from_png = image_to_audio(path, DEFAULT)
        np.testing.assert_array_equal(from_png, image_to_audio(load_png(path), DEFAULT))


def test_magnitudes_reach_the_mel_power_given():
    mel = audio_to_mel(speech()[:32_000], DEFAULT)
    magnitude = mel_to_magnitude(mel, DEFAULT)
    assert magnitude.shape == (513, mel.shape[1])
    assert (magnitude >= 0).all()
    error = mel_filters(DEFAULT) @ magnitude**2 - mel
    assert np.linalg.norm(error) < 0.02 * np.linalg.norm(mel)


@pytest.mark.parametrize("shape", [(80, 256), (256, 64), (2, 64, 256), (1, 1, 64, 256), (64,)])
def test_a_mel_of_another_shape_is_refused_naming_both(shape):
    with pytest.raises(ValueError, match="needed: ") as caught:
        image_to_audio(np.zeros(shape), DEFAULT)
    assert one_sentence(caught.value, f"mel-spectrogram of {shape}", "(64, n_frames)")


def test_a_mel_that_is_not_finite_is_refused():
    mel = np.where(np.arange(64 * 16).reshape(64, 16) < 2, np.nan, 0)
    with pytest.raises(ValueError, match="2 values of the mel-spectrogram are NaN or infinite"):
        image_to_audio(mel, DEFAULT)


def test_several_at_once_are_what_each_is_alone_and_leave_the_threads_of_torch():
    mels = [audio_to_image(speech(name)[:RATE], DEFAULT) for name in ("001", "002", "003")]
    threads = torch.get_num_threads()
    together = images_to_audio(mels, DEFAULT)
    assert torch.get_num_threads() == threads
    for audio, mel in zip(together, mels, strict=True):
        np.testing.assert_allclose(audio, image_to_audio(mel, DEFAULT), atol=1e-4)
    assert not np.allclose(together[0], together[1], atol=1e-2)
    assert images_to_audio([], DEFAULT) == []
    with pytest.raises(ValueError, match="needed: \\(64, n_frames\\)"):
        images_to_audio([mels[0], mels[0][:32]], DEFAULT)
