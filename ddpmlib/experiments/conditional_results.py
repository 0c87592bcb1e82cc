"""The results about conditional networks: conditioned on the speaker, or on the text."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ddpmlib.data.dataset import Reconditioned, SpectrogramSet, open_splits
from ddpmlib.diffusion.ddpm import DDPM
from ddpmlib.experiments import training_runs
from ddpmlib.experiments.examples import save_sound
from ddpmlib.metrics.memorization import diversity
from ddpmlib.metrics.speakers import SpeakerClassifier
from ddpmlib.metrics.speech import ClipScores, evaluate, score_clips
from ddpmlib.metrics.statistics import mean, share
from ddpmlib.models.condition_rows import drop_conditions
from ddpmlib.spectrogram.params import SpectrogramParams
from ddpmlib.training.run_directory import read_metrics
from ddpmlib.vocoder.waveform import image_to_audio, images_to_audio

VOICES, TEXTS = "voices.npy", "prompts.npy"  # data sets; notebooks 06 and 05 say how they are made
EPOCHS = {VOICES: 20, TEXTS: 14}  # of the trainings
NOISES = 32  # with which the loss on a held-out mel-spectrogram is measured, at as many times
SAMPLER = ("dpmpp_2m", 50)  # and sampling steps of the samples that are evaluated
COUNT = 32  # clips in each row, where there are as many held-out ones
GUIDANCE_SCALE = 2.0  # where no other is named
GUIDANCE_SCALES, SWEEP_COUNT = (0.0, 0.5, 1.0, 2.0, 4.0), 8  # and samples of each voice


class Speakers:
    """A network conditioned on the speaker, the real voices, and a speaker classifier."""

    def __init__(self):
        self.data, self.held_out = open_splits(VOICES, condition="speaker")
        weights = training_runs.conditional(self.data, self.held_out, EPOCHS[VOICES])
        self.model, self.params = DDPM.load(weights), self.data.params
        self.classifier, self.names = SpeakerClassifier(self.data), self.data.condition_spec.names

    def sample(self, voice: str, count: int, guidance_scale: float = GUIDANCE_SCALE) -> np.ndarray:
        """Samples conditioned on a voice, with the same noise for every one."""
        options = {"guidance_scale": guidance_scale, "condition": voice}
        return self.model.sample(count, *SAMPLER, seed=1, **options)


def rows_of_voices() -> list[dict]:
    """For each voice its held-out mel-spectrograms and samples conditioned on it, as sound; both
    against its training mel-spectrograms.

    "speaker_accuracy" is the share that the classifier recognises as this speaker.
    """
    speakers, rows = Speakers(), []
    for number, voice in enumerate(speakers.names):
        reference, real = (of_voice(part, number) for part in (speakers.data, speakers.held_out))
        # As many: the Fréchet distance falls with their number.
        generated, params = speakers.sample(voice, len(real)), speakers.params
        save_sound(conditioned(voice), image_to_audio(generated[0], params), params.sample_rate)
        known = _scores(reference, params)
        for name, mels in ((f"{voice}, real", real), (conditioned(voice), generated)):
            found = evaluate(_scores(mels, params), known)
            found["speaker_accuracy"] = share(speakers.classifier.predict(mels) == number)
            rows.append({"row": name} | found)
    return rows


def rows_of_guidance() -> list[dict]:
    """For each guidance scale the share of samples that is recognised as the speaker they are
    conditioned on, and their diversity within each voice."""
    speakers, rows = Speakers(), []
    for scale in GUIDANCE_SCALES:
        generated = [speakers.sample(voice, SWEEP_COUNT, scale) for voice in speakers.names]
        right = [speakers.classifier.predict(mels) == n for n, mels in enumerate(generated)]
        apart = [diversity(mels, speakers.params) for mels in generated]
        found = {
            "speaker_accuracy": share(np.concatenate(right)),
            "diversity_db": mean(np.concatenate(apart)),
        }
        rows.append({"row": f"guidance {scale:g}", "guidance_scale": scale} | found)
    return rows


def rows_of_texts() -> list[dict]:
    """Validation loss after each epoch of two trainings, unconditional and conditioned on the text;
    and after training, with intervals over the held-out mel-spectrograms."""
    names = ("unconditional", "conditional")
    splits = [open_splits(TEXTS, condition=column) for column in ("", "text")]
    weights = [training_runs.conditional(*pair, EPOCHS[TEXTS]) for pair in splits]
    rows = [
        {"row": f"after epoch {epochs[0]['epoch']}", "epoch": epochs[0]["epoch"]}
        | {n: [m["validation_loss"], None, None] for n, m in zip(names, epochs, strict=True)}
        for epochs in zip(*(read_metrics(path.parent) for path in weights), strict=True)
    ]
    return [*rows, {"row": "after training"} | losses_after_training(weights, splits[1][1])]


def losses_after_training(weights: Sequence[Path], held_out: SpectrogramSet) -> dict:
    """Loss of the unconditional network; and of the conditional one on the text, the null
    condition, the text of another mel-spectrogram, or another text of the same length.

    "loss_reduction" is by how much the text lowers the loss, "loss_reduction_by_words" by how much
    it does beyond its length; they are known better than the losses, as all have the same noise.
    """
    unconditional, model = map(DDPM.load, weights)
    text = held_out.conditions(range(len(held_out)))
    conditions = {
        "conditional": text,
        "null_condition": drop_conditions(model.condition_spec, text, True),
        "other_text": text.roll(len(text) // 2, dims=0),
        "other_text_same_length": same_length(text),
    }
    losses = {"unconditional": loss_of_each(unconditional, held_out, text)}
    losses |= {n: loss_of_each(model, held_out, rows) for n, rows in conditions.items()}
    losses["loss_reduction"] = losses["unconditional"] - losses["conditional"]
    losses["loss_reduction_by_words"] = losses["other_text_same_length"] - losses["conditional"]
    return {name: mean(values) for name, values in losses.items()}


def same_length(texts: torch.Tensor) -> torch.Tensor:
    """For each text (n, length) of tokens another one whose length is nearest to its own."""
    lengths = (texts > 0).sum(dim=1)
    apart = (lengths[:, None] - lengths).abs().float()
    equal = (texts[:, None] == texts).all(dim=2)
    return texts[apart.masked_fill(equal, torch.inf).argmin(dim=1)]


def loss_of_each(model: DDPM, mels: SpectrogramSet, conditions: torch.Tensor) -> np.ndarray:
    """Loss on each mel-spectrogram, (n,), with the same NOISES for every model."""
    repeated = conditions.repeat_interleave(NOISES, dim=0).split(NOISES)
    sets = [torch.utils.data.Subset(mels, [i] * NOISES) for i in range(len(mels))]
    return np.array([model.loss_on(Reconditioned(*p)) for p in zip(sets, repeated, strict=True)])


def conditioned(voice: str) -> str:
    """Name of the row of samples conditioned on a voice."""
    return f"{voice}, conditioned"


def of_voice(data: SpectrogramSet, number: int) -> list[np.ndarray]:
    """At most COUNT mel-spectrograms of a voice, from all over the set."""
    rows = np.flatnonzero(data.conditions(range(len(data))).numpy() == number)
    chosen = np.linspace(0, len(rows) - 1, min(COUNT, len(rows))).astype(int)
    return [data[i].numpy() for i in rows[chosen]]


def _scores(mels: Sequence[np.ndarray], params: SpectrogramParams) -> list[ClipScores]:
    return score_clips(images_to_audio(mels, params), params.sample_rate)
