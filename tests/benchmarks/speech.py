"""Sentences for the benchmarks: recorded ones where they are here, else of the sample corpus."""

import numpy as np

from ddpmlib.audio.cleaning import clean
from ddpmlib.audio.recording import find_audio, load_audio
from ddpmlib.data.recordings import load_recordings, windows
from ddpmlib.spectrogram.params import DEFAULT
from ddpmlib.storage.paths import data_folder

RECORDED, SYNTHETIC = "asterisk-en", "sample_corpus"
RATE = DEFAULT.sample_rate
SECONDS = (DEFAULT.n_frames - 1) * DEFAULT.hop_length / RATE


def sentences(count: int) -> tuple[list[np.ndarray], str]:
    """Sounds that fill a mel-spectrogram, and the name of their corpus. Recorded ones are held out:
    mel-to-linear was not trained on them."""
    try:
        _, held_out, _ = load_recordings([f"{RECORDED}.npy"])
    except FileNotFoundError:
        files = find_audio(data_folder() / SYNTHETIC)
        sounds = [clean(load_audio(path, RATE).samples, RATE) for path in files[: 2 * count]]
        return windows(np.concatenate(sounds), RATE, SECONDS, count), SYNTHETIC
    return windows(held_out, RATE, SECONDS, count), f"{RECORDED}, held out"
