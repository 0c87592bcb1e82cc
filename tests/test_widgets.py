"""What the interactive parts share: who is there to click, and a line that says what goes on."""

from types import SimpleNamespace

import ipywidgets
import pytest

from ddpmlib import widgets
from ddpmlib.widgets import Status


@pytest.mark.parametrize(
    ("content", "live"),
    [({"allow_stdin": True}, True), ({"allow_stdin": False}, False), ({}, False)],
)
def test_live_is_who_can_be_asked(monkeypatch, content, live):
    kernel = SimpleNamespace(get_parent=lambda channel: {"content": content})
    monkeypatch.setattr("IPython.get_ipython", lambda: SimpleNamespace(kernel=kernel))
    assert widgets.is_live() is live


def test_a_script_is_not_live():
    assert not widgets.is_live()


def test_controls_are_out_of_reach_while_something_is_done():
    status, button = Status(), ipywidgets.Button()
    with status.at_work("working ...", button):
        assert (status.said, button.disabled) == ("working ...", True)
    assert (status.said, button.disabled) == ("", False)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("steps is 0; needed: 1"), "steps is 0; needed: 1"),
        (FileNotFoundError("a does not exist"), "a does not exist"),
        (KeyError("x"), "KeyError: 'x'"),
    ],
)
def test_what_goes_wrong_is_said_and_controls_come_back(error, told):
    status, button = Status(), ipywidgets.Button()
    with status.at_work("working ...", button):
        raise error
    assert (status.said, button.disabled) == (told, False)


def test_what_is_said_inside_stays_and_is_escaped():
    status = Status()
    with status.at_work("working ..."):
        status.say("kept <a>")
    assert status.said == "kept <a>"
    assert "<a>" not in status.value
