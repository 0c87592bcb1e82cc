"""What a user would take instead of our preparation and inversion, on the same input."""

from pathlib import Path

import numpy as np

from ddpmlib.audio import ENDINGS
from ddpmlib.mel import mel_filters, window_gain
from ddpmlib.preparation import AUGMENTATIONS
from ddpmlib.spectrogram import DEFAULT, SpectrogramParams, decode


def original_preparation(folder: Path, into: Path, augment: bool) -> int:
    """The original's way: file by file, copies of the sound, an array for each. Returns files."""
    import librosa

    grid = {"n_fft": DEFAULT.n_fft, "hop_length": DEFAULT.hop_length, "n_mels": DEFAULT.n_mels}
    rate = DEFAULT.sample_rate
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)
    for path in files:
        sound, _ = librosa.load(path, sr=rate)
        copies = [sound]
        if augment:
            copies += [vocoder(sound, **change) for change in AUGMENTATIONS.values()]
        for number, copy in enumerate(copies):
            mel = librosa.feature.melspectrogram(y=copy, sr=rate, **grid)
            decibels = librosa.power_to_db(mel, ref=np.max)
            np.save(into / f"{path.stem}_{number}.npy", (decibels + 80) / 80)
    return len(files)


def vocoder(sound: np.ndarray, speed: float = 1.0, semitones: int = 0) -> np.ndarray:
    """Another speed or pitch of a sound by librosa's phase vocoder."""
    import librosa

    if semitones:
        return librosa.effects.pitch_shift(sound, sr=DEFAULT.sample_rate, n_steps=semitones)
    return librosa.effects.time_stretch(sound, rate=speed)


def librosa_inversion(image: np.ndarray, params: SpectrogramParams) -> np.ndarray:
    """A picture to sound by librosa alone, from what its own `melspectrogram` would have given: at
    our scale, its tolerance is not reached in minutes."""
    import librosa

    grid = {"sr": params.sample_rate, "n_fft": params.n_fft}
    grid |= {"fmin": params.fmin, "fmax": params.fmax}
    slaney = librosa.filters.mel(n_mels=params.n_mels, **grid)
    height = slaney.max(axis=1) / mel_filters(params).max(axis=1)
    mel = decode(image, params) * window_gain(params) ** 2 * height[:, None]
    return librosa.feature.inverse.mel_to_audio(mel, hop_length=params.hop_length, **grid)
