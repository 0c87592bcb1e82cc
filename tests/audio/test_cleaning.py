"""Decoded speech: clipping detected; trimmed, set to one level, faded."""

import numpy as np
import pytest
import soundfile
from cases import CORPUS, RATE, level, tone, vowel, write
from scipy.signal import correlate

from ddpmlib.audio import cleaning
from ddpmlib.audio.cleaning import PEAK, clean, save_wav
from ddpmlib.audio.recording import load_audio


@pytest.mark.parametrize("gain", [8, 16, 100])
@pytest.mark.parametrize("subtype", ["PCM_16", "ALAW", "PCM_24"])
def test_clipped_speech_is_detected(tmp_path, gain, subtype):
    path = write(tmp_path / "a.wav", np.clip(gain * vowel(2), -1, 1), subtype=subtype)
    assert load_audio(path, RATE).clipped


@pytest.mark.parametrize("rate", [8000, 16_000, 48_000])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_U8", "ALAW", "FLOAT"])
@pytest.mark.parametrize("hz", [50, 440])
def test_a_loud_clean_tone_is_not_clipped(tmp_path, rate, subtype, hz):
    path = write(tmp_path / "a.wav", tone(hz, 1, rate, 0.99), rate, subtype=subtype)
    assert not load_audio(path, RATE).clipped


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_U8", "ALAW"])
def test_loud_clean_speech_is_not_clipped(tmp_path, subtype):
    voice = load_audio(CORPUS / "001.ogg", RATE).samples
    path = write(tmp_path / "a.wav", 0.999 * voice / np.abs(voice).max(), subtype=subtype)
    assert not load_audio(path, RATE).clipped


@pytest.mark.parametrize("gain", [1e-3, 1, 4, 32768])
def test_every_recording_gets_one_level(gain):
    samples = clean((gain * vowel(2)).astype(np.float32), RATE)
    assert samples.dtype == np.float32
    assert level(samples) == pytest.approx(-23, abs=0.1)  # data sets and weights rely on it


@pytest.mark.parametrize("gain", [0.5, 3.0])
def test_a_loud_wav_is_quieter_and_not_clipped(gain, tmp_path):
    sound = gain * vowel(0.5) / np.abs(vowel(0.5)).max()
    save_wav(tmp_path / "loud.wav", sound, 16_000)
    written, _ = soundfile.read(tmp_path / "loud.wav")
    assert np.abs(written).max() == pytest.approx(min(gain, PEAK), abs=1e-3)
    np.testing.assert_allclose(written, sound * min(1, PEAK / gain), atol=1e-4)


def test_clean_leaves_its_input_alone():
    samples = vowel(1).astype(np.float32)
    before = samples.copy()
    clean(samples, RATE)
    np.testing.assert_array_equal(samples, before)


@pytest.mark.parametrize("rate", [8000, RATE, 44_100])
def test_trimming_removes_background_and_no_speech(rate):
    noise = np.random.default_rng(0).normal(0, 1e-5, 3 * rate)
    soft = tone(2000, 0.2, rate, 0.25 * 10 ** (-40 / 20))  # a consonant, 40 dB below the vowel
    speech = np.concatenate([soft, vowel(1, rate), soft])
    samples = noise.copy()
    samples[rate : rate + len(speech)] += speech
    trimmed = clean(samples.astype(np.float32), rate)
    frame = 512 / rate
    assert len(speech) / rate <= len(trimmed) / rate <= 1.4 + 2 * (cleaning.MARGIN + frame)
    trimmed = trimmed * np.sqrt(np.sum(speech**2) / np.sum(trimmed**2))
    match = correlate(trimmed, speech, "valid").max() / np.sum(speech**2)
    assert match > 0.999
    softest = np.convolve(np.abs(trimmed), np.ones(400) / 400, "valid")
    assert np.sum(softest > 1e-3) / rate > 1.35  # both consonants are still there


def test_nothing_of_a_recording_without_background_is_removed():
    assert len(clean(tone(300, 1), RATE)) == RATE


def test_both_ends_are_faded():
    samples = clean(np.ones(RATE, np.float32) * np.where(np.arange(RATE) % 2, 0.3, -0.3), RATE)
    fade = int(cleaning.FADE * RATE)
    assert samples[0] == samples[-1] == 0
    envelope = np.abs(samples)
    assert (np.diff(envelope[:fade]) > 0).all()
    assert (np.diff(envelope[-fade:]) < 0).all()
    np.testing.assert_allclose(envelope[fade:-fade], envelope[RATE // 2], rtol=1e-5)


@pytest.mark.parametrize("samples", [1, 2, 100, 320, 511, 513])
def test_very_short_recordings_are_cleaned_too(samples):
    short = clean(0.1 * np.ones(samples, np.float32), RATE)
    assert len(short) == samples
    assert np.isfinite(short).all()
