"""The recordings behind prepared data sets: cleaned, end to end, and clips of equal length."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ddpmlib.audio.cleaning import clean
from ddpmlib.audio.recording import load_audio
from ddpmlib.spectrogram.params import SpectrogramParams
from ddpmlib.storage.paths import fetch

MAX_HOURS = 4.0  # of recordings, drawn at random from more; they are held in memory


def load_recordings(
    datasets: Sequence[str], seed: int = 0
) -> tuple[np.ndarray, np.ndarray, SpectrogramParams]:
    """Cleaned training and validation recordings in random order, (samples,) each; parameters.

    Args:
        datasets: names in `data/spectrograms/`, all with the same parameters.

    Raises:
        FileNotFoundError: a data set, or the folder of recordings that it was made from.
        ValueError: they differ in their parameters.
    """
    from joblib import Parallel, delayed

    sounds, params = {"train": [], "validation": []}, {}
    for dataset in datasets:
        description = dataset_description(dataset)
        params[dataset] = SpectrogramParams.from_dict(description["params"])
        params[datasets[0]].check_same(params[dataset], datasets[0], dataset)
        folder, rate = fetch(description["folder"]), params[dataset].sample_rate
        files = np.random.default_rng(seed).permutation(description["files"])
        clips = Parallel(n_jobs=-1, return_as="generator")(
            delayed(_load)(folder / file["file"], rate) for file in files
        )
        left = MAX_HOURS * 3600 / len(datasets)
        for file, clip in zip(files, clips, strict=True):
            if left > 0:
                sounds[file["split"]].append(clip)
                left -= len(clip) / rate
    train, held_out = (np.concatenate([np.zeros(0, np.float32), *s]) for s in sounds.values())
    return train, held_out, params[datasets[0]]


def held_out_files(dataset: str) -> list[Path]:
    """The validation recordings of a data set, or all where there is none.

    Args:
        dataset: name in `data/spectrograms/`.

    Raises:
        FileNotFoundError: the data set, or the folder of recordings that it was made from.
    """
    description = dataset_description(dataset)
    folder, files = fetch(description["folder"]), description["files"]
    held_out = [file for file in files if file["split"] == "validation"]
    return [folder / file["file"] for file in held_out or files]


def pieces(files: Sequence[Path], params: SpectrogramParams, count: int) -> list[np.ndarray]:
    """At most `count` clips of cleaned speech as long as a mel-spectrogram, from recordings end to
    end; a single shorter one where together they are not as long.

    Raises:
        ValueError: no recordings.
    """
    rate = params.sample_rate
    wanted, sounds = (params.n_frames - 1) * params.hop_length, [np.zeros(0, np.float32)]
    for path in files:
        if sum(map(len, sounds)) >= count * wanted:
            break
        sounds.append(_load(path, rate))
    sound = np.concatenate(sounds)
    if not len(sound):
        raise ValueError("0 recordings; needed: at least 1")
    return windows(sound, rate, min(wanted, len(sound)) / rate, count)


def windows(sound: np.ndarray, sample_rate: int, seconds: float, count: int) -> list[np.ndarray]:
    """The first `count` clips of that length, one after the other; a rest is left out."""
    size = round(seconds * sample_rate)
    return [sound[s : s + size] for s in range(0, len(sound) - size + 1, size)][:count]


def dataset_description(dataset: str) -> dict:
    """What is written beside a data set: folder, files and their splits, parameters."""
    described = fetch(Path("spectrograms", dataset).with_suffix(".json"))
    return json.loads(described.read_text("utf-8"))


def _load(path: Path, sample_rate: int) -> np.ndarray:
    return clean(load_audio(path, sample_rate).samples, sample_rate)
