"""What the panels share: who is there to click, a line of status, a condition."""

from types import SimpleNamespace

import ipywidgets
import pytest

from ddpmlib.interface import controls
from ddpmlib.interface.controls import ConditionControl, Status
from ddpmlib.models.condition import ClassCondition, EmbeddingCondition, TextCondition


@pytest.mark.parametrize(
    ("content", "live"),
    [({"allow_stdin": True}, True), ({"allow_stdin": False}, False), ({}, False)],
)
def test_live_is_where_input_is_allowed(monkeypatch, content, live):
    kernel = SimpleNamespace(get_parent=lambda channel: {"content": content})
    monkeypatch.setattr("IPython.get_ipython", lambda: SimpleNamespace(kernel=kernel))
    assert controls.is_live() is live


def test_a_script_is_not_live():
    assert not controls.is_live()


def test_controls_are_disabled_while_busy():
    status, button = Status(), ipywidgets.Button()
    with status.busy("working ...", button):
        assert (status.text, button.disabled) == ("working ...", True)
    assert (status.text, button.disabled) == ("", False)


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (ValueError("num_steps is 0; needed: 1"), "num_steps is 0; needed: 1"),
        (FileNotFoundError("a does not exist"), "a does not exist"),
        (KeyError("x"), "KeyError: 'x'"),
    ],
)
def test_an_error_is_shown_and_controls_come_back(error, shown):
    status, button = Status(), ipywidgets.Button()
    with status.busy("working ...", button):
        raise error
    assert (status.text, button.disabled) == (shown, False)


def test_a_text_shown_while_busy_stays_and_is_escaped():
    status = Status()
    with status.busy("working ..."):
        status.show("saved <a>")
    assert status.text == "saved <a>"
    assert "<a>" not in status.value


@pytest.mark.parametrize(
    ("spec", "kinds", "value"),
    [
        (None, [], None),
        (EmbeddingCondition(3), [], None),
        (ClassCondition(2, ("ann", "bob")), [ipywidgets.Dropdown], "bob"),
        (TextCondition(5, "abc"), [ipywidgets.Text], "abc"),
    ],
)
def test_a_condition_has_the_control_of_its_kind(spec, kinds, value):
    control = ConditionControl(spec, value)
    assert [type(part) for part in control.children] == kinds
    assert control.value == value
    control.set_spec(spec)
    assert control.value is None
