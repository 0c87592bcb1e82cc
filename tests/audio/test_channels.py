"""Channels mixed to mono: nobody's voice is lost, and clipping is found on each."""

import numpy as np
import pytest
from cases import RATE, level, tone, vowel, write

from ddpmlib.audio.channels import Channels, FlatTops, mix_weights
from ddpmlib.audio.recording import load_audio

SILENT = np.zeros(3 * RATE)


def two_voices() -> tuple[np.ndarray, np.ndarray]:
    """Who speaks in the first and in the last half of six seconds."""
    return np.r_[vowel(3, hz=110), SILENT], np.r_[SILENT, vowel(3, hz=210)]


@pytest.mark.parametrize(
    "channels",
    [
        ((1, 0), (0, 1)),  # an interview: a microphone each
        ((1, 0), (0, 0.1)),  # one of them 20 dB softer
        ((1, 0), (0, -1)),
        ((1, 0.1), (-0.1, 1)),  # each heard in the other's microphone, phases turned
        ((1, 0), (0, 1), (0, -1)),  # the second recorded twice, once inverted
        ((1, 0), (0, 0), (0, 0), (0, 1)),
    ],
)
def test_two_people_on_two_channels_are_both_kept(tmp_path, channels):
    first, second = two_voices()
    frames = np.stack([a * first + b * second for a, b in channels], axis=1)
    recording = load_audio(write(tmp_path / "a.wav", frames), RATE)
    assert recording.sources >= 2
    for person, (voice, half) in enumerate(
        ((first, np.s_[: 3 * RATE]), (second, np.s_[3 * RATE :]))
    ):
        heard, loudest = recording.samples[half], np.abs(channels).max(axis=0)[person]
        assert abs(np.corrcoef(heard, voice[half])[0, 1]) > 0.99
        assert level(heard) > level(loudest * voice[half]) - 20 * np.log10(len(channels)) - 1


@pytest.mark.parametrize("channels", [(1,), (1, 1), (1, -1), (0, 1), (1, 0.2), (1, 0, 0, 0, 0, 0)])
def test_one_voice_on_all_channels_is_one_source(tmp_path, channels):
    hiss = np.random.default_rng(0).normal(0, 1e-4, (2 * RATE, len(channels)))  # 50 dB below
    path = write(tmp_path / "a.wav", np.outer(vowel(2), channels) + hiss)
    recording = load_audio(path, RATE)
    assert recording.sources == 1
    assert recording.level_db == pytest.approx(level(vowel(2)), abs=0.1)


def test_statistics_do_not_depend_on_the_blocks():
    frames = np.random.default_rng(0).normal(0.3, 0.1, (5000, 3)).astype(np.float32)
    whole, cut = Channels(RATE, 3), Channels(RATE, 3)
    whole.add(frames)
    for start in range(0, 5000, 700):
        cut.add(frames[start : start + 700])
    np.testing.assert_allclose(whole.covariance, np.cov(frames.T, bias=True), atol=1e-6)
    np.testing.assert_allclose(cut.covariance, whole.covariance, rtol=1e-9)
    np.testing.assert_allclose(cut.mean, frames.mean(axis=0), rtol=1e-5)
    assert (cut.samples, cut.peak, cut.bad) == (5000, float(np.abs(frames).max()), 0)


def test_silence_on_all_channels_has_weights():
    weights, sources = mix_weights(np.zeros((2, 2)))
    assert (np.isfinite(weights).all(), sources) == (True, 1)


def test_clipping_of_one_of_two_voices_is_found(tmp_path):
    first, second = two_voices()
    frames = np.stack([np.clip(20 * first, -1, 1), second], axis=1)
    assert load_audio(write(tmp_path / "a.wav", frames), RATE).clipped
    assert not load_audio(
        write(tmp_path / "b.wav", np.stack([first, second], axis=1)), RATE
    ).clipped


def test_flat_tops_are_found_in_blocks():
    clipped, clean = np.clip(2 * tone(100, 1), -0.5, 0.5), tone(100, 1)
    tops = FlatTops(np.array([0.5, 0.5]))
    for start in range(0, RATE, 1000):
        tops.add(np.stack([clipped, clean], axis=1)[start : start + 1000])
    assert tops.found.tolist() == [True, False]
