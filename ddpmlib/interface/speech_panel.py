"""Sentences as a model says them: players with their words and phones, a panel to type them."""

import hashlib
import html
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import ipywidgets
import numpy as np

from ddpmlib.audio.cleaning import gain
from ddpmlib.diffusion import provenance
from ddpmlib.diffusion.ddpm import DDPM
from ddpmlib.diffusion.samplers import GUIDANCE_SCALE, NUM_STEPS, Callback
from ddpmlib.diffusion.speech import SPEAKING, Speech, plan, save_speech
from ddpmlib.interface.controls import SamplingPanel, button, control, is_live, row, slider
from ddpmlib.interface.players import PARTS, PLAY_PART, PLOT, SIZE, mel_player, mel_svg, plot_player
from ddpmlib.spectrogram.codec import save_png
from ddpmlib.spectrogram.params import SpectrogramParams
from ddpmlib.storage.atomic import make_folder
from ddpmlib.storage.paths import data_folder
from ddpmlib.text.alignment import Alignment, Interval
from ddpmlib.text.frames import frames_of
from ddpmlib.text.pronunciation import Lexicon
from ddpmlib.text.utterance import SPEEDS

SAID = "said"  # folder of a run with what is kept
SECOND, TALLER = 190, 30  # of an SVG: width of a second, and height beyond that of a small one
LEAST, MOST = 0.053, 0.085  # em of its units: names stay legible, short sentences small
LONGEST = 60.0  # seconds of a mel-spectrogram with phones over it


@dataclass(frozen=True)
class SpeechProvenance:
    """All that a spoken text follows from."""

    run: str = SPEAKING
    weights: str = ""  # SHA-256 of them, see `provenance.weights_hash`
    text: str = ""
    seed: int = 0
    speed: float = 1.0
    guidance_scale: float = GUIDANCE_SCALE
    num_steps: int = NUM_STEPS
    time_grid: str = "log_snr"
    spell: bool = False  # words that nothing pronounces

    @property
    def name(self) -> str:
        """For files."""
        words = re.sub(r"\W+", "_", self.text.lower()).strip("_")[:40]
        different = hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()[:8]
        return f"{words}_seed_{self.seed}_{different}"

    def say(self, model: DDPM, callback: Callback | None = None) -> Speech:
        """The speech; raises as `speech.say`."""
        names = "seed", "speed", "guidance_scale", "num_steps", "time_grid"
        how = {name: getattr(self, name) for name in names}
        return model.say(self.text, lexicon=Lexicon(spell=self.spell), callback=callback, **how)[0]


def open_speech_panel(model: DDPM, made_by: SpeechProvenance, spoken: Sequence[Speech]):
    """A panel that says typed sentences; where nobody can click, players of some.

    Args:
        made_by: provenance of the first of `spoken`.
        spoken: at least one; the panel begins with the first.
    """
    if is_live():
        return SpeechPanel(model, made_by, spoken[0]).widget
    return speech_players(spoken, model)


class SpeechPanel(SamplingPanel):
    """The controls of `open_speech_panel`; `widget` shows them."""

    def __init__(self, model: DDPM, made_by: SpeechProvenance, speech: Speech):
        super().__init__(model, made_by.num_steps, made_by.guidance_scale, made_by.seed)
        self.model, self.made_by = model, made_by
        self.text = control(ipywidgets.Textarea, "text", value=made_by.text, rows=3)
        self.text.layout.width = "44em"
        self.speed = slider("speed", made_by.speed, *SPEEDS, 0.05)
        self.spell = control(
            ipywidgets.Checkbox, "spell unknown words", value=made_by.spell, indent=False
        )
        self.say = button("say", self.make, icon="comment", button_style="primary")
        self.keeping = button("keep", self.keep, icon="heart", tooltip="with its provenance")
        self.page = ipywidgets.HTML()
        settings = row(self.guidance_scale, self.num_steps, self.spell)
        buttons = row(self.say, self.keeping, self.progress)
        parts = [self.text, row(self.speed, self.seed), settings, buttons, self.status, self.page]
        self.widget = ipywidgets.VBox(parts)
        self.show(speech)

    def make(self) -> None:
        """Say the text by the controls."""
        with self.sampling(self.say, self.keeping):
            names = "seed", "speed", "guidance_scale", "num_steps", "spell"
            settings = {name: getattr(self, name).value for name in names}
            made_by = replace(self.made_by, text=self.text.value.strip(), **settings)
            sentences = plan(self.model, made_by.text, made_by.speed, Lexicon(spell=made_by.spell))
            self.progress.max = made_by.num_steps * len(sentences)
            speech = made_by.say(self.model, self.move_bar)
            self.made_by = made_by
            self.show(speech)
            self.status.show(f"{len(speech.audio) / self.model.params.sample_rate:.1f} s of speech")

    def move_bar(self, step: int, x_t, x_0) -> None:
        """Callback of a sampler, which begins anew for each sentence."""
        self.progress.value += 1

    def show(self, speech: Speech) -> None:
        """A player of it; a click on a word or phone plays that alone."""
        self.speech, self.page.value = speech, speech_players([speech], self.model).data

    def keep(self) -> None:
        """Save what is shown: wav, PNG, and the provenance that says it again."""
        with self.status.busy("saving ..."):
            run = provenance.run_folder(self.made_by.run).name
            folder = make_folder(data_folder() / "runs" / run / SAID)
            path = folder / f"{self.made_by.name}.json"
            save_speech(path.with_suffix(".wav"), self.speech, self.model)
            save_png(path.with_suffix(".png"), self.speech.mel)
            provenance.save(path, self.made_by)
            self.status.show(f"saved: {path}, with .wav and .png beside it")


def speech_players(spoken: Sequence[Speech], model: DDPM):
    """Players of spoken texts, with their words and phones."""
    mels, sounds = [speech.mel for speech in spoken], [speech.audio for speech in spoken]
    titles, alignments = [speech.text for speech in spoken], [joined(s, model) for s in spoken]
    return alignment_players(mels, sounds, model.params, titles, alignments)


def joined(speech: Speech, model: DDPM) -> Alignment:
    """The words and phones of all sentences of a speech, from its beginning."""
    params, factor, at = model.params, model.network.config.factor, 0.0
    phones, words = [], []
    for each in speech.alignments:
        for all_of, own in ((phones, each.phones), (words, each.words)):
            all_of += [Interval(i.name, i.start + at, i.end + at) for i in own]
        frames = frames_of(each.phones[-1].end, params, factor)
        at += frames * params.hop_length / params.sample_rate
    return Alignment(tuple(phones), tuple(words))


def alignment_players(
    mels: Sequence[np.ndarray],
    sounds: Sequence[np.ndarray],
    params: SpectrogramParams,
    titles: Sequence[str],
    alignments: Sequence[Alignment],
):
    """Players of mel-spectrograms (1, n_mels, n_frames) of any width, all under one gain."""
    from IPython.display import HTML

    level, each = gain(sounds), zip(mels, sounds, titles, alignments, strict=True)
    parts = [alignment_player(mel, level * sound, params, *rest) for mel, sound, *rest in each]
    return HTML("".join(parts))


def alignment_player(
    mel: np.ndarray,
    samples: np.ndarray,
    params: SpectrogramParams,
    title: str,
    alignment: Alignment,
) -> str:
    """As `players.mel_player`, with words and phones over it; a click on one plays it alone.

    Those of more than LONGEST seconds are drawn without.
    """
    seconds = np.shape(mel)[-1] * params.hop_length / params.sample_rate
    if seconds > LONGEST:
        return mel_player(mel, samples, params, title)
    (x, y), width, height = PLOT[:2], round(SECOND * seconds), PLOT[3] + TALLER
    size = width + SIZE[0] - PLOT[2], SIZE[1] + TALLER

    def part(interval: Interval, kind: str) -> str:
        name, percent = html.escape(interval.name), 100 / seconds
        return (
            f'<button type="button" class="part{kind}" aria-label="play {name}" style="left:'
            f'{percent * interval.start:.2f}%;width:{percent * interval.seconds:.2f}%" value="'
            f'{interval.start:.4f} {interval.end:.4f}" title="{name}, {interval.start:.2f} to '
            f'{interval.end:.2f} s">{name}</button>'
        )

    parts = [part(phone, "") for phone in alignment.phones]
    parts += [part(word, " word") for word in alignment.words]
    place = f"left:{100 * x / size[0]:.2f}%;width:{100 * width / size[0]:.2f}%;"
    place += f"top:{100 * y / size[1]:.2f}%;height:{100 * height / size[1]:.2f}%"
    drawn = (
        f'{PARTS}{mel_svg(mel, params, title, size)}<div style="position:absolute;z-index:1;'
        f'{place}" onclick="{PLAY_PART}">{"".join(parts)}</div>'
    )
    span = x / size[0], (x + width) / size[0]
    em = f"min-width: {LEAST * size[0]:.0f}em; max-width: {MOST * size[0]:.0f}em"
    return plot_player(drawn, samples, params.sample_rate, title, span, em)
