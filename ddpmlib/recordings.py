"""The sound behind prepared data sets: cleaned recordings end to end, and windows of them."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ddpmlib import audio
from ddpmlib.spectrogram import SpectrogramParams
from ddpmlib.storage import fetch

MAX_HOURS = 4.0  # of recordings, drawn at random from more; they are held in memory


def load_recordings(
    datasets: Sequence[str], seed: int = 0
) -> tuple[np.ndarray, np.ndarray, SpectrogramParams]:
    """Cleaned sound of training and validation recordings in random order, and their grid.

    Args:
        datasets: names in `data/spectrograms/`, all on one grid.

    Raises:
        FileNotFoundError: a data set, or the folder of recordings that it was made from.
        ValueError: they differ in their grid.
    """
    from joblib import Parallel, delayed

    sounds, grids = {"train": [], "validation": []}, {}
    for dataset in datasets:
        description = _describe(dataset)
        grids[dataset] = SpectrogramParams.from_dict(description["params"])
        grids[datasets[0]].check_same(grids[dataset], datasets[0], dataset)
        folder, rate = fetch(description["folder"]), grids[dataset].sample_rate
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
    return train, held_out, grids[datasets[0]]


def held_out_files(dataset: str) -> list[Path]:
    """The recordings that were kept for validation, or all where none was.

    Args:
        dataset: name in `data/spectrograms/`.

    Raises:
        FileNotFoundError: the data set, or the folder of recordings that it was made from.
    """
    description = _describe(dataset)
    folder = fetch(description["folder"])
    files = [file for file in description["files"] if file["split"] == "validation"]
    return [folder / file["file"] for file in files or description["files"]]


def pieces(files: Sequence[Path], params: SpectrogramParams, count: int) -> list[np.ndarray]:
    """At most `count` pieces of cleaned speech as long as a picture, from recordings end to end.

    Raises:
        ValueError: together they are shorter than a picture.
    """
    rate = params.sample_rate
    wanted, sounds = (params.n_frames - 1) * params.hop_length, [np.zeros(0, np.float32)]
    for path in files:
        if sum(map(len, sounds)) >= count * wanted:
            break
        sounds.append(_load(path, rate))
    sound = np.concatenate(sounds)
    if len(sound) < wanted:
        raise ValueError(
            f"recordings hold {len(sound) / rate:.1f} s; needed: {wanted / rate:.1f} s"
        )
    return windows(sound, rate, wanted / rate, count)


def windows(sound: np.ndarray, sample_rate: int, seconds: float, count: int) -> list[np.ndarray]:
    """The first `count` pieces of that length, one after the other; a rest is left out."""
    size = round(seconds * sample_rate)
    return [sound[s : s + size] for s in range(0, len(sound) - size + 1, size)][:count]


def _describe(dataset: str) -> dict:
    described = fetch(Path("spectrograms", dataset).with_suffix(".json"))
    return json.loads(described.read_text("utf-8"))


def _load(path: Path, sample_rate: int) -> np.ndarray:
    return audio.clean(audio.load_audio(path, sample_rate).samples, sample_rate)
