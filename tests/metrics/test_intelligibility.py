"""Intelligibility: word error, phone error, the text that fits best, of real clips and noise."""

import csv

import numpy as np
import pytest
from workspace import ROOT

import ddpmlib.metrics.intelligibility as intelligibility
from ddpmlib.audio.recording import load_audio
from ddpmlib.metrics.intelligibility import RATE, TextScores, score_texts

CORPUS = ROOT / "data" / "sample_corpus"
COUNT = 5


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    with (CORPUS / "sentences.csv").open(encoding="utf-8", newline="") as stream:
        return {row["file"]: row["text"] for row in list(csv.DictReader(stream))[:COUNT]}


@pytest.fixture(scope="module")
def clips(texts) -> list[np.ndarray]:
    return [load_audio(CORPUS / file, RATE).samples for file in texts]


@pytest.fixture(scope="module")
def scores(clips, texts) -> list[TextScores]:
    return score_texts(clips, list(texts.values()), RATE, workers=1)


def test_recordings_say_their_texts(scores):
    found = intelligibility.evaluate_texts(scores)
    assert found["word_error"].value < 0.25
    assert found["phone_error"].value < 0.6
    assert found["text_accuracy"].value == 1
    for one in found.values():
        assert 0 <= one.low <= one.value <= one.high


def test_they_do_not_say_the_texts_of_others(clips, texts, scores):
    moved = [*list(texts.values())[1:], next(iter(texts.values()))]
    wrong = intelligibility.evaluate_texts(score_texts(clips, moved, RATE, workers=1))
    right = intelligibility.evaluate_texts(scores)
    assert wrong["word_error"].value > 0.8 > right["word_error"].value
    assert wrong["phone_error"].value > right["phone_error"].value + 0.2
    assert wrong["text_accuracy"].value == 0


def test_words_are_counted_over_all_clips():
    scores = [TextScores("", 1, 1, 3, 3, False), TextScores("", 9, 0, 27, 0, True)]
    found = intelligibility.evaluate_texts(scores)
    assert found["word_error"].value == pytest.approx(0.1)
    assert found["phone_error"].value == pytest.approx(0.1)
    assert found["text_accuracy"].value == 0.5


def test_a_lower_rate_is_resampled(clips, texts):
    import librosa

    low = librosa.resample(clips[0], orig_sr=RATE, target_sr=22_050)
    [found] = score_texts([low], [next(iter(texts.values()))], 22_050, workers=1)
    assert found.word_errors <= 3


def test_noise_says_nothing():
    noise = np.random.default_rng(0).normal(0, 0.05, 2 * RATE).astype(np.float32)
    [found] = score_texts([noise], ["The little boat crossed the lake."], RATE, workers=1)
    assert found.word_errors >= 5
    assert found.words == 6


def test_numbers_that_do_not_fit_are_named(clips):
    with pytest.raises(ValueError, match="5 clips and 1 texts; needed: one each"):
        score_texts(clips, ["Hello."], RATE)
    with pytest.raises(ValueError, match="0 clips and 0 texts"):
        score_texts([], [], RATE)


def test_a_folder_needs_a_text_for_each_recording(tmp_path, clips, texts):
    import soundfile

    for name, clip in zip("ab", clips, strict=False):
        soundfile.write(tmp_path / f"{name}.wav", clip, RATE)
    table, known = tmp_path / "texts.csv", list(texts.values())
    table.write_text(f'file,text\na.wav,"{known[0]}"\n')
    with pytest.raises(ValueError, match=r"no text of b\.wav"):
        intelligibility.score_folder_texts(tmp_path, table)
    table.write_text(f'file,text\na.wav,"{known[0]}"\nb.wav,"{known[1]}"\n')
    assert intelligibility.score_folder_texts(tmp_path, table)["word_error"].value < 0.4
