"""The results that notebook 05 shows, and how they are measured: data/pretrained/results.json.

Each part is measured by one function, which returns rows: a name, and each metric as [value, low,
high]; low and high are None where only the value is known. Needs the extra `[metrics]`, the data
set asterisk-en with its recordings, and hours for the parts that train (`training_runs`).
"""

import json
import os
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

import numpy as np
import torch

from ddpmlib.data.dataset import open_splits
from ddpmlib.data.recordings import load_recordings, windows
from ddpmlib.diffusion.ddpm import DDPM
from ddpmlib.diffusion.samplers import SAMPLERS
from ddpmlib.distillation.learnt_grid import learn_time_grid, with_time_grid
from ddpmlib.experiments import (
    conditional_results,
    examples,
    speaking_results,
    training_runs,
)
from ddpmlib.experiments.examples import CORPUS, FOLDER
from ddpmlib.metrics.memorization import diversity, nearest_neighbours
from ddpmlib.metrics.speech import evaluate, score_clips
from ddpmlib.metrics.statistics import mean
from ddpmlib.spectrogram.mel import audio_to_image
from ddpmlib.spectrogram.params import SpectrogramParams
from ddpmlib.storage.atomic import atomic_write
from ddpmlib.storage.paths import data_folder, fetch
from ddpmlib.vocoder.waveform import images_to_audio

RESULTS = "results.json"
COUNT = 64  # clips in each row
SAMPLER = ("dpmpp_2m", 50)  # and sampling steps
TIME_GRID, GUIDANCE_SCALE = "uniform", 2.0  # of all rows that do not name another
BASELINE_SAMPLER = ("dpmpp_2m", 25)  # a step of the baseline network costs as much as 30 of ours
STEP_COUNTS, STEP_COUNT_CLIPS = (5, 10, 25, 50, 100, 250, 1000), 16
GRIDS, GRID_CLIPS = {"uniform": (50, 12), "log_snr": (12, 8), "learnt": (8, 6)}, 32
AMOUNTS = (2, 6, 12, 25)  # minutes of recordings


class ReferenceSpeech:
    """Real speech of one data set in two halves: to compare with, and to be compared.

    Args:
        dataset: name in `data/spectrograms/`; its recordings must be here too.

    Raises:
        FileNotFoundError: the data set, or its recordings.
        ImportError: a metric is not installed.
    """

    def __init__(self, dataset: str = f"{CORPUS}.npy"):
        train, held_out, self.params = load_recordings([dataset])
        self.rate = self.params.sample_rate
        self.minutes = len(train) / self.rate / 60
        first, second = np.array_split(np.concatenate([train, held_out]), 2)
        self.reference = score_clips(self.segment(first, len(first)), self.rate)
        self.real = self.segment(second, COUNT)
        self.data, self.held_out = open_splits(dataset)

    def segment(self, sound: np.ndarray, count: int) -> list[np.ndarray]:
        """The first `count` windows that give one mel-spectrogram each."""
        seconds = (self.params.n_frames - 1) * self.params.hop_length / self.rate
        return windows(sound, self.rate, seconds, count)

    def resynthesized(self, params: SpectrogramParams) -> list[np.ndarray]:
        """The real windows as mel-spectrograms and back: end to end, and segmented again."""
        whole = np.concatenate(self.real)
        return self.segment(examples.resynthesize(whole, self.rate, params)[: len(whole)], COUNT)

    def measure(self, name: str, clips: Sequence[np.ndarray]) -> dict:
        """A row: the speech metrics of clips, against the first half."""
        return {"row": name} | evaluate(score_clips(clips, self.rate), self.reference)

    def measure_model(
        self,
        path: str | Path,
        name: str,
        sampler: tuple[str, int] | None = None,
        count: int | None = None,
        guidance_scale: float = GUIDANCE_SCALE,
        save_first: bool = True,
    ) -> dict:
        """A row: the same of a model's samples, with their `distances`.

        Args:
            sampler: and its sampling steps; by default SAMPLER.
            count: of samples; by default COUNT.
            save_first: store the first one as the example sound of the row.
        """
        count, sampler = count or COUNT, sampler or SAMPLER
        how = {"seed": 1, "guidance_scale": guidance_scale, "time_grid": TIME_GRID}
        mels = DDPM.load(path).sample(count, *sampler, **how)
        return self.measure_mels(name, mels, save_first)

    def measure_mels(self, name: str, mels: np.ndarray, save_first: bool = False) -> dict:
        """The same of generated mel-spectrograms (count, 1, n_mels, n_frames)."""
        clips = images_to_audio(mels, self.params)
        if save_first:
            examples.save_sound(name, clips[0], self.rate)
        return self.measure(name, clips) | self.distances(mels)

    def distances(self, mels: np.ndarray) -> dict:
        """How far mel-spectrograms are from the training data, and from each other."""
        nearest, apart = nearest_neighbours(mels, self.data)[1], diversity(mels, self.params)
        return {"nearest_neighbour_db": mean(nearest), "diversity_db": mean(apart)}


def rows_of_table(speech: ReferenceSpeech) -> list[dict]:
    """Real speech, resynthesized by both parameters, shipped weights, both trainings, and noise."""
    level = examples.NOISE_LEVEL
    noise = np.random.default_rng(0).normal(0, level, (COUNT, len(speech.real[0])))
    chosen = np.linspace(0, len(speech.held_out) - 1, COUNT).astype(int)
    unseen = np.stack([speech.held_out[i].numpy() for i in np.unique(chosen)])
    # Held-out mel-spectrograms overlap, so the diversity of real speech is that of the windows.
    spoken = np.stack([audio_to_image(clip, speech.params)[None] for clip in speech.real])
    key = "nearest_neighbour_db"
    distances = speech.distances(spoken) | {key: speech.distances(unseen)[key]}
    ours, theirs = map(speech.resynthesized, (speech.params, examples.BASELINE_PARAMS))
    this, baseline = training_runs.this_and_baseline(speech.data, speech.held_out, examples.MINUTES)
    less = {"guidance_scale": examples.LESS_GUIDANCE}
    return [
        speech.measure(examples.REAL, speech.real),
        speech.measure(examples.RESYNTHESIZED, ours) | distances,
        speech.measure(examples.RESYNTHESIZED_BASELINE, theirs),
        speech.measure_model(FOLDER, examples.SHIPPED),
        speech.measure_model(FOLDER, examples.LESS_GUIDED, **less),
        speech.measure_model(this, examples.THIS_WORKBOOK),
        speech.measure_model(baseline, examples.BASELINE, BASELINE_SAMPLER),
        speech.measure(examples.NOISE, list(noise.astype(np.float32))),
    ]


def rows_of_minutes(speech: ReferenceSpeech) -> list[dict]:
    """Quality against minutes of training."""
    return [
        metrics | speech.measure_model(path, f"after epoch {metrics['epoch']}")
        for path, metrics in training_runs.weights_by_epoch(speech.data, speech.held_out)
    ]


def rows_of_steps(speech: ReferenceSpeech) -> list[dict]:
    """Quality of the shipped weights against sampling steps, for each sampler."""
    options = {"count": STEP_COUNT_CLIPS, "save_first": False}
    return [
        {"sampler": sampler, "num_steps": num_steps}
        | speech.measure_model(
            FOLDER, f"{sampler}, {num_steps} steps", (sampler, num_steps), **options
        )
        for sampler in SAMPLERS
        for num_steps in STEP_COUNTS
    ]


def rows_of_grids(speech: ReferenceSpeech) -> list[dict]:
    """Quality of the shipped weights against time grids, by the default sampler and guidance; the
    learnt ones are learnt here."""
    model, rows = DDPM.load(FOLDER), []
    for time_grid, counts in GRIDS.items():
        for num_steps in counts:
            used = model
            if time_grid == "learnt":
                used = with_time_grid(model, learn_time_grid(model, num_steps))
            mels = used.sample(GRID_CLIPS, num_steps=num_steps, time_grid=time_grid, seed=1)
            facts = {"time_grid": time_grid, "num_steps": num_steps}
            rows.append(facts | speech.measure_mels(f"{time_grid}, {num_steps} steps", mels))
    return rows


def rows_of_amount(speech: ReferenceSpeech) -> list[dict]:
    """Quality against minutes of recordings, after equally many training steps."""
    rows = []
    for minutes in AMOUNTS:
        share = min(1.0, minutes / speech.minutes)
        path = training_runs.on_fewer_recordings(speech.data, speech.held_out, share)
        used = share * speech.minutes
        name = f"{used:.0f} minutes of recordings"
        rows.append({"minutes": used} | speech.measure_model(path, name, save_first=False))
    return rows


PARTS: dict[str, Callable[..., list[dict]]] = {
    "table": rows_of_table,
    "minutes": rows_of_minutes,
    "steps": rows_of_steps,
    "grids": rows_of_grids,
    "amount": rows_of_amount,
    "voices": conditional_results.rows_of_voices,
    "guidance": conditional_results.rows_of_guidance,
    "texts": conditional_results.rows_of_texts,
    "speaking": speaking_results.rows_of_speaking,
}
CONDITIONAL = {"voices", "guidance", "texts", "speaking"}  # need no reference speech


def load_results() -> dict[str, dict]:
    """Each part as measured last: its "rows", and "measured": when and on what."""
    return json.loads(fetch(Path(FOLDER, RESULTS)).read_text("utf-8"))


def measure(parts: Sequence[str]) -> None:
    """Measure some parts, and put their rows in place of the old ones.

    Raises:
        ValueError: an unknown part; and what `ReferenceSpeech` raises.
    """
    for part in parts:
        if part not in PARTS:
            raise ValueError(f"part is {part!r}; needed: {', '.join(PARTS)}")
    speech = ReferenceSpeech() if set(parts) - CONDITIONAL else None
    path = data_folder() / FOLDER / RESULTS
    for part in parts:
        rows = PARTS[part]() if part in CONDITIONAL else PARTS[part](speech)
        machine = f"{os.cpu_count()} cores with {torch.backends.cpu.get_cpu_capability()}"
        measured = f"{date.today()} on {machine}, torch {torch.__version__}"
        results = load_results() if path.exists() else {}
        with atomic_write(path) as temporary:
            content = results | {part: {"measured": measured, "rows": rows}}
            temporary.write_text(json.dumps(content, indent=1), "utf-8")
