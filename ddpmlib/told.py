"""The parts of the answer about networks that are told something: which voice, which text."""

from dataclasses import astuple
from pathlib import Path

import numpy as np
import torch

from ddpmlib import trials
from ddpmlib.condition import silenced
from ddpmlib.dataset import SpectrogramSet, Told, open_splits
from ddpmlib.ddpm import DDPM
from ddpmlib.judge import hear, judge
from ddpmlib.kept import keep_sound
from ddpmlib.measures import estimate
from ddpmlib.run import read_metrics
from ddpmlib.spectrogram import image_to_audio
from ddpmlib.voices import VoiceJudge

VOICES, TEXTS = "voices.npy", "prompts.npy"  # data sets; notebooks 06 and 05 say how they are made
EPOCHS = {VOICES: 20, TEXTS: 14}  # of the trainings
NOISES = 32  # with which the loss on a held-out picture is measured, at as many times
COUNT, SAMPLER, GUIDANCE = 32, ("dpmpp_2m", 50), 2.0  # clips in each row; how samples are made


def rows_of_voices() -> list[dict]:
    """For each voice its held-out pictures, and samples that were asked for by its name, as sound;
    both beside its training pictures.

    "heard" is the share that the judge of voices takes for this voice.
    """
    data, held_out = open_splits(VOICES, condition="speaker")
    model = DDPM.load(trials.told(data, held_out, EPOCHS[VOICES]))
    listener = VoiceJudge(data)
    rate, rows = model.params.sample_rate, []
    for number, voice in enumerate(data.kind.names):
        reference, real = (of_voice(part, number) for part in (data, held_out))
        made = list(model.sample(COUNT, *SAMPLER, seed=1, guidance=GUIDANCE, condition=voice))
        keep_sound(asked_for(voice), image_to_audio(made[0], model.params), rate)
        known = _heard(reference, model)
        for name, pictures in ((f"{voice}, real", real), (asked_for(voice), made)):
            right = listener.hear(pictures) == number
            measures = judge(_heard(pictures, model), known)
            measures["heard"] = estimate(lambda i, right=right: right[i].mean(), len(right))
            rows.append({"row": name} | {n: list(astuple(value)) for n, value in measures.items()})
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
    estimates = {n: estimate(lambda i, v=v: v[i].mean(), len(v)) for n, v in losses.items()}
    return {name: list(astuple(value)) for name, value in estimates.items()}


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


def _heard(pictures: list[np.ndarray], model: DDPM) -> list:
    clips = [image_to_audio(picture, model.params) for picture in pictures]
    return hear(clips, model.params.sample_rate)
