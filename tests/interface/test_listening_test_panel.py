"""The panel of the listening test without a browser."""

import re

import numpy as np
import pytest
from pages import controls_in, sounds_in

from ddpmlib.interface import listening_test_panel
from ddpmlib.interface.listening_test_panel import ListeningTestPanel, open_listening_test
from ddpmlib.metrics.listening_test import (
    PREFERENCE,
    QUESTIONS,
    SPEECH,
    ListeningTest,
    read_answers,
)

RATE = 8000
CLIPS = {  # three kinds of three tones each, all of different pitch
    kind: [np.sin(np.arange(4000) * (0.1 + 0.2 * i + 0.01 * j)) for j in range(3)]
    for i, kind in enumerate(("real", "made", "noise"))
}


@pytest.fixture
def panel(tmp_path, monkeypatch) -> ListeningTestPanel:
    monkeypatch.setattr(listening_test_panel, "SOONEST", 0)
    return ListeningTestPanel(CLIPS, RATE, tmp_path)


def begin(panel: ListeningTestPanel, question: str = SPEECH) -> None:
    panel.listener.value, panel.question.value = "Ada", question
    panel.begin.click()


def text(widget) -> str:
    """All that is in the page but the sounds themselves: labels and names of files too."""
    return re.sub(r'src="[^"]*"', "", widget.value)


@pytest.mark.parametrize("question", QUESTIONS)
def test_nothing_shows_the_kind_before_the_end(panel, question):
    begin(panel, question)
    count = len(panel.test.trials)
    for number in range(1, count + 1):
        assert f"{number} of {count}" in panel.page.value
        assert not any(kind in text(panel.page) for kind in CLIPS)
        assert panel.page.value.count("<audio ") == (2 if question == PREFERENCE else 1)
        panel.buttons.children[number % 2].click()
    assert all(kind in text(panel.page) for kind in CLIPS)
    assert not panel.buttons.children
    assert "your answers are in" in panel.status.text


def test_every_trial_plays_another_sound(panel):
    begin(panel)
    sounds = []
    for _ in range(len(panel.test.trials)):
        sounds.append(sounds_in(panel.page.value)[0].tobytes())
        panel.buttons.children[0].click()
    assert len(set(sounds)) == 9


def test_the_second_click_of_a_double_click_is_no_answer(panel, monkeypatch):
    begin(panel)
    monkeypatch.setattr(listening_test_panel, "SOONEST", 60)
    panel.buttons.children[0].click()
    assert not panel.test.answers


def test_the_second_click_on_the_last_answer_changes_nothing(panel):
    begin(panel)
    last = panel.buttons.children[0]
    for _ in range(10):  # one more than there are trials
        last.click()
    assert "your answers are in" in panel.status.text
    assert len(panel.test.answers) == len(read_answers(panel.test.path)) == 9


def test_a_name_is_needed(panel):
    panel.begin.click()
    assert "listener is ''; needed: a name" in panel.status.text
    assert not panel.buttons.children


def test_where_nobody_can_answer_earlier_results_are_shown(data_folder):
    unfinished = "nobody has finished this test yet"
    assert open_listening_test(CLIPS, RATE, "a").data.count(unfinished) == 3
    folder = data_folder / listening_test_panel.FOLDER / "a"
    test = ListeningTest(CLIPS, RATE, SPEECH, "Ada", folder)
    while not test.is_over:
        test.answer("speech")
    page = open_listening_test(CLIPS, RATE, "a").data
    assert page.count(unfinished) == 2
    assert f"{SPEECH}, one listener" in page
    assert "<td>real</td><td>1.00 (" in page
    assert open_listening_test(CLIPS, RATE, "b").data.count(unfinished) == 3


def test_every_control_has_a_label(panel):
    begin(panel)
    assert all(control.description for control in controls_in(panel.widget))
