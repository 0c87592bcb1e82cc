"""The measurements of notebook 05, and where they are kept: data/pretrained/answer.json.

Each part of the answer is measured by one function, which returns rows: what was measured, with
each measure of the judge as [value, low, high]; low and high are None where only the value was
kept. Needs the extra `[judge]`, the data set asterisk-en with its recordings, and hours for the
parts that train (`ddpmlib.trials`).
"""

import json
import os
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

import numpy as np
import torch

from ddpmlib import trials
from ddpmlib.audio import clean, load_audio
from ddpmlib.copying import nearest, spread
from ddpmlib.corpora import CorpusError, fetch_corpus
from ddpmlib.dataset import open_splits
from ddpmlib.ddpm import DDPM, GUIDANCE
from ddpmlib.diffusion import SAMPLERS
from ddpmlib.judge import hear, judge
from ddpmlib.kept import FOLDER, keep_sound, sound_file
from ddpmlib.measures import mean, plain
from ddpmlib.recordings import load_recordings, windows
from ddpmlib.spectrogram import DEFAULT, GRIDS, SpectrogramParams, audio_to_image, image_to_audio
from ddpmlib.storage import atomic_write, data_folder, fetch
from ddpmlib.told import SAMPLER, rows_of_guidance, rows_of_texts, rows_of_voices

CORPUS, SENTENCE, RATE = "asterisk-en", "vm-intro.g722", 16_000
ANSWER = "answer.json"
LESS_GUIDANCE = 1.5  # than a sample has unless told otherwise
ORIGINAL_SAMPLER = ("dpmpp_2m", 25)  # a look of the original's network costs as much as 30 of ours
ORIGINAL_GRID = GRIDS["12 s, original"]
LOOKS, LOOKS_CLIPS = (5, 10, 25, 50, 100, 250, 1000), 16
MINUTES = 14  # of training, in which two recipes are compared
SHIPPED, LESS_GUIDED = "shipped weights", f"shipped weights, guidance {LESS_GUIDANCE}"
THIS_RECIPE, ORIGINAL_RECIPE = (f"{of} recipe, {MINUTES} minutes" for of in ("this", "original"))
AMOUNTS = (2, 6, 12, 25)  # minutes of recordings
NOISE_LEVEL = 0.07  # root mean square, about that of prepared speech


class Speech:
    """Real speech of one data set in two halves: to compare with, and to be compared.

    Args:
        dataset: name in `data/spectrograms/`; its recordings must be here too.
        count: windows of a picture's length in the second half, and clips in each row.

    Raises:
        FileNotFoundError: the data set, or its recordings.
        ImportError: a judge is not installed.
    """

    def __init__(self, dataset: str = f"{CORPUS}.npy", count: int = 64):
        train, held_out, self.params = load_recordings([dataset])
        self.rate, self.count = self.params.sample_rate, count
        self.minutes = len(train) / self.rate / 60
        first, second = np.array_split(np.concatenate([train, held_out]), 2)
        self.reference = hear(self.cut(first, len(first)), self.rate)
        self.real = self.cut(second, count)
        self.data, self.held_out = open_splits(dataset)

    def cut(self, sound: np.ndarray, count: int) -> list[np.ndarray]:
        """The first `count` windows that give one picture each."""
        seconds = (self.params.n_frames - 1) * self.params.hop_length / self.rate
        return windows(sound, self.rate, seconds, count)

    def through(self, grid: SpectrogramParams) -> list[np.ndarray]:
        """The real windows through a grid and back: end to end, and cut again."""
        whole = np.concatenate(self.real)
        return self.cut(through_grid(whole, self.rate, grid)[: len(whole)], self.count)

    def measure(self, clips: Sequence[np.ndarray]) -> dict:
        """The judge's measures of clips, against the first half."""
        return plain(judge(hear(clips, self.rate), self.reference))

    def measure_model(
        self, path: str | Path, name: str, sampler=SAMPLER, count=0, keep=False, guidance=GUIDANCE
    ) -> dict:
        """The same of a model's samples, how near the training data they are, and each other.

        Args:
            sampler: and its looks.
            keep: the sound of the first one.
        """
        model = DDPM.load(path)
        pictures = model.sample(count or self.count, *sampler, seed=1, guidance=guidance)
        clips = [image_to_audio(picture, self.params) for picture in pictures]
        if keep:
            keep_sound(name, clips[0], self.rate)
        return {"row": name} | self.measure(clips) | self.distances(pictures)

    def distances(self, pictures: np.ndarray) -> dict:
        """How far pictures are from the training data, and from each other."""
        values = {"nearest_db": nearest(pictures, self.data)[1]}
        values["spread_db"] = spread(pictures, self.params)
        return plain({name: mean(found) for name, found in values.items()})


def rows_of_table(speech: Speech) -> list[dict]:
    """Real speech, the two grids, the shipped weights, the two recipes, and noise."""
    noise = np.random.default_rng(0).normal(0, NOISE_LEVEL, (speech.count, len(speech.real[0])))
    chosen = np.linspace(0, len(speech.held_out) - 1, speech.count).astype(int)
    unseen = np.stack([speech.held_out[i].numpy() for i in np.unique(chosen)])
    # Held-out pictures overlap, so how far real speech spreads is measured on the windows.
    spoken = np.stack([audio_to_image(clip, speech.params)[None] for clip in speech.real])
    distances = speech.distances(spoken) | {"nearest_db": speech.distances(unseen)["nearest_db"]}
    ours = speech.measure(speech.through(speech.params)) | distances
    this, original = trials.two_recipes(speech.data, speech.held_out, MINUTES)
    return [
        {"row": "real speech"} | speech.measure(speech.real),
        {"row": "real, through the grid"} | ours,
        {"row": "real, through the original's grid"}
        | speech.measure(speech.through(ORIGINAL_GRID)),
        speech.measure_model(FOLDER, SHIPPED, keep=True),
        speech.measure_model(FOLDER, LESS_GUIDED, keep=True, guidance=LESS_GUIDANCE),
        speech.measure_model(this, THIS_RECIPE, keep=True),
        speech.measure_model(original, ORIGINAL_RECIPE, ORIGINAL_SAMPLER, keep=True),
        {"row": "noise"} | speech.measure(list(noise.astype(np.float32))),
    ]


def rows_of_minutes(speech: Speech) -> list[dict]:
    """Quality against minutes of training."""
    rows = []
    for path, metrics in trials.epoch_by_epoch(speech.data, speech.held_out):
        row = speech.measure_model(path, f"after epoch {metrics['epoch']}", keep=True)
        rows.append(metrics | row)
    return rows


def rows_of_steps(speech: Speech) -> list[dict]:
    """Quality of the shipped weights against looks of the network, for each sampler."""
    rows = []
    for sampler in SAMPLERS:
        for looks in LOOKS:
            name = f"{sampler}, {looks} looks"
            row = speech.measure_model(FOLDER, name, (sampler, looks), LOOKS_CLIPS)
            rows.append({"sampler": sampler, "looks": looks} | row)
    return rows


def rows_of_amount(speech: Speech) -> list[dict]:
    """Quality against minutes of recordings, after equally many steps."""
    rows = []
    for minutes in AMOUNTS:
        share = min(1.0, minutes / speech.minutes)
        path = trials.on_fewer_recordings(speech.data, speech.held_out, share)
        row = speech.measure_model(path, f"{share * speech.minutes:.0f} minutes of recordings")
        rows.append({"minutes": share * speech.minutes} | row)
    return rows


# Of other recordings.
TOLD = {"voices": rows_of_voices, "guidance": rows_of_guidance, "texts": rows_of_texts}
PARTS: dict[str, Callable[[Speech], list[dict]]] = {
    "table": rows_of_table,
    "minutes": rows_of_minutes,
    "steps": rows_of_steps,
    "amount": rows_of_amount,
    **{part: lambda _, rows=rows: rows() for part, rows in TOLD.items()},
}


def load_answer() -> dict[str, dict]:
    """Each part as measured last: its "rows", and "measured": when and on what."""
    return json.loads(fetch(Path(FOLDER, ANSWER)).read_text("utf-8"))


def measure_again(parts: Sequence[str]) -> None:
    """Measure some of PARTS, and put their rows in place of the old ones.

    Raises:
        ValueError: an unknown part; and what `Speech` raises.
    """
    for part in parts:
        if part not in PARTS:
            raise ValueError(f"part is {part!r}; needed: {', '.join(PARTS)}")
    speech = Speech() if set(parts) - set(TOLD) else None
    path = data_folder() / FOLDER / ANSWER
    for part in parts:
        measured = {"measured": f"{date.today()} on {_machine()}", "rows": PARTS[part](speech)}
        answer = (load_answer() if path.exists() else {}) | {part: measured}
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(answer, indent=1), "utf-8")


def sounds_of_table() -> dict[str, np.ndarray]:
    """A sound at RATE for each row of the table, equally loud: kept, made, or fetched now.

    Without real recordings and without network the real ones are missing, and a sentence says so.
    """
    noise = {"noise": np.random.default_rng(0).normal(0, NOISE_LEVEL, 2 * RATE)}
    generated = (SHIPPED, LESS_GUIDED, THIS_RECIPE, ORIGINAL_RECIPE)
    made = {row: clean(load_audio(sound_file(row), RATE).samples, RATE) for row in generated}
    try:
        folder = fetch_corpus(CORPUS, data_folder() / "corpora")
    except CorpusError as error:
        print(f"Without players for real speech: {error}")
        return made | noise
    real = clean(load_audio(folder / SENTENCE, RATE).samples, RATE)
    # Where windows do not overlap, the way back divides by next to nothing: peaks of thousands.
    original = clean(through_grid(real, RATE, ORIGINAL_GRID).clip(-1, 1), RATE)
    return {
        "real speech": real,
        "real, through the grid": through_grid(real, RATE, DEFAULT),
        "real, through the original's grid": original,
        **made,
        **noise,
    }


def through_grid(sound: np.ndarray, sample_rate: int, grid: SpectrogramParams) -> np.ndarray:
    """(n,) samples to a picture of a grid and back; a little longer or shorter."""
    import librosa

    there = librosa.resample(sound, orig_sr=sample_rate, target_sr=grid.sample_rate)
    back = image_to_audio(audio_to_image(there, grid), grid)
    return librosa.resample(back, orig_sr=grid.sample_rate, target_sr=sample_rate)


def _machine() -> str:
    cores, capability = os.cpu_count(), torch.backends.cpu.get_cpu_capability()
    return f"{cores} cores with {capability}, torch {torch.__version__}"
