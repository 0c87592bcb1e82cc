"""The array of one recording, in little memory and equal to that of the whole."""

import base64
import sys
from operator import attrgetter

import numpy as np
import pytest
import soundfile
from cases import CORPUS, RATE, python, vowel, write

from ddpmlib.audio import cleaning, decoding, recording
from ddpmlib.audio.cleaning import SampleFile, clean
from ddpmlib.audio.recording import load_audio
from ddpmlib.data import arrays
from ddpmlib.data.arrays import write_mels
from ddpmlib.data.preparation import AUGMENTATIONS, Preparation, prepare
from ddpmlib.data.segments import segment
from ddpmlib.data.split import signature
from ddpmlib.spectrogram.mel import audio_to_image
from ddpmlib.spectrogram.params import DEFAULT

CHANGES = [{}, *AUGMENTATIONS.values()][::7]


def sentence(seconds: float) -> np.ndarray:
    """Speech between quiet background."""
    noise = np.random.default_rng(0).normal(0, 1e-5, round((seconds + 1.3) * RATE))
    noise[RATE : RATE + round(seconds * RATE)] += vowel(seconds)
    return noise.astype(np.float32)


@pytest.mark.parametrize("seconds", [0.05, 1.0, 9.7])
@pytest.mark.parametrize("overlap", [None, 0.0, 0.5])
def test_an_array_is_that_of_the_cleaned_recording(tmp_path, monkeypatch, seconds, overlap):
    sound = sentence(seconds)
    mels = [audio_to_image(clean(sound, RATE), DEFAULT, **how) for how in CHANGES]
    if overlap is None:
        expected = np.concatenate(mels, axis=1)[None, None].astype(np.float16)
    else:
        expected = np.concatenate([segment(mel, 256, overlap) for mel in mels])
    written = SampleFile(tmp_path)
    for start in range(0, len(sound), 3001):
        written.append(sound[start : start + 3001])
    for block in (cleaning.BLOCK, 128 * 9):
        monkeypatch.setattr(cleaning, "BLOCK", block)
        for each in (sound, written):
            facts = write_mels(tmp_path / "a.npy", each, DEFAULT, overlap, CHANGES)
            found = np.load(tmp_path / "a.npy")
            assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
            # Of the range from -1 to 1; 80 dB are 2, and rounding to float16 is 0.0005.
            np.testing.assert_allclose(found, expected, atol=0.002)
            assert facts.get("frames", 0) == (expected.shape[-1] if overlap is None else 0)
            assert facts.get("mels", 0) == (0 if overlap is None else len(expected))
            assert facts["trimmed"] == len(clean(sound, RATE)) / RATE
            assert facts["signature"] == signature(mels[0], DEFAULT)


def test_a_long_recording_has_the_signature_of_an_outline(tmp_path, monkeypatch):
    sentences = [clean(load_audio(CORPUS / f"{i:03}.ogg", RATE).samples, RATE) for i in range(1, 9)]
    sound = np.concatenate(sentences)
    whole = write_mels(tmp_path / "a.npy", sound, DEFAULT, 0.0, [{}])["signature"]
    monkeypatch.setattr(arrays, "OUTLINE", 1000)
    outline = write_mels(tmp_path / "a.npy", sound, DEFAULT, 0.0, [{}])["signature"]
    values = [np.frombuffer(base64.b64decode(s), np.int8) for s in (whole, outline)]
    assert np.corrcoef(*values)[0, 1] > 0.97


@pytest.mark.parametrize("seconds", [0.3, 2, 12])
@pytest.mark.parametrize("highest", [2000, 4000, 6000, 8000])
def test_bandwidth_is_measured_in_the_sound(tmp_path, seconds, highest):
    noise = np.random.default_rng(0).normal(0, 0.1, round(seconds * RATE))
    spectrum = np.fft.rfft(noise)
    spectrum[np.fft.rfftfreq(len(noise), 1 / RATE) > highest] *= 1e-4  # what a filter leaves
    sound = np.fft.irfft(spectrum).astype(np.float32)
    facts = write_mels(tmp_path / "a.npy", sound, DEFAULT, 0.0, [{}])
    assert facts["bandwidth"] == pytest.approx(highest, rel=0.08)  # the width of a band
    click = sound.copy()
    click[len(click) // 2] += 1
    if seconds > 2:
        assert facts == write_mels(tmp_path / "a.npy", click, DEFAULT, 0.0, [{}]) | {
            "signature": facts["signature"]
        }


def test_a_long_file_is_prepared_as_a_short_one_is(tmp_path, monkeypatch):
    frames = np.stack([sentence(9), np.roll(sentence(9), 4 * RATE)], axis=1)
    write(tmp_path / "in" / "a.flac", frames)
    how = Preparation(validation_share=0, overlap=0.3)
    [whole] = prepare(tmp_path / "in", tmp_path / "whole", how, workers=1)
    monkeypatch.setattr(decoding, "BLOCK", 4000)
    monkeypatch.setattr(recording, "HELD", 9000)
    monkeypatch.setattr(cleaning, "BLOCK", 128 * 40)
    [blocks] = prepare(tmp_path / "in", tmp_path / "blocks", how, workers=1)
    a, b = np.load(tmp_path / "whole" / whole.output), np.load(tmp_path / "blocks" / blocks.output)
    np.testing.assert_allclose(a, b, atol=0.002)
    same = attrgetter("trimmed", "clipped", "sources", "mels", "signature")
    assert same(whole) == same(blocks)


PEAK = """
import resource, sys
from ddpmlib.data.preparation import Preparation, prepare
[entry] = prepare(*sys.argv[1:], Preparation(validation_share=0), workers=1)
print(entry.mels, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.skipif(sys.platform == "darwin", reason="counts bytes there")
def test_memory_does_not_grow_with_the_length_of_a_recording(tmp_path):
    peaks, minute = [], np.outer(np.tile(vowel(2, 48_000), 30), (1, 0.5))
    for minutes in (1, 12):
        folder = tmp_path / str(minutes)
        folder.mkdir()
        with soundfile.SoundFile(folder / "a.wav", "w", 48_000, 2, "PCM_16") as file:
            for _ in range(minutes):
                file.write(minute)
        done = python(PEAK, folder, tmp_path / f"{minutes}-out")
        mels, peak = map(int, done.stdout.split())
        assert mels == -(-minutes * 60 // 4.096)
        peaks.append(peak / 1000)
    # All of it, decoded, is 276 MB; as mono at 16 kHz 46 MB.
    assert peaks[1] - peaks[0] < 100, peaks  # MB
