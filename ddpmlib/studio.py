"""A studio for a trained model: choose, invent, look, listen, follow the denoising, morph, keep."""

from dataclasses import replace

import ipywidgets
import numpy as np

from ddpmlib import recipe
from ddpmlib.cards import card, cards, gain, picture_svg
from ddpmlib.ddpm import DDPM
from ddpmlib.diffusion import SAMPLERS
from ddpmlib.recipe import Recipe
from ddpmlib.spectrogram import image_to_audio
from ddpmlib.widgets import Status, is_live, row

MOST = 16  # pictures made together
IDEA, NOISY = "the network's idea", "the noisy picture"
WIDE = {"description_width": "5em"}


def open_studio(
    model: DDPM, made_by: Recipe, pictures: np.ndarray, sounds: list[np.ndarray], device: str
):
    """The studio, with pictures to begin with; without anybody to click, these as cards.

    Args:
        made_by: what the pictures were made by.
        pictures: (n, 1, n_mels, frames), and the sound of each.
        device: for the models that are chosen there.
    """
    if is_live():
        studio = Studio(model, made_by, device)
        studio.show(pictures, sounds)
        return studio.widget
    return cards(pictures, sounds, model.params, [_title(made_by, i) for i in range(len(pictures))])


class Studio:
    """The controls of `open_studio`; `widget` shows them."""

    def __init__(self, model: DDPM, made_by: Recipe, device: str):
        self.models, self.device, self.made_by = {made_by.run: model}, device, made_by
        self.looks: list[dict[str, np.ndarray]] = []  # x_0 as predicted, and x_t, of all pictures
        options = sorted({*recipe.runs(), made_by.run})
        self.run = _control(ipywidgets.Dropdown, "run", made_by.run, options=options)
        self.sampler = _control(
            ipywidgets.Dropdown, "sampler", made_by.sampler, options=list(SAMPLERS)
        )
        self.steps = _control(ipywidgets.BoundedIntText, "looks", made_by.steps, min=1, max=1000)
        self.guidance = _control(
            ipywidgets.FloatSlider, "guidance", made_by.guidance, min=1, max=4, step=0.1
        )
        self.seed = _control(ipywidgets.BoundedIntText, "seed", made_by.seed, min=0, max=2**32 - 1)
        self.count = _control(
            ipywidgets.IntSlider, "number", min(MOST, made_by.count), min=1, max=MOST
        )
        usual = model.params.seconds
        self.seconds = _control(
            ipywidgets.FloatSlider, "seconds", made_by.seconds or usual, min=1, max=30, step=0.1
        )
        self.usual = _control(ipywidgets.Checkbox, "as long as learned", made_by.seconds is None)
        self.towards = _control(
            ipywidgets.BoundedIntText, "to seed", made_by.seed + 1, min=0, max=2**32 - 1
        )
        self.invent = ipywidgets.Button(description="invent", icon="magic", button_style="primary")
        self.morph = ipywidgets.Button(description="morph", icon="random")
        self.progress = ipywidgets.IntProgress(description="looks", min=0, max=1)
        self.status, self.grid = Status(), ipywidgets.GridBox()
        self.grid.layout.grid_template_columns = "repeat(auto-fill, minmax(20em, 1fr))"
        self.which = _control(ipywidgets.Dropdown, "denoising of", None, options=[])
        self.which.style.description_width = "8em"
        self.look = _control(ipywidgets.IntSlider, "look", 1, min=1, max=1)
        self.look.continuous_update = False
        self.seen = _control(ipywidgets.ToggleButtons, "show", IDEA, options=[IDEA, NOISY])
        self.stage = ipywidgets.HTML(layout={"max_width": "30em"})
        self.invent.on_click(lambda _: self.make(towards=None))
        self.morph.on_click(lambda _: self.make(towards=self.towards.value))
        for control in (self.which, self.look, self.seen):
            control.observe(self.show_stage, "value")
        self.widget = ipywidgets.VBox(
            [
                row(self.run, self.sampler, self.steps, self.guidance),
                row(self.seed, self.count, self.seconds, self.usual),
                row(self.invent, self.towards, self.morph, self.progress),
                self.status,
                self.grid,
                row(self.which, self.look, self.seen),
                self.stage,
            ]
        )

    def make(self, towards: int | None) -> None:
        """Invent what the controls say, alone or on the way from one seed to another."""
        with self.status.at_work("asking the network ...", self.invent, self.morph):
            run = self.run.value
            if run not in self.models:
                self.models[run] = DDPM.load(recipe.run_folder(run), self.device)
            model, self.looks = self.models[run], []
            self.made_by = Recipe(
                run=run,
                weights=recipe.weights_hash(run),
                sampler=self.sampler.value,
                steps=self.steps.value,
                guidance=self.guidance.value,
                seed=self.seed.value,
                count=self.count.value,
                seconds=None if self.usual.value else self.seconds.value,
                towards=towards,
            )
            self.progress.max, self.progress.value = self.steps.value, 0
            pictures = recipe.invent(model, self.made_by, self.remember)
            self.show(pictures, [image_to_audio(picture, model.params) for picture in pictures])

    def remember(self, look: int, x_t, x_0) -> None:
        """Callback of the sampler."""
        kept = {IDEA: x_0, NOISY: x_t}
        self.looks.append({n: x.cpu().numpy().astype(np.float16) for n, x in kept.items()})
        self.progress.value = look + 1

    def show(self, pictures: np.ndarray, sounds: list[np.ndarray]) -> None:
        """A card for each, with a button that keeps it."""
        params, level = self.models[self.made_by.run].params, gain(sounds)
        boxes = []
        for index, (picture, sound) in enumerate(zip(pictures, sounds, strict=True)):
            title = _title(self.made_by, index)
            drawn = picture_svg(picture, params, title)
            page = ipywidgets.HTML(card(title, drawn, level * sound, params.sample_rate))
            button = ipywidgets.Button(
                description=f"keep {index}", icon="heart", tooltip=f"Keep {title}, with its recipe"
            )
            kept = replace(self.made_by, index=index), picture, sound, params.sample_rate
            button.on_click(lambda _, kept=kept: self.keep(*kept))
            boxes.append(ipywidgets.VBox([page, button], layout={"min_width": "0"}))
        self.grid.children = boxes
        self.frames = pictures.shape[-1]
        self.look.max = max(1, len(self.looks))
        self.look.value = self.look.max
        self.which.options = range(len(pictures)) if self.looks else []
        self.which.value = 0 if self.looks else None
        self.show_stage()

    def show_stage(self, _=None) -> None:
        """What there was after some looks, and its sound."""
        if not self.looks or self.which.value is None:
            self.stage.value = "Invent something, then follow here how it came out of the noise."
            return
        params, look = self.models[self.made_by.run].params, min(self.look.value, len(self.looks))
        picture = self.looks[look - 1][self.seen.value][self.which.value]
        picture = picture[..., : self.frames].astype(np.float32)
        sound, title = image_to_audio(picture, params), f"{self.which.value} after look {look}"
        drawn = picture_svg(picture, params, title)
        self.stage.value = card(title, drawn, gain([sound]) * sound, params.sample_rate)

    def keep(self, made_by: Recipe, picture, sound, sample_rate: int) -> None:
        """Write a favourite."""
        with self.status.at_work("keeping ..."):
            path = recipe.keep(made_by, picture, sound, sample_rate)
            self.status.say(f"kept: {path}, with .wav and .png beside it")


def _title(made_by: Recipe, index: int) -> str:
    if made_by.towards is None:
        return f"{index} of seed {made_by.seed}"
    return f"{index} of {made_by.count - 1} from seed {made_by.seed} to {made_by.towards}"


def _control(kind, description: str, value, **options) -> ipywidgets.Widget:
    return kind(description=description, value=value, style=WIDE, **options)
