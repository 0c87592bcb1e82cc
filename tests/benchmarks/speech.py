"""Sentences for the benchmarks: recorded ones where they are here, else of the sample corpus."""

import numpy as np

from ddpmlib.audio import clean, find_audio, load_audio
from ddpmlib.spectrogram import DEFAULT
from ddpmlib.storage import data_folder

RATE = DEFAULT.sample_rate


def sentences(count: int) -> list[np.ndarray]:
    """Cleaned sound of recordings that fill a picture, evenly chosen, cut to its length."""
    recorded = data_folder() / "corpora" / "asterisk-en"
    folder = recorded if recorded.exists() else data_folder() / "sample_corpus"
    samples = (DEFAULT.n_frames - 1) * DEFAULT.hop_length
    sounds = (clean(load_audio(path, RATE).samples, RATE) for path in find_audio(folder))
    long = [sound[:samples] for sound in sounds if len(sound) >= samples]
    if len(long) < count:
        raise SystemExit(
            f"{folder} has {len(long)} recordings that fill a picture; needed: {count}"
        )
    return [long[i] for i in np.linspace(0, len(long) - 1, count).astype(int)]
