"""A table for retouching real speech: vary a sentence, or cut a piece out and let it be filled."""

import ipywidgets
import numpy as np

from ddpmlib.cards import cards
from ddpmlib.ddpm import DDPM
from ddpmlib.editing import Edit
from ddpmlib.spectrogram import image_to_audio
from ddpmlib.widgets import Saying, Status, control, is_live, row

SAMPLER = "ddpm"  # mends best what does not fit; see `editing`


def open_retouch(
    model: DDPM,
    sentences: dict[str, np.ndarray],
    made: dict[str, np.ndarray],
    steps: int,
    guidance: float,
):
    """The table, with sentences to choose from; without anybody to click, what was made, as cards.

    Args:
        sentences: name -> (1, n_mels, n_frames), each as wide as the model's pictures.
        made: pictures to show where nobody can click.
        steps, guidance: to begin with.
    """
    if is_live():
        return Retouch(model, sentences, steps, guidance).widget
    pictures = list(made.values())
    sounds = [image_to_audio(picture, model.params) for picture in pictures]
    return cards(pictures, sounds, model.params, list(made))


def without(params, begin: float, end: float) -> np.ndarray:
    """What to keep (n_frames,) when the seconds from begin to end are cut out.

    Raises:
        ValueError: they lie outside of a picture, or no frame lies between them.
    """
    at = (np.arange(params.n_frames) + 0.5) * params.hop_length / params.sample_rate
    keep = (at < begin) | (at >= end)
    if not 0 <= begin < end <= params.seconds or keep.all():
        frame = params.hop_length / params.sample_rate
        raise ValueError(
            f"cut from {begin:g} to {end:g} s; needed: within 0 to {params.seconds:g}, and at "
            f"least {frame:g} long"
        )
    return keep


class Retouch:
    """The controls of `open_retouch`; `widget` shows them."""

    def __init__(self, model: DDPM, sentences: dict[str, np.ndarray], steps: int, guidance: float):
        self.model, self.sentences = model, sentences
        seconds = model.params.seconds
        self.sentence = control(ipywidgets.Dropdown, "sentence", options=list(sentences))
        self.strength = control(
            ipywidgets.FloatSlider, "strength", value=0.5, min=0.05, max=1, step=0.05
        )
        self.cut = control(
            ipywidgets.FloatRangeSlider,
            "cut out",
            value=(round(0.4 * seconds, 1), round(0.6 * seconds, 1)),
            min=0,
            max=seconds,
            step=0.05,
            layout={"width": "24em"},
        )
        self.saying = Saying(model.kind)
        self.guidance = control(
            ipywidgets.FloatSlider, "guidance", value=guidance, min=0, max=max(5, guidance)
        )
        most = model.noise_steps
        looks = {"value": min(steps, most), "min": 1, "max": most}
        self.steps = control(ipywidgets.BoundedIntText, "looks", **looks)
        self.seed = control(ipywidgets.IntText, "seed", value=0)
        self.vary = ipywidgets.Button(description="vary", icon="random", button_style="primary")
        self.fill = ipywidgets.Button(description="fill", icon="eraser", button_style="primary")
        self.progress = ipywidgets.IntProgress(description="looks", min=0, max=1)
        self.status, self.page = Status(), ipywidgets.HTML()
        self.vary.on_click(lambda _: self.make(cut=False))
        self.fill.on_click(lambda _: self.make(cut=True))
        self.sentence.observe(lambda _: self.show({}), "value")
        self.widget = ipywidgets.VBox(
            [
                row(self.sentence, self.saying, self.guidance),
                row(self.steps, self.seed, self.progress),
                row(self.strength, self.vary),
                row(self.cut, self.fill),
                self.status,
                self.page,
            ]
        )
        self.show({})

    @property
    def picture(self) -> np.ndarray:
        """The chosen sentence."""
        return self.sentences[self.sentence.value]

    def make(self, cut: bool) -> None:
        """Vary the sentence, or fill what is cut out of it."""
        with self.status.at_work("asking the network ...", self.vary, self.fill):
            begin, end = self.cut.value
            keep = without(self.model.params, begin, end) if cut else None
            edit = Edit(self.picture, 1.0 if cut else self.strength.value, keep)
            self.progress.max, self.progress.value = self.steps.value, 0
            [made] = self.model.sample(
                1,
                SAMPLER,
                self.steps.value,
                self.seed.value,
                lambda look, x_t, x_0: setattr(self.progress, "value", look + 1),
                guidance=self.guidance.value,
                condition=self.saying.value,
                edit=edit,
            )
            self.progress.value = self.progress.max
            what = f"filled from {begin:.2f} to {end:.2f} s" if cut else f"strength {edit.strength}"
            self.show({what: made})

    def show(self, made: dict[str, np.ndarray]) -> None:
        """The sentence, and what was made of it, under one gain."""
        shown = {self.sentence.value: self.picture} | made
        sounds = [image_to_audio(picture, self.model.params) for picture in shown.values()]
        page = cards(list(shown.values()), sounds, self.model.params, list(shown))
        self.page.value = page.data
