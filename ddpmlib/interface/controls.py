"""What the panels of the notebooks share: controls, and a line of status."""

import contextlib
import html
from collections.abc import Callable, Iterable, Iterator

import ipywidgets

from ddpmlib.diffusion.ddpm import DDPM
from ddpmlib.models.condition import ClassCondition, ConditionSpec, TextCondition


def is_live() -> bool:
    """Whether a person runs the notebook, who can click.

    Papermill and nbconvert allow no input in their requests. Widgets would be lost in what they
    leave, so everything has a plain form too.
    """
    from IPython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    message = kernel.get_parent("shell") if kernel else {}
    return bool(message.get("content", {}).get("allow_stdin"))


def control(kind, label: str, **options) -> ipywidgets.Widget:
    """A control with its label before it."""
    return kind(description=label, style={"description_width": "8.5em"}, **options)


def choice(label: str, options: Iterable, **more) -> ipywidgets.Dropdown:
    """A list to choose from."""
    return control(ipywidgets.Dropdown, label, options=list(options), **more)


def slider(label: str, value, low: float, high: float, step: float = 0.1, **options):
    """A slider; for two values, a range."""
    kind = ipywidgets.FloatRangeSlider if isinstance(value, tuple) else ipywidgets.FloatSlider
    return control(kind, label, value=value, min=low, max=high, step=step, **options)


def button(label: str, action: Callable[[], None], **options) -> ipywidgets.Button:
    """A button, and what a click does."""
    made = ipywidgets.Button(description=label, **options)
    made.on_click(lambda _: action())
    return made


def row(*children: ipywidgets.Widget) -> ipywidgets.HBox:
    """Side by side, continued below where there is no room."""
    return ipywidgets.HBox(children, layout={"flex_flow": "row wrap"})


class Status(ipywidgets.HTML):
    """A line of text: what is being done, or what went wrong."""

    def __init__(self):
        super().__init__()
        self.show("")

    def show(self, text: str) -> None:
        """Replace the text."""
        self.text, self.value = text, f'<span role="status">{html.escape(text)}</span>'

    @contextlib.contextmanager
    def busy(self, text: str, *controls: ipywidgets.Widget) -> Iterator[None]:
        """Show a text and disable controls meanwhile; then show the error, if there was one.

        The traceback of a click would only be in a log. A text that is shown inside, stays.
        """
        self.show(text)
        for each in controls:
            each.disabled = True
        try:
            yield
            if self.text == text:
                self.show("")
        except Exception as error:
            expected = isinstance(error, ValueError | OSError)
            self.show(str(error) if expected else f"{type(error).__name__}: {error}")
        finally:
            for each in controls:
                each.disabled = False


class ConditionControl(ipywidgets.HBox):
    """A choice of classes, a text, or nothing for a model with no condition of these kinds."""

    NONE = ("none", "")  # with None for a value, ipywidgets would choose no option at all

    def __init__(self, spec: ConditionSpec | None = None, value: str | None = None):
        super().__init__()
        self.set_spec(spec, value)

    def set_spec(self, spec: ConditionSpec | None, value: str | None = None) -> None:
        """Show the control for such conditions."""
        self.children, value = (), value or ""
        if isinstance(spec, ClassCondition):
            names = [self.NONE, *((name, name) for name in spec.names)]
            self.children = [choice("condition", names, value=value)]
        elif isinstance(spec, TextCondition):
            text = control(ipywidgets.Text, "condition", placeholder="none", value=value)
            self.children = [text]

    @property
    def value(self) -> str | None:
        """The condition; None for the null condition."""
        if not self.children:
            return None
        [part] = self.children
        return (part.value.strip() if isinstance(part, ipywidgets.Text) else part.value) or None


class SamplingPanel:
    """Controls of every sampling: steps, guidance scale, seed, condition; progress and status."""

    def __init__(self, model: DDPM, num_steps: int, guidance_scale: float, seed=0, condition=None):
        steps = {"value": num_steps, "min": 1, "max": 10_000}  # `DDPM.sample` checks the model's
        self.num_steps = control(ipywidgets.BoundedIntText, "sampling steps", **steps)
        ends = min(0, guidance_scale), max(5, guidance_scale)
        self.guidance_scale = slider("guidance scale", guidance_scale, *ends)
        self.seed = control(ipywidgets.IntText, "seed", value=seed)
        self.condition = ConditionControl(model.condition_spec, condition)
        self.progress = ipywidgets.IntProgress(description="steps", min=0, max=1)
        self.status = Status()

    def settings(self) -> dict:
        """Arguments of `DDPM.sample`, and fields of `SampleProvenance`."""
        names = "num_steps", "guidance_scale", "seed", "condition"
        return {name: getattr(self, name).value for name in names}

    @contextlib.contextmanager
    def sampling(self, *buttons: ipywidgets.Button) -> Iterator[None]:
        """Show that samples are generated, with the buttons disabled."""
        self.progress.max, self.progress.value = self.num_steps.value, 0
        with self.status.busy("sampling ...", *buttons):
            yield
            self.progress.value = self.progress.max  # an edit takes fewer steps

    def move_bar(self, step: int, x_t, x_0) -> None:
        """Callback of a sampler."""
        self.progress.value = step + 1
