"""The booth without a browser."""

import re

import pytest
from test_blind import CLIPS, RATE, take
from test_cards import sounds_in

from ddpmlib import booth
from ddpmlib.blind import PREFERENCE, QUESTIONS, SPEECH, read_answers
from ddpmlib.booth import Booth


@pytest.fixture
def seat(tmp_path, monkeypatch) -> Booth:
    monkeypatch.setattr(booth, "SOONEST", 0)
    return Booth(CLIPS, RATE, tmp_path)


def text(widget) -> str:
    """All that is in the page but the sounds themselves: labels and names of files too."""
    return re.sub(r'src="[^"]*"', "", widget.value)


@pytest.mark.parametrize("question", QUESTIONS)
def test_nothing_tells_the_kind_before_the_end(seat, question):
    seat.listener.value, seat.question.value = "Ada", question
    seat.begin.click()
    count = len(seat.test.trials)
    for number in range(1, count + 1):
        assert f"{number} of {count}" in seat.page.value
        assert not any(kind in text(seat.page) for kind in CLIPS)
        assert seat.page.value.count("<audio ") == (2 if question == PREFERENCE else 1)
        seat.buttons.children[number % 2].click()
    assert all(kind in text(seat.page) for kind in CLIPS)
    assert not seat.buttons.children
    assert "your answers are in" in seat.status.said


def test_every_trial_plays_another_sound(seat):
    seat.listener.value = "Ada"
    seat.begin.click()
    heard = []
    for _ in range(len(seat.test.trials)):
        heard.append(sounds_in(seat.page.value)[0].tobytes())
        seat.buttons.children[0].click()
    assert len(set(heard)) == 9


def test_the_second_click_of_a_double_click_is_no_answer(seat, monkeypatch):
    seat.listener.value = "Ada"
    seat.begin.click()
    monkeypatch.setattr(booth, "SOONEST", 60)
    seat.buttons.children[0].click()
    assert not seat.test.answers


def test_the_second_click_on_the_last_answer_changes_nothing(seat):
    seat.listener.value = "Ada"
    seat.begin.click()
    last = seat.buttons.children[0]
    for _ in range(10):  # one more than there are trials
        last.click()
    assert "your answers are in" in seat.status.said
    assert len(seat.test.answers) == len(read_answers(seat.test.path)) == 9


def test_a_name_is_needed(seat):
    seat.begin.click()
    assert "listener is ''; needed: a name" in seat.status.said
    assert not seat.buttons.children


def test_without_anybody_to_answer_earlier_results_are_shown(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "README.md").touch()
    monkeypatch.chdir(tmp_path)
    page = booth.listening_test(CLIPS, RATE, "a").data
    assert page.count("nobody has finished this test yet") == 3
    take(tmp_path / "data" / booth.FOLDER / "a", question=SPEECH)
    page = booth.listening_test(CLIPS, RATE, "a").data
    assert page.count("nobody has finished this test yet") == 2
    assert f"{SPEECH}, one listener" in page
    assert booth.listening_test(CLIPS, RATE, "b").data.count("nobody has finished") == 3
    assert "<td>real</td><td>1.00 (" in page
