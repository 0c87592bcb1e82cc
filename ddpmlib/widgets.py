"""What the interactive parts of the notebooks share."""

import contextlib
import html
from collections.abc import Iterator

import ipywidgets


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


def row(*children: ipywidgets.Widget) -> ipywidgets.HBox:
    """Side by side, going on below where there is no room."""
    return ipywidgets.HBox(children, layout={"flex_flow": "row wrap"})
