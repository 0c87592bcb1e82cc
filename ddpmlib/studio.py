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
from ddpmlib.widgets import Saying, Status, control, is_live, row

MOST = 16  # pictures made together there, and shown; a page of more would be many megabytes
STAGES = 50  # of a denoising that are kept, at most
IDEA, NOISY = "the network's idea", "the noisy picture"


def open_studio(
    model: DDPM, made_by: Recipe, pictures: np.ndarray, sounds: list[np.ndarray], device: str
):
    """The studio, with pictures to begin with; without anybody to click, these as cards.

    Args:
        made_by: what the pictures were made by.
        pictures: (n, 1, n_mels, frames), and the sound of each; the first MOST are shown.
        device: for the models that are chosen there.
    """
    pictures, sounds = pictures[:MOST], sounds[:MOST]
    if is_live():
        studio = Studio(model, made_by, device)
        studio.show(pictures, sounds)
        return studio.widget
    return cards(pictures, sounds, model.params, [_title(made_by, i) for i in range(len(pictures))])


class Studio:
    """The controls of `open_studio`; `widget` shows them."""

    def __init__(self, model: DDPM, made_by: Recipe, device: str):
        # With their hash: the weights on the disk may be others by the time something is kept.
        self.models = {made_by.run: (model, made_by.weights)}
        self.device, self.made_by = device, made_by
        self.looks: dict[int, dict[str, np.ndarray]] = {}  # after some looks: x_0, x_t of all
        options = sorted({*recipe.runs(), made_by.run})
        self.run = control(ipywidgets.Dropdown, "run", value=made_by.run, options=options)
        self.sampler = control(
            ipywidgets.Dropdown, "sampler", value=made_by.sampler, options=list(SAMPLERS)
        )
        self.steps = control(
            ipywidgets.BoundedIntText, "looks", value=made_by.steps, min=1, max=10_000
        )
        self.guidance = control(
            ipywidgets.FloatSlider,
            "guidance",
            value=made_by.guidance,
            min=min(0, made_by.guidance),
            max=max(5, made_by.guidance),
            step=0.1,
        )
        self.seed = control(ipywidgets.IntText, "seed", value=made_by.seed)
        self.count = control(
            ipywidgets.IntSlider, "number", value=min(MOST, made_by.count), min=1, max=MOST
        )
        usual = model.params.seconds
        self.seconds = control(
            ipywidgets.FloatSlider,
            "seconds",
            value=made_by.seconds or usual,
            min=1,
            max=30,
            step=0.1,
        )
        self.seconds.disabled = made_by.seconds is None
        self.usual = control(
            ipywidgets.Checkbox, "as long as learned", value=made_by.seconds is None
        )
        self.saying = Saying(model.kind, made_by.condition)
        self.towards = control(ipywidgets.IntText, "to seed", value=made_by.seed + 1)
        self.invent = ipywidgets.Button(description="invent", icon="magic", button_style="primary")
        self.morph = ipywidgets.Button(description="morph", icon="random")
        self.progress = ipywidgets.IntProgress(description="looks", min=0, max=1)
        self.status, self.grid = Status(), ipywidgets.GridBox()
        self.grid.layout.grid_template_columns = "repeat(auto-fill, minmax(20em, 1fr))"
        self.which = control(ipywidgets.Dropdown, "denoising of", "8em", value=None, options=[])
        self.look = control(ipywidgets.SelectionSlider, "look", value=1, options=[1])
        self.look.continuous_update = False
        self.seen = control(ipywidgets.ToggleButtons, "show", value=IDEA, options=[IDEA, NOISY])
        self.stage = ipywidgets.HTML(layout={"max_width": "30em"})
        self.usual.observe(lambda change: setattr(self.seconds, "disabled", change.new), "value")
        self.run.observe(self.offer, "value")
        self.invent.on_click(lambda _: self.make(towards=None))
        self.morph.on_click(lambda _: self.make(towards=self.towards.value))
        for part in (self.which, self.look, self.seen):
            part.observe(self.show_stage, "value")
        self.widget = ipywidgets.VBox(
            [
                row(self.run, self.sampler, self.steps, self.guidance),
                row(self.seed, self.count, self.seconds, self.usual),
                self.saying,
                row(self.invent, self.towards, self.morph, self.progress),
                self.status,
                self.grid,
                row(self.which, self.look, self.seen),
                self.stage,
            ]
        )

    def offer(self, _=None) -> None:
        """Show what the model of the chosen run can be told."""
        with self.status.at_work("loading ...", self.invent, self.morph):
            self.saying.offer(self.model()[0].kind)

    def model(self) -> tuple[DDPM, str]:
        """The model of the chosen run, and the hash of its weights."""
        run = self.run.value
        if run not in self.models:
            model = DDPM.load(recipe.run_folder(run), self.device)
            self.models[run] = model, recipe.weights_hash(run)
        return self.models[run]

    def make(self, towards: int | None) -> None:
        """Invent what the controls say, alone or on the way from one seed to another."""
        with self.status.at_work("asking the network ...", self.invent, self.morph):
            run, steps, looks = self.run.value, self.steps.value, {}
            model, weights = self.model()
            made_by = Recipe(
                run=run,
                weights=weights,
                sampler=self.sampler.value,
                steps=steps,
                guidance=self.guidance.value,
                seed=self.seed.value,
                count=self.count.value,
                seconds=None if self.usual.value else self.seconds.value,
                towards=towards,
                condition=self.saying.value,
            )
            stages = set(np.linspace(0, steps - 1, min(steps, STAGES)).round().astype(int))

            def remember(look: int, x_t, x_0) -> None:
                self.progress.value = look + 1
                if look in stages:
                    kept = {IDEA: x_0, NOISY: x_t}
                    looks[look + 1] = {n: x.half().cpu().numpy() for n, x in kept.items()}

            self.progress.max, self.progress.value = steps, 0
            pictures = recipe.invent(model, made_by, remember)
            sounds = [image_to_audio(picture, model.params) for picture in pictures]
            self.made_by, self.looks = made_by, looks
            self.show(pictures, sounds)

    def show(self, pictures: np.ndarray, sounds: list[np.ndarray]) -> None:
        """A card for each, with a button that keeps it."""
        params, level = self.models[self.made_by.run][0].params, gain(sounds)
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
        controls = self.which, self.look, self.seen
        for part in controls:  # while they are set, they do not fit each other
            part.unobserve(self.show_stage, "value")
        self.look.options = list(self.looks) or [1]
        self.look.value = self.look.options[-1]
        self.which.options = range(len(pictures)) if self.looks else []
        self.which.value = 0 if self.looks else None
        for part in controls:
            part.observe(self.show_stage, "value")
        self.show_stage()

    def show_stage(self, _=None) -> None:
        """What there was after some looks, and its sound."""
        if not self.looks:
            self.stage.value = "Invent something, then follow here how it came out of the noise."
            return
        params, look = self.models[self.made_by.run][0].params, self.look.value
        picture = self.looks[look][self.seen.value][self.which.value]
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
