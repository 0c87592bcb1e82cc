"""Example sounds of the results: generated ones are in `data/pretrained/sounds/`."""

from pathlib import Path

import numpy as np

from ddpmlib.audio.cleaning import clean
from ddpmlib.audio.corpora import fetch_corpus
from ddpmlib.audio.download import CorpusError
from ddpmlib.audio.recording import load_audio
from ddpmlib.spectrogram.mel import audio_to_image
from ddpmlib.spectrogram.params import DEFAULT, PRESETS, SpectrogramParams
from ddpmlib.storage.atomic import atomic_write, make_folder
from ddpmlib.storage.paths import data_folder
from ddpmlib.vocoder.waveform import image_to_audio

FOLDER, SOUNDS = "pretrained", "sounds"
CORPUS, SENTENCE, RATE = "asterisk-en", "vm-intro.g722", 16_000
BASELINE_PARAMS = PRESETS["12 s, original"]
LESS_GUIDANCE = 1.5  # than the default guidance scale
MINUTES = 14  # of training, after which this workbook and the baseline are compared
# Rows of the table.
REAL, RESYNTHESIZED, NOISE = "real speech", "real, resynthesized", "noise"
RESYNTHESIZED_BASELINE = f"{RESYNTHESIZED}, baseline parameters"
SHIPPED, LESS_GUIDED = "shipped weights", f"shipped weights, guidance {LESS_GUIDANCE}"
THIS_WORKBOOK, BASELINE = (f"{of}, {MINUTES} minutes" for of in ("this workbook", "baseline"))
GENERATED = (SHIPPED, LESS_GUIDED, THIS_WORKBOOK, BASELINE)
NOISE_LEVEL = 0.07  # root mean square, about that of prepared speech


def sound_file(row: str) -> Path:
    """Path of the first clip of a generated row."""
    return data_folder() / FOLDER / SOUNDS / f"{row.replace(',', '').replace(' ', '_')}.ogg"


def save_sound(row: str, samples: np.ndarray, sample_rate: int) -> None:
    """Write (n,) samples of a generated row; real speech is never stored."""
    save_ogg(sound_file(row), samples, sample_rate)


def save_ogg(path: Path, samples: np.ndarray, sample_rate: int) -> None:
    """Write (n,) samples as Ogg Vorbis."""
    import soundfile

    make_folder(path.parent)
    with atomic_write(path) as temporary:
        soundfile.write(temporary, samples.clip(-1, 1), sample_rate, format="OGG")


def table_sounds() -> dict[str, np.ndarray]:
    """A sound at RATE for each row of the table, equally loud: stored, made, or fetched now.

    Without real recordings and without network the real ones are missing, and a sentence says so.
    """
    noise = {NOISE: np.random.default_rng(0).normal(0, NOISE_LEVEL, 2 * RATE)}
    stored = {row: clean(load_audio(sound_file(row), RATE).samples, RATE) for row in GENERATED}
    try:
        folder = fetch_corpus(CORPUS, data_folder() / "corpora")
    except CorpusError as error:
        print(f"Without players for real speech: {error}")
        return stored | noise
    real = clean(load_audio(folder / SENTENCE, RATE).samples, RATE)
    # Its windows do not overlap, so Griffin-Lim divides by next to nothing: peaks of thousands.
    baseline = clean(resynthesize(real, RATE, BASELINE_PARAMS).clip(-1, 1), RATE)
    resynthesized = {RESYNTHESIZED: resynthesize(real, RATE, DEFAULT)}
    return {REAL: real} | resynthesized | {RESYNTHESIZED_BASELINE: baseline} | stored | noise


def resynthesize(sound: np.ndarray, sample_rate: int, params: SpectrogramParams) -> np.ndarray:
    """(n,) samples to a mel-spectrogram and back; a little longer or shorter."""
    import librosa

    resampled = librosa.resample(sound, orig_sr=sample_rate, target_sr=params.sample_rate)
    vocoded = image_to_audio(audio_to_image(resampled, params), params)
    return librosa.resample(vocoded, orig_sr=params.sample_rate, target_sr=sample_rate)
