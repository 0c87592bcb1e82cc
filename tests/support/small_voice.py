"""A prepared data set whose recordings lie beside it, for what is trained on recordings."""

from pathlib import Path

import numpy as np
import torch
from cases import vowel, write

from ddpmlib.data import recordings
from ddpmlib.data.build import build_dataset
from ddpmlib.data.preparation import Preparation
from ddpmlib.spectrogram.params import SpectrogramParams

SMALL = SpectrogramParams(sample_rate=8000, n_fft=256, hop_length=64, n_mels=16, fmax=4000)


def small_voice(folder: Path, monkeypatch) -> Path:
    """Make a folder an empty workbook and the current one, with the data set voice.npy."""
    (folder / "data").mkdir()
    (folder / "data" / "README.md").write_text("here")
    monkeypatch.chdir(folder)
    for i in range(10):
        write(folder / "data/corpora/voice" / f"{i}.wav", vowel(2, hz=100 + 15 * i))
    build_dataset("corpora/voice", "voice", Preparation(SMALL, validation_share=0.2), workers=1)
    monkeypatch.setattr(recordings, "MAX_HOURS", 1.0)
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")  # no processes for ten short files
    torch.set_num_threads(1)
    return folder


def magnitudes(sound: np.ndarray, params: SpectrogramParams) -> np.ndarray:
    """Those of the STFT, (n_fft / 2 + 1, n_frames), 1 for a full-scale sine."""
    import librosa

    stft = librosa.stft(sound, n_fft=params.n_fft, hop_length=params.hop_length)
    return np.abs(stft) / (params.n_fft / 4)


def error(magnitude: np.ndarray, wanted: np.ndarray) -> float:
    """L1 distance of compressed magnitudes, which the training of the mel-to-linear step lowers."""
    return float(np.abs(magnitude**0.3 - wanted**0.3).mean())
