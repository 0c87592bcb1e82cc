"""Forced alignment: words and phones where they are spoken, and texts that are not spoken there."""

import json
from dataclasses import asdict
from itertools import pairwise

import numpy as np
import pytest
from spoken import sound_of, texts, words_of

from ddpmlib.text.alignment import (
    GOOD,
    RATE,
    WORST,
    Alignment,
    AlignmentError,
    Interval,
    align,
    misfit,
    score_of,
)
from ddpmlib.text.pronunciation import PHONES, SILENCE, Lexicon

FILE, OTHER = "001.ogg", "002.ogg"  # "I would rather visit the science exhibition than lock ..."
SENTENCES = ("001.ogg", "003.ogg", "009.ogg", "014.ogg")


def own(folder, text: str) -> Lexicon:
    """A lexicon with a file of its own."""
    path = folder / "own.txt"
    path.write_text(text, "utf-8")
    return Lexicon(path)


def phones_of(alignment: Alignment, index: int) -> list[str]:
    """Names of the phones of a word."""
    word = alignment.words[index]
    return [p.name for p in alignment.phones if word.start <= p.start < word.end]


@pytest.mark.parametrize("file", SENTENCES)
def test_phones_fill_the_recording_and_words_come_in_order(file):
    sound, words = sound_of(file), words_of(file)
    found = align(sound, words)
    assert found.phones[0].start == 0
    assert found.phones[-1].end == len(sound) / RATE
    for one, following in pairwise(found.phones):
        assert one.end == following.start
        assert not one.name == following.name == SILENCE
    assert all(phone.seconds > 0 for phone in found.phones)
    assert {phone.name for phone in found.phones} <= {SILENCE, *PHONES}
    assert [word.name for word in found.words] == words
    assert all(one.end <= following.start for one, following in pairwise(found.words))
    assert found.score > -15


def test_the_phones_of_each_word_are_one_of_its_pronunciations():
    found = align(sound_of(FILE), words_of(FILE))
    for i, word in enumerate(found.words):
        assert tuple(phones_of(found, i)) in Lexicon().pronounce(word.name), word.name


@pytest.mark.parametrize("file", SENTENCES)
def test_pauses_are_far_quieter_than_phones(file):
    sound, levels = sound_of(file), {True: [], False: []}
    for phone in align(sound, words_of(file)).phones:
        part = sound[round(phone.start * RATE) : round(phone.end * RATE)]
        levels[phone.name == SILENCE].append(10 * np.log10(np.square(part).mean() + 1e-12))
    assert max(levels[True]) < np.median(levels[False]) - 25


def test_a_pause_put_between_two_words_is_found_there_and_moves_what_follows():
    sound, words, seconds = sound_of(FILE), words_of(FILE), 0.5
    before = align(sound, words)
    cut = before.words[5].end
    silence = np.zeros(round(seconds * RATE), np.float32)
    parts = sound[: round(cut * RATE)], silence, sound[round(cut * RATE) :]
    after = align(np.concatenate(parts), words)
    moved = [word.start + seconds * (i > 5) for i, word in enumerate(before.words)]
    assert [word.start for word in after.words] == pytest.approx(moved, abs=0.04)
    [pause] = [p for p in after.phones if p.name == SILENCE and p.start < cut + 0.1 < p.end]
    assert (pause.start, pause.end) == pytest.approx((cut, cut + seconds), abs=0.04)


@pytest.mark.parametrize("words", [words_of(OTHER), ["the"], words_of(FILE)[::-1]])
def test_a_wrong_text_has_no_alignment_or_a_low_score(words):
    assert score_of(sound_of(FILE), words) < -20


@pytest.mark.parametrize("part", [slice(4), slice(4, None), slice(-4)])
def test_a_text_of_which_words_are_missing_has_a_low_score(part):
    """What is spoken besides does not pass for pauses."""
    for file in SENTENCES:
        assert score_of(sound_of(file), words_of(file)[part]) < GOOD, file


def test_what_cannot_be_aligned_says_what_it_was():
    with pytest.raises(AlignmentError, match="the recording does not fit 'turn left at the shoe"):
        align(sound_of(FILE), words_of(OTHER))
    with pytest.raises(AlignmentError, match="the recording does not fit 'hello'"):
        align(np.zeros(0, np.float32), ["hello"])


@pytest.mark.parametrize("words", [[], [",", "."]])
def test_no_words_are_refused(words):
    with pytest.raises(ValueError, match="0 words to align; needed: at least 1"):
        align(sound_of(FILE), words)


def test_a_word_without_a_pronunciation_is_named():
    with pytest.raises(ValueError, match="cannot pronounce 'хлеб'"):
        align(sound_of(FILE), ["хлеб"])


def test_breaks_are_no_words():
    words = words_of("009.ogg")
    with_breaks = [*words[:4], ",", *words[4:], "."]
    assert align(sound_of("009.ogg"), with_breaks) == align(sound_of("009.ogg"), words)


def test_the_pronunciation_that_fits_best_is_taken():
    found = align(sound_of(FILE), words_of(FILE))
    articles = [phones_of(found, i) for i, word in enumerate(found.words) if word.name == "the"]
    assert articles == [["DH", "AH"], ["DH", "IY"]], "the science, the office"


def test_own_pronunciations_go_before_the_dictionary(tmp_path):
    lexicon = own(tmp_path, "rather\tR UW DH ER\nthe\tDH AH\n")
    found = align(sound_of(FILE), words_of(FILE), lexicon)
    assert [word.name for word in found.words] == words_of(FILE)
    assert phones_of(found, 2) == ["R", "UW", "DH", "ER"]
    # The first of the dictionary's, alone: its others are not in this lexicon.
    assert [phones_of(found, i) for i in (4, 9)] == [["DH", "AH"]] * 2


def test_of_several_own_pronunciations_the_one_that_fits_is_taken(tmp_path):
    lexicon = own(tmp_path, "rather\tZ UW ZH\nrather\tR AE DH ER\n")
    found = align(sound_of(FILE), words_of(FILE), lexicon)
    assert phones_of(found, 2) == ["R", "AE", "DH", "ER"]
    assert found.words[2].name == "rather"


def test_a_word_of_another_alphabet_is_aligned_with_an_own_pronunciation(tmp_path):
    lexicon = own(tmp_path, "резер\tR AE DH ER\n")
    words = words_of(FILE)
    words[2] = "резер"
    found = align(sound_of(FILE), words, lexicon)
    assert found.words[2].name == "резер"
    assert found.phones == align(sound_of(FILE), words_of(FILE)).phones


def test_an_alignment_does_not_depend_on_what_was_aligned_before(tmp_path):
    """Neither on recordings, nor on texts that did not fit, nor on other lexicons."""
    sound, words = sound_of(FILE), words_of(FILE)
    one = align(sound, words)
    other = align(sound_of("009.ogg"), words_of("009.ogg"))
    with pytest.raises(AlignmentError):
        align(sound_of("009.ogg"), words)
    assert align(sound, words) == one
    strange = own(tmp_path, "rather\tR UW DH ER\n")
    stranger = own(tmp_path, "rather\tR IY DH ER\n")
    vowels = [phones_of(align(sound, words, lexicon), 2)[1] for lexicon in (strange, stranger)]
    assert vowels == ["UW", "IY"]
    assert align(sound, words) == one
    assert align(sound_of("009.ogg"), words_of("009.ogg")) == other


def test_the_right_text_fits_and_another_is_named():
    others = [words_of(file) for file in sorted(texts())[2:6]]
    assert misfit(sound_of(FILE), words_of(FILE), others) == ""
    reason = misfit(sound_of(FILE), ["the"], others)
    assert reason.startswith("score -4")
    assert f"needed: {GOOD:g}, or {WORST:g} and 5 above the best of 4 other texts" in reason


def test_a_doubtful_score_is_compared_with_those_of_other_texts():
    doubtful, sound = (GOOD + WORST) / 2, sound_of(FILE)
    right, wrong = words_of(FILE), words_of(OTHER)
    assert misfit(sound, right, [wrong], score=doubtful) == ""
    assert misfit(sound, right, [], score=doubtful) == ""
    reason = misfit(sound, wrong, [["the"], right], score=doubtful)
    assert reason.startswith(f"score {doubtful:.1f} with its text, -9.")
    assert misfit(sound, right, [], score=WORST - 1) != ""
    assert misfit(sound, right, [right], score=GOOD) == "", "a good one is not compared"


def test_an_alignment_goes_through_json():
    found = Alignment((Interval("AH", 0.0, 0.5), Interval(SILENCE, 0.5, 1.0)), (), -9.0)
    values = json.loads(json.dumps(asdict(found)))
    lists = {name: [list(i.values()) for i in values[name]] for name in ("phones", "words")}
    assert Alignment(**lists, score=values["score"]) == found
