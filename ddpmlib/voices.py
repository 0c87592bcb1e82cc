"""Voices: some to tell apart where there is only one, and a judge of who is speaking."""

import csv
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ddpmlib.dataset import SpectrogramSet
from ddpmlib.storage import data_folder, make_folder

SAMPLE, TABLE = "sample_corpus", "sentences.csv"
# One voice at other speeds: a longer throat that speaks slowly, and a shorter one that hurries.
SPEEDS = {"giant": 0.8, "herself": 1.0, "elf": 1.25}
RATE = 16_000  # Hz, of the sample corpus
LOUD = -0.6  # mean of a frame above which somebody speaks


def make_voices() -> Path:
    """The sample corpus as three voices, in `data/corpora/three_voices/` with a table of texts and
    speakers; each voice has a third of the sentences, so that no two say the same."""
    source, folder = data_folder() / SAMPLE, data_folder() / "corpora" / "three_voices"
    if folder.exists():
        return folder
    make_folder(folder.parent)
    with tempfile.TemporaryDirectory(prefix=".three_voices-", dir=folder.parent) as stage:
        _write_voices(source, made := make_folder(Path(stage, "voices")))
        try:
            os.replace(made, folder)
        except OSError:
            if not folder.exists():  # else somebody made them meanwhile
                raise
    return folder


def _write_voices(source: Path, into: Path) -> None:
    from ddpmlib.audio import load_audio, save_wav

    with (source / TABLE).open(encoding="utf-8", newline="") as stream:
        sentences = list(csv.DictReader(stream))
    lines = [("file", "text", "speaker")]
    for i, sentence in enumerate(sentences):
        speaker = list(SPEEDS)[i % len(SPEEDS)]
        file = Path(sentence["file"]).with_suffix(".wav").name
        samples = load_audio(source / sentence["file"], RATE).samples
        save_wav(into / file, samples, round(SPEEDS[speaker] * RATE))
        lines.append((file, sentence["text"], speaker))
    with (into / TABLE).open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows(lines)


class VoiceJudge:
    """Who is speaking: the class whose mean of `statistics` is nearest, after training pictures.

    Near in units of how much a voice varies by itself, from picture to picture (linear discriminant
    analysis, Fisher 1936; covariance shrunk as Ledoit & Wolf 2004 say), so that a voice is the same
    when it is louder. It knows nothing of the model whose samples it hears.
    """

    def __init__(self, data: SpectrogramSet):
        from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

        said = data.conditions(range(len(data))).numpy()
        known = np.flatnonzero(said >= 0)
        priors = [1 / len(speakers := np.unique(said[known]))] * len(speakers)  # nobody is likelier
        self.classes = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=priors)
        self.classes.fit(statistics([data[i].numpy() for i in known]), said[known])

    def hear(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """The number of the class of each picture, (n,)."""
        return self.classes.predict(statistics(pictures))

    def share(self, pictures: Sequence[np.ndarray], said: Sequence[int]) -> float:
        """How many of the pictures are heard as what was said, 0...1."""
        return float((self.hear(pictures) == np.asarray(said)).mean())


def statistics(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Mean and deviation of each band over the frames in which somebody speaks, (n, 2 n_mels)."""
    rows = []
    for picture in pictures:
        bands = np.asarray(picture, np.float32).reshape(picture.shape[-2:])
        spoken = bands[:, bands.mean(axis=0) > LOUD]
        spoken = spoken if spoken.size else bands
        rows.append(np.concatenate([spoken.mean(axis=1), spoken.std(axis=1)]))
    return np.stack(rows)


def spoken_seconds(picture: np.ndarray, frame_seconds: float) -> float:
    """When a picture falls silent."""
    bands = np.asarray(picture, np.float32).reshape(picture.shape[-2:])
    spoken = np.flatnonzero(bands.mean(axis=0) > LOUD)
    return float(spoken[-1] + 1) * frame_seconds if len(spoken) else 0.0
