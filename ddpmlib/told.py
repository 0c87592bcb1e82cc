"""The parts of the answer about networks that are told something: which voice, which text."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ddpmlib import trials
from ddpmlib.condition import silenced
from ddpmlib.copying import spread
from ddpmlib.dataset import SpectrogramSet, Told, open_splits
from ddpmlib.ddpm import DDPM, GUIDANCE
from ddpmlib.judge import hear, judge
from ddpmlib.kept import keep_sound
from ddpmlib.measures import mean, plain, share
from ddpmlib.run import read_metrics
from ddpmlib.spectrogram import SpectrogramParams, image_to_audio
from ddpmlib.voices import VoiceJudge

VOICES, TEXTS = "voices.npy", "prompts.npy"  # data sets; notebooks 06 and 05 say how they are made
EPOCHS = {VOICES: 20, TEXTS: 14}  # of the trainings
NOISES = 32  # with which the loss on a held-out picture is measured, at as many times
SAMPLER = ("dpmpp_2m", 50)  # of the samples that are judged, and its looks of the network
COUNT = 32  # clips in each row
GUIDANCES, FEWER = (0.0, 0.5, 1.0, 2.0, 4.0), 8  # of the sweep, and samples of each voice


class Speakers:
    """The network that is told who speaks, the real voices, and the judge of voices."""

    def __init__(self):
        self.data, self.held_out = open_splits(VOICES, condition="speaker")
        self.model = DDPM.load(trials.told(self.data, self.held_out, EPOCHS[VOICES]))
        self.judge, self.names = VoiceJudge(self.data), self.data.kind.names

    def heard_as(self, number: int, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """Which of the pictures the judge takes for this voice."""
        return self.judge.hear(pictures) == number

    def ask(self, voice: str, count: int, guidance: float = GUIDANCE) -> np.ndarray:
        """Samples of a voice, with the same noise for every one."""
        return self.model.sample(count, *SAMPLER, seed=1, guidance=guidance, condition=voice)


def rows_of_voices() -> list[dict]:
    """For each voice its held-out pictures, and samples that were asked for by its name, as sound;
    both beside its training pictures.

    "heard" is the share that the judge of voices takes for this voice.
    """
    speakers, rows = Speakers(), []
    for number, voice in enumerate(speakers.names):
        reference, real = (of_voice(part, number) for part in (speakers.data, speakers.held_out))
        made = speakers.ask(voice, COUNT)
        params = speakers.model.params
        keep_sound(asked_for(voice), image_to_audio(made[0], params), params.sample_rate)
        known = _heard(reference, params)
        for name, pictures in ((f"{voice}, real", real), (asked_for(voice), made)):
            measures = judge(_heard(pictures, params), known)
            measures["heard"] = share(speakers.heard_as(number, pictures))
            rows.append({"row": name} | plain(measures))
    return rows


def rows_of_guidance() -> list[dict]:
    """For each guidance the share of samples that is heard as the voice that was asked for, and how
    far each is from the most alike of the others of its voice."""
    speakers, rows = Speakers(), []
    for guidance in GUIDANCES:
        made = [speakers.ask(voice, FEWER, guidance) for voice in speakers.names]
        right = np.concatenate([speakers.heard_as(n, some) for n, some in enumerate(made)])
        apart = np.concatenate([spread(some, speakers.model.params) for some in made])
        measures = {"heard": share(right), "spread_db": mean(apart)}
        rows.append({"row": f"guidance {guidance:g}", "guidance": guidance} | plain(measures))
    return rows


def rows_of_texts() -> list[dict]:
    """Validation loss after each pass of two trainings, one of them told the text of each picture;
    and at the end, with intervals over the held-out pictures.

    "less" is by how much the text lowers the loss, and "words" by how much it does beyond telling
    its length; they are known better than the losses, as all see the same noise.
    """
    untold, told = (open_splits(TEXTS, condition=column) for column in ("", "text"))
    paths = [trials.told(*splits, EPOCHS[TEXTS]) for splits in (untold, told)]
    rows = [
        {"row": f"{one['epoch']} passes", "passes": one["epoch"]}
        | {n: [m["validation_loss"], None, None] for n, m in (("untold", one), ("told", other))}
        for one, other in zip(*(read_metrics(path.parent) for path in paths), strict=True)
    ]
    return [*rows, {"row": "at the end"} | losses_at_the_end(paths, told[1])]


def losses_at_the_end(paths: list[Path], held_out: SpectrogramSet) -> dict:
    """Of the network that is never told anything, and of the other one: told the text of a
    picture, nothing, the text of another picture, or another text of the same length."""
    untold, model = map(DDPM.load, paths)
    right = held_out.conditions(range(len(held_out)))
    losses = {
        "untold": loss_of_each(untold, held_out, right),
        "told": loss_of_each(model, held_out, right),
        "nothing": loss_of_each(model, held_out, silenced(model.kind, right, True)),
        "another": loss_of_each(model, held_out, right.roll(len(right) // 2, dims=0)),
        "as_long": loss_of_each(model, held_out, as_long(right)),
    }
    losses["less"] = losses["untold"] - losses["told"]
    losses["words"] = losses["as_long"] - losses["told"]
    return plain({name: mean(values) for name, values in losses.items()})


def as_long(said: torch.Tensor) -> torch.Tensor:
    """For each text another one whose length is nearest to its own; rows of tokens."""
    lengths = (said > 0).sum(dim=1)
    apart = (lengths[:, None] - lengths).abs().float()
    the_same = (said[:, None] == said).all(dim=2)
    return said[apart.masked_fill(the_same, torch.inf).argmin(dim=1)]


def loss_of_each(model: DDPM, pictures: SpectrogramSet, said: torch.Tensor) -> np.ndarray:
    """Loss on each picture, (n,), with the same NOISES for every model."""
    again = [torch.utils.data.Subset(pictures, [i] * NOISES) for i in range(len(pictures))]
    repeated = said.repeat_interleave(NOISES, dim=0).split(NOISES)
    return np.array([model.loss_on(Told(*pair)) for pair in zip(again, repeated, strict=True)])


def asked_for(voice: str) -> str:
    """Name of the row of samples that were asked for."""
    return f"{voice}, asked for"


def of_voice(data: SpectrogramSet, number: int) -> list[np.ndarray]:
    """At most COUNT pictures of a voice, from all over the set."""
    rows = np.flatnonzero(data.conditions(range(len(data))).numpy() == number)
    chosen = np.linspace(0, len(rows) - 1, min(COUNT, len(rows))).astype(int)
    return [data[i].numpy() for i in rows[chosen]]


def _heard(pictures: Sequence[np.ndarray], params: SpectrogramParams) -> list:
    return hear([image_to_audio(picture, params) for picture in pictures], params.sample_rate)
