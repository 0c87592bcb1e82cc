"""The summary of a preparation: what dominates a corpus, and what its recordings lack."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile
from cases import vowel, write

from ddpmlib.data.manifest import Entry, read_manifest, summary
from ddpmlib.data.preparation import Preparation, prepare
from ddpmlib.spectrogram.params import DEFAULT

ONE = Entry("a.wav", "0", "0", "train", "a.npy", 1, seconds=4.2, trimmed=4.0, bandwidth=8000.0)


def entries(count: int, **changed) -> list[Entry]:
    return [replace(ONE, file=f"{i}.wav", sha256=str(i), **changed) for i in range(count)]


def test_of_ordinary_recordings_nothing_is_said():
    text = summary(entries(100), DEFAULT)
    words = ("silence", "longer", "channels", "fmax", "skipped", "clipped")
    assert not [word for word in words if word in text]


def test_a_corpus_of_words_is_mostly_silence_unless_joined():
    short = entries(2000, trimmed=0.3)
    assert (
        "93% of the mel-spectrograms are silence behind recordings shorter than 4.1 s; join "
        in (summary(short, DEFAULT))
    )
    assert "silence" not in summary([replace(e, frames=19) for e in short], DEFAULT)
    assert "silence" not in summary(entries(10, trimmed=40.0, mels=10), DEFAULT)
    assert "silence" not in summary(
        entries(10, trimmed=0.0), DEFAULT
    )  # of an older version: unknown


def test_few_long_recordings_that_dominate_are_named():
    noise = [
        replace(ONE, file=f"_background_noise_/{i}.wav", trimmed=60.0, mels=15) for i in range(6)
    ]
    text = summary([*entries(1000, trimmed=1.0), *noise], DEFAULT)
    assert (
        "6 much longer than the others make 26% of all sound, e.g. _background_noise_/0.wav" in text
    )
    assert "much longer" not in summary([*entries(1000, trimmed=4.0), *noise], DEFAULT)


def test_a_corpus_of_pauses_is_told_with_the_way_to_shorten_them():
    tape = entries(20, trimmed=60.0, mels=15, pauses=0.9)
    text = summary([*entries(20), *tape], DEFAULT)
    assert "84% of all sound is pauses inside of recordings, e.g. 0.wav; they can be shor" in text
    assert "pauses" not in summary([*entries(300, pauses=0.2), *tape[:1]], DEFAULT)


def test_pauses_are_measured_in_what_is_kept(tmp_path):
    said, pause = vowel(1.5), np.random.default_rng(0).normal(0, 1e-4, 16_000 * 12)
    write(tmp_path / "in" / "tape.wav", np.concatenate([pause, said, pause, said, pause]))
    write(tmp_path / "in" / "plain.wav", said)
    tape = prepare(tmp_path / "in", tmp_path / "out", Preparation(), workers=1)[1]
    assert tape.pauses == pytest.approx(12 / 15, abs=0.05)
    assert read_manifest(tmp_path / "out")[0].pauses < 0.4  # between its syllables


def test_telephone_speech_is_told_with_the_fmax_that_fits():
    narrow = [replace(e, file=f"p{e.file}") for e in entries(30, bandwidth=3998.0)]
    text = summary([*entries(20), *narrow], DEFAULT)
    assert (
        "30 recordings hold nothing above 4000 Hz, e.g. p0.wav: 14 of 64 mel bands stay dark in "
        "them; fmax 4000 would fit"
    ) in text
    assert "fmax" not in summary([*entries(20), *narrow[:1]], DEFAULT)
    assert "fmax" not in summary(narrow, replace(DEFAULT, fmax=4000.0))


@pytest.mark.parametrize("rate", [8000, 16_000])
def test_what_is_measured_reaches_manifest_and_summary(tmp_path, rate):
    narrow = vowel(3, 8000, hz=200) + np.random.default_rng(0).normal(0, 0.003, 24_000)
    if rate == 16_000:  # telephone speech in a file of 16 kHz
        spectrum = np.fft.rfft(narrow)
        narrow = np.fft.irfft(np.pad(spectrum, (0, 12_000)), 48_000) * 2
    (tmp_path / "in").mkdir()
    frames = np.stack([np.r_[narrow, 0 * narrow], np.r_[0 * narrow, narrow[::-1]]], axis=1)
    soundfile.write(tmp_path / "in" / "a.wav", frames, rate)
    write(tmp_path / "in" / "b.wav", np.clip(20 * vowel(1), -1, 1))
    found = prepare(tmp_path / "in", tmp_path / "out", Preparation(validation_share=0), workers=1)
    assert found == read_manifest(tmp_path / "out")
    assert found[0].sources == 2
    assert found[0].trimmed == pytest.approx(6, abs=0.1)
    assert found[0].bandwidth == pytest.approx(4000, rel=0.08)
    text = summary(found, DEFAULT)
    assert "1 have other sounds on other channels, mixed, e.g. a.wav" in text
    assert "hold nothing above" in text


def test_a_manifest_of_an_older_version_is_read(tmp_path):
    line = '{"file": "a.wav", "sha256": "0", "settings": "1", "split": "train", "pictures": 2}'
    (tmp_path / "manifest.jsonl").write_text(line)
    [entry] = read_manifest(tmp_path)
    assert (entry.mels, entry.trimmed, entry.sources, entry.bandwidth) == (2, 0, 1, 0)
