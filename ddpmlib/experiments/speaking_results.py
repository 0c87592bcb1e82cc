"""The results about weights that say a text: held-out texts, and everyday sentences."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ddpmlib.audio.cleaning import clean
from ddpmlib.audio.metadata import TEXT, read_metadata
from ddpmlib.audio.recording import load_audio
from ddpmlib.data.recordings import dataset_description
from ddpmlib.diffusion.ddpm import DDPM
from ddpmlib.diffusion.speech import SPEAKING
from ddpmlib.experiments.examples import CORPUS, FOLDER, resynthesize, save_ogg
from ddpmlib.metrics.intelligibility import evaluate_texts, score_texts
from ddpmlib.metrics.speech import evaluate, score_clips
from ddpmlib.storage.paths import data_folder, fetch
from ddpmlib.text.corpus import read_alignments

EVERYDAY = "everyday_sentences.txt"  # sentences of no corpus, in data/
COUNT = 60  # clips in each row, where there are as many
SOUNDS = 5  # of the everyday sentences, stored beside the weights
METRICS = ("speech_share", "dnsmos")  # beside those of intelligibility


@dataclass(frozen=True)
class Voice:
    """Weights that say texts, and the recordings that they learned from."""

    name: str
    weights: str  # folder in data/
    dataset: str  # laid end to end, aligned
    metadata: str  # texts of its recordings


VOICES = (
    Voice("sample voice", SPEAKING, "sample_corpus.npy", "sentences.csv"),
    Voice("real voice", FOLDER, f"{CORPUS}.npy", "core-sounds-en.txt"),
)


def rows_of_speaking() -> list[dict]:
    """For each voice: held-out recordings, the same resynthesized, their texts said, and everyday
    sentences said; clip i of a row with seed i."""
    return [row for voice in VOICES for row in _rows(voice)]


def sound_files(voice: Voice) -> list[Path]:
    """Paths of the first everyday sentences as a voice says them."""
    folder = data_folder() / voice.weights
    return [folder / f"said_{number}.ogg" for number in range(1, SOUNDS + 1)]


def _rows(voice: Voice) -> list[dict]:
    model = DDPM.load(voice.weights)
    params, rate = model.params, model.params.sample_rate
    described = dataset_description(voice.dataset)
    folder, aligned = described["folder"], read_alignments(f"spectrograms/{voice.dataset}")
    files = [f["file"] for f in described["files"] if f["split"] == "validation"]
    files = [file for file in files if file in aligned][:COUNT]
    known = read_metadata(voice.metadata, folder, files)
    texts = [known.value(file, TEXT) for file in files]
    recorded = [clean(load_audio(fetch(folder) / file, rate).samples, rate) for file in files]
    everyday = fetch(EVERYDAY).read_text("utf-8").splitlines()[:COUNT]

    def say(each: list[str]) -> list[np.ndarray]:
        how = {"num_steps": 25, "time_grid": "uniform"}  # as all rows were measured
        return [model.say(text, seed=seed, **how)[0].audio for seed, text in enumerate(each)]

    def row(what: str, clips: list[np.ndarray], each: list[str]) -> dict:
        quality = evaluate(score_clips(clips, rate))
        found = evaluate_texts(score_texts(clips, each, rate)) | {m: quality[m] for m in METRICS}
        return {"row": f"{voice.name}, {what}"} | found

    said = say(everyday)
    for path, sound in zip(sound_files(voice), said, strict=False):
        save_ogg(path, sound, rate)
    return [
        row("recordings", recorded, texts),
        row("resynthesized", [resynthesize(sound, rate, params) for sound in recorded], texts),
        row("held-out texts", say(texts), texts),
        row("everyday sentences", said, everyday),
    ]
