"""A table for editing real speech: variation (SDEdit) of a sentence, or inpainting of a gap."""

import ipywidgets
import numpy as np

from ddpmlib.diffusion.ddpm import DDPM
from ddpmlib.diffusion.editing import Edit
from ddpmlib.interface.controls import SamplingPanel, button, choice, is_live, row, slider
from ddpmlib.interface.players import mel_players
from ddpmlib.spectrogram.params import SpectrogramParams
from ddpmlib.vocoder.waveform import images_to_audio

SAMPLER = "ddpm"  # its fresh noise corrects best what does not fit; see `Edit`


def open_editing_table(
    model: DDPM,
    sentences: dict[str, np.ndarray],
    edited: dict[str, np.ndarray],
    num_steps: int,
    guidance_scale: float,
):
    """The table, with sentences to choose from; where nobody can click, players of edited ones.

    Args:
        sentences: name -> (1, n_mels, n_frames), each as wide as the model's mel-spectrograms.
        edited: the same, to show where nobody can click.
    """
    if is_live():
        return EditingTable(model, sentences, num_steps, guidance_scale).widget
    return _players(edited, model.params)


def keep_mask(params: SpectrogramParams, begin: float, end: float) -> np.ndarray:
    """Frames to keep, (n_frames,) bool: all but those from begin to end, in seconds.

    Raises:
        ValueError: outside of the mel-spectrogram, or no frame lies between them.
    """
    middle = (np.arange(params.n_frames) + 0.5) * params.hop_length / params.sample_rate
    keep = (middle < begin) | (middle >= end)
    if not 0 <= begin < end <= params.seconds or keep.all():
        frame = params.hop_length / params.sample_rate
        raise ValueError(
            f"cut from {begin:g} to {end:g} s; needed: within 0 to {params.seconds:g}, and at "
            f"least {frame:g} long"
        )
    return keep


class EditingTable(SamplingPanel):
    """The controls of `open_editing_table`; `widget` shows them."""

    def __init__(self, model: DDPM, sentences: dict[str, np.ndarray], *settings):
        super().__init__(model, *settings)
        self.model, self.sentences, seconds = model, sentences, model.params.seconds
        self.sentence = choice("sentence", sentences)
        self.strength = slider("strength", 0.5, 0.05, 1, 0.05)
        gap = round(0.4 * seconds, 1), round(0.6 * seconds, 1)
        self.cut = slider("cut out", gap, 0, seconds, 0.05, layout={"width": "26em"})
        primary = {"button_style": "primary"}
        self.vary = button("vary", lambda: self.make(inpaint=False), icon="random", **primary)
        self.inpaint = button("inpaint", lambda: self.make(inpaint=True), icon="eraser", **primary)
        self.page = ipywidgets.HTML()
        self.sentence.observe(lambda _: self.show({}), "value")
        self.widget = ipywidgets.VBox(
            [
                row(self.sentence, self.condition, self.guidance_scale),
                row(self.num_steps, self.seed, self.progress),
                row(self.strength, self.vary),
                row(self.cut, self.inpaint),
                self.status,
                self.page,
            ]
        )
        self.show({})

    def make(self, inpaint: bool) -> None:
        """Generate what is cut out of the sentence, or a variation of all of it."""
        with self.sampling(self.vary, self.inpaint):
            mel, strength = self.sentences[self.sentence.value], self.strength.value
            if inpaint:
                begin, end = self.cut.value
                edit = Edit(mel, keep=keep_mask(self.model.params, begin, end))
                title = f"inpainted from {begin:.2f} to {end:.2f} s"
            else:
                edit, title = Edit(mel, strength), f"strength {strength}"
            options = self.settings() | {"callback": self.move_bar, "edit": edit}
            [made] = self.model.sample(1, SAMPLER, **options)
            self.show({title: made})

    def show(self, edited: dict[str, np.ndarray]) -> None:
        """The sentence, and what was made of it, under one gain."""
        name = self.sentence.value
        self.page.value = _players({name: self.sentences[name]} | edited, self.model.params).data


def _players(mels: dict[str, np.ndarray], params: SpectrogramParams):
    sounds = images_to_audio(mels.values(), params)
    return mel_players(list(mels.values()), sounds, params, list(mels))
