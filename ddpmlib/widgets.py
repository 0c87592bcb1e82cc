"""What the interactive parts of the notebooks share."""

import contextlib
import html
from collections.abc import Iterator

import ipywidgets

from ddpmlib.condition import Kind, Labels, Tokens


def is_live() -> bool:
    """Whether somebody sits before the notebook who can answer.

    Papermill and nbconvert say of each cell that there is no one to ask; a widget would be lost in
    what they leave, so the plain form of everything is shown there.
    """
    from IPython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    message = kernel.get_parent("shell") if kernel else {}
    return bool(message.get("content", {}).get("allow_stdin"))


class Status(ipywidgets.HTML):
    """A line that says what is going on."""

    def __init__(self, text: str = ""):
        super().__init__()
        self.say(text)

    def say(self, text: str) -> None:
        """Put a sentence in place of the last one."""
        self.said = text
        self.value = f'<span role="status">{html.escape(text)}</span>'

    @contextlib.contextmanager
    def at_work(self, text: str, *controls: ipywidgets.Widget) -> Iterator[None]:
        """Say what is being done, with the controls out of reach; and what went wrong, if it did.

        An error of a click would only be seen in a log. What is said inside, stays.
        """
        self.say(text)
        for control in controls:
            control.disabled = True
        try:
            yield
            if self.said == text:
                self.say("")
        except Exception as error:
            expected = isinstance(error, ValueError | OSError)
            self.say(str(error) if expected else f"{type(error).__name__}: {error}")
        finally:
            for control in controls:
                control.disabled = False


class Saying(ipywidgets.HBox):
    """What a model is told: a choice of labels, a text, or no control where it cannot be told."""

    NOTHING = ("nothing", "")  # with None for a value, ipywidgets would choose no option at all

    def __init__(self, kind: Kind | None = None, value: str | None = None):
        self.label = control(ipywidgets.Dropdown, "say", options=[self.NOTHING])
        self.text = control(ipywidgets.Text, "say", placeholder="nothing")
        super().__init__([self.label, self.text])
        self.offer(kind)
        if value is not None:
            (self.label if isinstance(kind, Labels) else self.text).value = value

    def offer(self, kind: Kind | None) -> None:
        """Show what can be said to a model of this kind."""
        self.kind = kind
        names = kind.names if isinstance(kind, Labels) else ()
        self.label.options = [self.NOTHING, *((name, name) for name in names)]
        for control, wanted in (self.label, Labels), (self.text, Tokens):
            control.layout.display = None if isinstance(kind, wanted) else "none"

    @property
    def value(self) -> str | None:
        """What is said; None for nothing."""
        said = {Labels: self.label.value, Tokens: self.text.value.strip()}
        return said.get(type(self.kind)) or None


def control(kind, description: str, width: str = "5em", **options) -> ipywidgets.Widget:
    """A control with its description, which is that wide, before it."""
    return kind(description=description, style={"description_width": width}, **options)


def row(*children: ipywidgets.Widget) -> ipywidgets.HBox:
    """Side by side, going on below where there is no room."""
    return ipywidgets.HBox(children, layout={"flex_flow": "row wrap"})
