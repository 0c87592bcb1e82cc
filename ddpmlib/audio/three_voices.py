"""The sample corpus as three speakers: data for a condition on the speaker."""

import csv
import itertools
import os
import tempfile
from pathlib import Path

from ddpmlib.audio.cleaning import save_wav
from ddpmlib.audio.recording import load_audio
from ddpmlib.storage.atomic import make_folder
from ddpmlib.storage.paths import data_folder

SAMPLE, TABLE = "sample_corpus", "sentences.csv"
# One voice played at other speeds: slower and lower as of a longer vocal tract, faster and higher.
SPEEDS = {"giant": 0.8, "herself": 1.0, "elf": 1.25}
RATE = 16_000  # Hz, of the sample corpus


def make_voices() -> Path:
    """Write `data/corpora/three_voices/`, with a table of texts and speakers, unless it exists.

    Each voice has a third of the sentences, so that no two speak the same one.
    """
    source, folder = data_folder() / SAMPLE, data_folder() / "corpora" / "three_voices"
    if folder.exists():
        return folder
    with (source / TABLE).open(encoding="utf-8", newline="") as stream:
        sentences = list(csv.DictReader(stream))
    make_folder(folder.parent)
    with tempfile.TemporaryDirectory(prefix=".three_voices-", dir=folder.parent) as stage:
        made = make_folder(Path(stage, "voices"))
        lines = [("file", "text", "speaker")]
        for sentence, speaker in zip(sentences, itertools.cycle(SPEEDS), strict=False):
            file = Path(sentence["file"]).with_suffix(".wav").name
            samples = load_audio(source / sentence["file"], RATE).samples
            save_wav(made / file, samples, round(SPEEDS[speaker] * RATE))
            lines.append((file, sentence["text"], speaker))
        with (made / TABLE).open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows(lines)
        try:
            os.replace(made, folder)
        except OSError:
            if not folder.exists():  # else another process made them meanwhile
                raise
    return folder
