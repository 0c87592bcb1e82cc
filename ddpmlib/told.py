"""The part of the answer about voices that are asked for by name: one network, several speakers."""

from dataclasses import astuple

import numpy as np

from ddpmlib import trials
from ddpmlib.dataset import SpectrogramSet, open_splits
from ddpmlib.ddpm import DDPM
from ddpmlib.judge import hear, judge
from ddpmlib.kept import keep_sound
from ddpmlib.measures import estimate
from ddpmlib.spectrogram import image_to_audio
from ddpmlib.voices import VoiceJudge

DATASET, CONDITION = "voices.npy", "speaker"
COUNT, SAMPLER, GUIDANCE = 32, ("dpmpp_2m", 50), 2.0  # clips in each row; how samples are made


def rows_of_voices() -> list[dict]:
    """For each voice its held-out pictures, and samples that were asked for by its name, as sound;
    both beside its training pictures.

    "heard" is the share that the judge of voices takes for this voice.
    """
    data, held_out = open_splits(DATASET, condition=CONDITION)
    model, listener = DDPM.load(trials.told(data, held_out)), VoiceJudge(data)
    rate, rows = model.params.sample_rate, []
    for number, voice in enumerate(data.kind.names):
        reference, real = (of_voice(part, number) for part in (data, held_out))
        made = list(model.sample(COUNT, *SAMPLER, seed=1, guidance=GUIDANCE, condition=voice))
        keep_sound(told(voice), image_to_audio(made[0], model.params), rate)
        known = _heard(reference, model)
        for name, pictures in ((f"{voice}, real", real), (told(voice), made)):
            right = listener.hear(pictures) == number
            measures = judge(_heard(pictures, model), known)
            measures["heard"] = estimate(lambda i, right=right: right[i].mean(), len(right))
            rows.append({"row": name} | {n: list(astuple(value)) for n, value in measures.items()})
    return rows


def told(voice: str) -> str:
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
