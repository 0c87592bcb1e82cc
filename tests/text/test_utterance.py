"""When the phones of a new sentence are due: speed, pauses, and parts of sentences."""

import json
from dataclasses import asdict
from itertools import pairwise

import numpy as np
import pytest

from ddpmlib.text.alignment import Alignment, Interval
from ddpmlib.text.normalisation import spoken_words
from ddpmlib.text.pronunciation import Lexicon
from ddpmlib.text.utterance import EDGE, INSIDE, SPEEDS, edges, part_of, replaced, timed

WORDS = ["the", "cat", ",", "a", "dog", "."]


class Clock:
    """A predictor by which every phone takes as long, with pauses of another length."""

    def __init__(self, seconds: float = 0.1, pause: float = 0.01):
        self.seconds, self.pause, self.edges = seconds, pause, None

    def predict(self, phones, edges):
        self.edges = edges
        return np.array([self.pause if p == "SIL" else self.seconds for p in phones], np.float32)


def spoken(words=WORDS, speed=1.0, **clock) -> Alignment:
    return timed(words, Clock(**clock), Lexicon(), speed)


def times(intervals) -> list[float]:
    return [t for i in intervals for t in (i.start, i.end)]


def test_phones_of_the_words_follow_each_other_between_pauses():
    found = spoken()
    assert " ".join(phone.name for phone in found.phones) == "SIL DH AH K AE T SIL AH D AO G SIL"
    assert found.phones[0].start == 0
    assert all(one.end == following.start for one, following in pairwise(found.phones))
    assert [word.name for word in found.words] == ["the", "cat", "a", "dog"]
    starts = np.cumsum([EDGE, 0.2, 0.3 + INSIDE, 0.1])
    assert [word.start for word in found.words] == pytest.approx(starts)
    assert [word.seconds for word in found.words] == pytest.approx([0.2, 0.3, 0.1, 0.3])
    assert found.phones[-1].end == pytest.approx(2 * EDGE + INSIDE + 0.9)


def test_a_pause_inside_is_as_long_as_predicted_but_never_shorter_than_one_is():
    for pause, seconds in ((0.01, INSIDE), (0.5, 0.5)):
        found = spoken(pause=pause)
        assert found.phones[6].seconds == pytest.approx(seconds)
        assert found.phones[0].seconds == pytest.approx(EDGE)
        assert found.phones[-1].seconds == pytest.approx(EDGE)


@pytest.mark.parametrize("speed", [SPEEDS[0], 0.8, 2.0, SPEEDS[1]])
def test_speed_scales_everything(speed):
    usual, found = spoken(), spoken(speed=speed)
    for name in ("phones", "words"):
        wanted = np.array(times(getattr(usual, name))) / speed
        assert times(getattr(found, name)) == pytest.approx(wanted)


@pytest.mark.parametrize("speed", [0, -1.0, 0.39, 2.51, float("nan"), float("inf")])
def test_a_speed_at_which_nothing_is_recognised_is_refused(speed):
    with pytest.raises(ValueError, match=f"speed is {speed}; needed: 0.4 to 2.5"):
        spoken(speed=speed)


def test_a_word_that_nothing_pronounces_is_named():
    with pytest.raises(ValueError, match="cannot pronounce 'хлеб'"):
        spoken(["the", "хлеб", "."])


def test_edges_are_those_of_words_and_no_pause_has_any():
    clock = Clock()
    timed(WORDS, clock, Lexicon())
    assert clock.edges[:, 0].tolist() == [0, 1, 0, 1, 0, 0, 0, 1, 1, 0, 0, 0]
    assert clock.edges[:, 1].tolist() == [0, 0, 1, 0, 0, 1, 0, 1, 0, 0, 1, 0]
    assert edges([("SIL",)]).tolist() == [[0, 0]]


def test_words_without_a_stop_end_with_a_pause_too():
    assert spoken(WORDS[:-1]) == spoken()


def test_times_are_plain_numbers_which_json_takes():
    found = spoken(spoken_words("Well, that took a very long time to say."))
    assert json.loads(json.dumps(asdict(found)))["words"][0]["name"] == "well"
    assert {type(t) for t in times(found.phones)} == {float}


def test_words_are_cut_out_with_their_phones():
    part = part_of(spoken(), 1, 2)
    assert [phone.name for phone in part.phones] == ["K", "AE", "T"]
    assert times(part.phones) == pytest.approx([0, 0.1, 0.1, 0.2, 0.2, 0.3])
    assert [word.name for word in part.words] == ["cat"]
    both = part_of(spoken(), 1, 3, pace=2.0)
    assert [phone.name for phone in both.phones] == ["K", "AE", "T", "SIL", "AH"]
    assert both.phones[-1].end == pytest.approx(2 * (0.4 + INSIDE))
    assert times(both.words) == pytest.approx([0, 0.6, 2 * (0.3 + INSIDE), 2 * (0.4 + INSIDE)])


@pytest.mark.parametrize(("index", "text"), [(0, "a"), (1, "elephant"), (3, "mouse")])
def test_another_word_moves_those_behind_it_by_the_difference(index, text):
    old = spoken()
    word = part_of(spoken(["the", text, "."]), 1, 2)
    found = replaced(old, index, word)
    difference = word.phones[-1].end - old.words[index].seconds
    assert [w.name for w in found.words] == [
        text if i == index else w.name for i, w in enumerate(old.words)
    ]
    for i, (before, after) in enumerate(zip(old.words, found.words, strict=True)):
        assert after.start == pytest.approx(before.start + difference * (i > index)), i
        assert after.end == pytest.approx(before.end + difference * (i >= index)), i
    assert found.phones[0].start == 0
    for one, following in pairwise(found.phones):
        assert one.end == pytest.approx(following.start)
    inside = [p.name for p in found.phones if p not in old.phones]
    assert inside[: len(word.phones)] == [p.name for p in word.phones]
    assert len(found.phones) == len(old.phones) - len(part_of(old, index, index + 1).phones) + len(
        word.phones
    )


def test_the_same_word_again_changes_nothing():
    old = spoken()
    same = replaced(old, 2, part_of(old, 2, 3))
    assert times(same.phones) == pytest.approx(times(old.phones))
    assert [p.name for p in same.phones] == [p.name for p in old.phones]


def test_several_words_come_in_place_of_one():
    two = part_of(spoken(["a", "cat", "."]), 0, 2)
    found = replaced(spoken(), 3, two)
    assert [word.name for word in found.words] == ["the", "cat", "a", "a", "cat"]
    assert isinstance(found.words[-1], Interval)
