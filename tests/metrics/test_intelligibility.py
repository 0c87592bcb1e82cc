"""Intelligibility: word error, phone error, the text that fits best, of real clips and noise."""

import csv
import sys

import numpy as np
import pytest
from workspace import ROOT

import ddpmlib.metrics.intelligibility as intelligibility
from ddpmlib.audio.recording import load_audio
from ddpmlib.metrics.intelligibility import RATE, TextScores, score_texts
from ddpmlib.text.normalisation import BREAKS, spoken_words

CORPUS = ROOT / "data" / "sample_corpus"
COUNT = 4


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
    assert found["phone_error"].value < 0.15
    assert found["text_accuracy"].value == 1
    for one in found.values():
        assert 0 <= one.low <= one.value <= one.high


def test_they_do_not_say_the_texts_of_others(clips, texts, scores):
    moved = list(texts.values())[1::-1]
    wrong = intelligibility.evaluate_texts(score_texts(clips[:2], moved, RATE, workers=1))
    right = intelligibility.evaluate_texts(scores)
    assert wrong["word_error"].value > 0.8 > right["word_error"].value
    assert wrong["phone_error"].value > 0.6 > right["phone_error"].value
    assert wrong["text_accuracy"].value == 0


def test_words_are_counted_over_all_clips():
    scores = [TextScores("", 1, 1, 3, 3, False), TextScores("", 9, 0, 27, 0, True)]
    found = intelligibility.evaluate_texts(scores)
    assert found["word_error"].value == pytest.approx(0.1)
    assert found["phone_error"].value == pytest.approx(0.1)
    assert found["text_accuracy"].value == 0.5
    assert found["text_accuracy"].low == pytest.approx(0.0126, abs=1e-3)  # exact, not resampled


def test_without_other_texts_there_is_no_accuracy():
    alone = TextScores("", 2, 1, 5, 1, None)
    assert set(intelligibility.evaluate_texts([alone])) == {"word_error", "phone_error"}
    words = [["same", "text"], ["same", "text"]]
    assert intelligibility._decoys(0, words, 8) == []


def test_decoys_are_other_texts_of_about_the_same_length():
    words = [[f"w{i}"] * (1 + i // 10) for i in range(100)]
    drawn = intelligibility._decoys(55, [*words, words[55]], 8)
    assert len({tuple(other) for other in drawn}) == 7
    assert words[55] not in drawn
    assert all(abs(len(other) - 6) <= 1 for other in drawn)
    assert drawn == intelligibility._decoys(55, [*words, words[55]], 8)
    assert drawn != intelligibility._decoys(56, [*words[:56], words[55], *words[57:]], 8)
    assert intelligibility._decoys(55, words, 1) == []


def test_a_clip_may_be_pronounced_in_any_way_of_the_dictionary():
    forms = [[("DH", "AH"), ("DH", "IY")], [("D", "EY", "T", "AH"), ("D", "AE", "T", "AH")]]
    sounds = ["DH", "IY", "D", "AE", "T", "AH"]
    assert intelligibility._nearest(sounds, forms) == sounds
    assert intelligibility._nearest([], forms) == ["DH", "AH", "D", "EY", "T", "AH"]


@pytest.mark.parametrize(
    ("text", "hypothesis"),
    [
        ("Wake me at 7 am.", "wake me at seven a. m."),
        ("Mr. Smith met Dr. Jones.", "mr. smith met dr. jones"),
        ("A well-known U.S. plan", "a well known u. s. plan"),
    ],
)
def test_both_sides_are_written_alike(text, hypothesis):
    own = [word for word in spoken_words(text) if word not in BREAKS]
    assert intelligibility._as_in_texts(hypothesis) == own


def test_another_rate_is_resampled(clips, texts):
    import librosa

    low = librosa.resample(clips[0], orig_sr=RATE, target_sr=44_100)
    [found] = score_texts([low], [next(iter(texts.values()))], 44_100, workers=1)
    assert found.word_errors <= 3


def test_noise_says_nothing():
    noise = np.random.default_rng(0).normal(0, 0.05, 2 * RATE).astype(np.float32)
    [found] = score_texts([noise], ["The little boat crossed the lake."], RATE, workers=1)
    assert found.word_errors >= 5
    assert found.words == 6
    assert found.phone_errors >= 0.9 * found.phones
    assert found.text_found is None


def test_numbers_that_do_not_fit_are_named(clips):
    with pytest.raises(ValueError, match="4 clips and 1 texts; needed: one each"):
        score_texts(clips, ["Hello."], RATE)
    with pytest.raises(ValueError, match="0 clips and 0 texts"):
        score_texts([], [], RATE)


def test_clips_without_samples_are_named_and_left_out(clips, texts, scores, capsys):
    bad = [np.zeros(0, np.float32), np.full(RATE, np.nan, np.float32)]
    said = ["Hello.", "Good morning.", *list(texts.values())[:1]]
    [found] = score_texts([*bad, clips[0]], said, RATE, workers=1)
    assert (found.recognised, found.word_errors) == (scores[0].recognised, scores[0].word_errors)
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "Clip 1 of 3 is left out: 0 samples; needed: at least 1"
    assert out[1] == "Clip 2 of 3 is left out: it holds NaN or infinite samples"
    with pytest.raises(ValueError, match="2 clips, none of them usable; needed: at least 1"):
        score_texts(bad, said[:2], RATE)


def test_of_a_silent_clip_all_words_are_wrong():
    [found] = score_texts([np.zeros(2 * RATE, np.float32)], ["The boat crossed."], RATE, workers=1)
    assert (found.words, found.word_errors) == (3, 3)


def test_the_error_of_one_clip_has_no_interval():
    found = intelligibility.evaluate_texts([TextScores("", 4, 1, 12, 3, None)])
    assert found == {"word_error": (0.25, None, None), "phone_error": (0.25, None, None)}


@pytest.mark.parametrize("package", ["rapidfuzz", "hama", "pocketsphinx"])
def test_a_metric_that_is_not_installed_is_named(package, monkeypatch, clips):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"need {package}.*\.\[metrics\]"):
        score_texts(clips[:1], ["Hello."], RATE)
