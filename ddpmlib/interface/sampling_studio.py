"""A studio for a trained model: sample, listen, follow the denoising, interpolate, keep."""

from dataclasses import replace
from functools import partial

import ipywidgets
import numpy as np

from ddpmlib.audio.cleaning import gain
from ddpmlib.diffusion import provenance
from ddpmlib.diffusion.ddpm import DDPM
from ddpmlib.diffusion.provenance import SampleProvenance
from ddpmlib.diffusion.samplers import SAMPLERS
from ddpmlib.diffusion.schedules import TIME_GRIDS
from ddpmlib.interface.controls import SamplingPanel, button, choice, control, is_live, row, slider
from ddpmlib.interface.players import COLUMNS, mel_player, mel_players
from ddpmlib.spectrogram.params import SpectrogramParams
from ddpmlib.vocoder.waveform import image_to_audio, images_to_audio

MOST = 16  # samples generated together there, and shown; a page of more would be many megabytes
STAGES = 50  # of a denoising that are remembered, at most
PREDICTED, NOISY = "predicted x_0", "x_t"


def open_studio(
    model: DDPM, made_by: SampleProvenance, mels: np.ndarray, sounds: list[np.ndarray], device: str
):
    """The studio, with samples to begin with; where nobody can click, players of these.

    Args:
        made_by: provenance of the samples.
        mels: (n, 1, n_mels, n_frames), and the sound of each; the first MOST are shown.
        device: of the models that are chosen there.
    """
    mels, sounds = mels[:MOST], sounds[:MOST]
    if is_live():
        studio = Studio(model, made_by, device)
        studio.show(mels, sounds)
        return studio.widget
    return mel_players(mels, sounds, model.params, [_title(made_by, i) for i in range(len(mels))])


class Studio(SamplingPanel):
    """The controls of `open_studio`; `widget` shows them."""

    def __init__(self, model: DDPM, made_by: SampleProvenance, device: str):
        settings = made_by.num_steps, made_by.guidance_scale, made_by.seed, made_by.condition
        super().__init__(model, *settings)
        # With their hash: the weights on the disk may be others by the time something is kept.
        self.models = {made_by.run: (model, made_by.weights)}
        self.device, self.made_by = device, made_by.of(model)
        self.stages: dict[int, dict[str, np.ndarray]] = {}  # after some steps: x_0, x_t of all
        self.run = choice("run", sorted({*provenance.runs(), made_by.run}), value=made_by.run)
        self.sampler = choice("sampler", SAMPLERS, value=made_by.sampler)
        self.time_grid = choice("time grid", TIME_GRIDS, value=made_by.time_grid)
        self.count = control(
            ipywidgets.IntSlider, "samples", value=min(MOST, made_by.count), min=1, max=MOST
        )
        usual = made_by.seconds is None
        seconds = model.params.seconds if usual else made_by.seconds
        self.seconds = slider("seconds", seconds, 1, 30)
        self.usual = control(ipywidgets.Checkbox, "as in training", value=usual)
        self.towards = control(ipywidgets.IntText, "to seed", value=made_by.seed + 1)
        self.sample = button("sample", self.make, icon="magic", button_style="primary")
        between = partial(self.make, interpolate=True)
        self.interpolate = button("interpolate", between, icon="random")
        self.grid = ipywidgets.GridBox(layout={"grid_template_columns": COLUMNS})
        self.which = choice("denoising of", [])
        self.step = control(ipywidgets.SelectionSlider, "after step", options=[1])
        self.step.continuous_update = False
        self.seen = control(ipywidgets.ToggleButtons, "show", options=[PREDICTED, NOISY])
        hint = "Press <em>sample</em>, then follow the denoising here, step by step."
        self.stage = ipywidgets.HTML(hint, layout={"max_width": "30em"})
        ipywidgets.dlink((self.usual, "value"), (self.seconds, "disabled"))
        self.run.observe(self.load, "value")
        for part in (self.which, self.step, self.seen):
            part.observe(self.show_stage, "value")
        self.widget = ipywidgets.VBox(
            [
                row(self.run, self.sampler, self.num_steps, self.time_grid),
                row(self.guidance_scale, self.seed, self.count),
                row(self.seconds, self.usual),
                self.condition,
                row(self.sample, self.towards, self.interpolate, self.progress),
                self.status,
                self.grid,
                row(self.which, self.step, self.seen),
                self.stage,
            ]
        )

    def load(self, _=None) -> None:
        """Load the chosen run; show what it can be conditioned on, and settings that fit it."""
        with self.status.busy("loading ...", self.sample, self.interpolate):
            model, _ = self.model()
            self.condition.set_spec(model.condition_spec)
            unknown = self.num_steps.value not in model.learnt_grids
            if model.is_student or (self.time_grid.value == "learnt" and unknown):
                for name, value in model.settings().items():
                    getattr(self, name).value = value

    def model(self) -> tuple[DDPM, str]:
        """The model of the chosen run, and the hash of its weights."""
        run = self.run.value
        if run not in self.models:
            model = DDPM.load(provenance.run_folder(run), self.device)
            self.models[run] = model, provenance.weights_hash(run)
        return self.models[run]

    def make(self, interpolate: bool = False) -> None:
        """Sample by the controls, perhaps along the way from one seed to another."""
        with self.sampling(self.sample, self.interpolate):
            run, steps, stages = self.run.value, self.num_steps.value, {}
            model, weights = self.model()
            made_by = SampleProvenance(
                run=run,
                weights=weights,
                sampler=self.sampler.value,
                time_grid=self.time_grid.value,
                count=self.count.value,
                seconds=None if self.usual.value else self.seconds.value,
                towards=self.towards.value if interpolate else None,
                **self.settings(),
            )
            remembered = set(np.linspace(0, steps - 1, min(steps, STAGES)).round().astype(int))

            def remember(step: int, x_t, x_0) -> None:
                self.move_bar(step, x_t, x_0)
                if step in remembered:
                    both = {PREDICTED: x_0, NOISY: x_t}
                    stages[step + 1] = {name: x.half().cpu().numpy() for name, x in both.items()}

            made_by = made_by.of(model)
            mels = provenance.sample(model, made_by, remember)
            sounds = images_to_audio(mels, model.params)
            self.made_by, self.stages = made_by, stages
            self.show(mels, sounds)

    def show(self, mels: np.ndarray, sounds: list[np.ndarray]) -> None:
        """A player for each, with a button that keeps it; the denoising of the first."""
        params, level, boxes = self.params, gain(sounds), []
        for index, (mel, sound) in enumerate(zip(mels, sounds, strict=True)):
            title = _title(self.made_by, index)
            page = ipywidgets.HTML(mel_player(mel, level * sound, params, title))
            keep = partial(self.keep, replace(self.made_by, index=index), mel, sound)
            tooltip = f"Keep {title}, with its provenance"
            keeping = button(f"keep {index}", keep, icon="heart", tooltip=tooltip)
            boxes.append(ipywidgets.VBox([page, keeping], layout={"min_width": "0"}))
        self.grid.children, self.frames = boxes, mels.shape[-1]
        if self.stages:
            self.which.options = []  # nothing is shown while they do not fit each other
            self.step.options = list(self.stages)
            self.step.value = self.step.options[-1]
            self.which.options = range(len(mels))
            self.which.value = 0

    @property
    def params(self) -> SpectrogramParams:
        """Of the samples."""
        return self.models[self.made_by.run][0].params

    def show_stage(self, _=None) -> None:
        """The mel-spectrogram after some steps, and its sound."""
        if (which := self.which.value) is None:
            return
        params, step = self.params, self.step.value
        mel = self.stages[step][self.seen.value][which][..., : self.frames].astype(np.float32)
        sound, title = image_to_audio(mel, params), f"{which} after step {step}"
        self.stage.value = mel_player(mel, gain([sound]) * sound, params, title)

    def keep(self, made_by: SampleProvenance, mel: np.ndarray, sound: np.ndarray) -> None:
        """Save a favourite."""
        with self.status.busy("saving ..."):
            path = provenance.save_favourite(made_by, mel, sound, self.params.sample_rate)
            self.status.show(f"saved: {path}, with .wav and .png beside it")


def _title(made_by: SampleProvenance, index: int) -> str:
    if made_by.towards is None:
        return f"{index} of seed {made_by.seed}"
    return f"{index} of {made_by.count - 1} from seed {made_by.seed} to {made_by.towards}"
