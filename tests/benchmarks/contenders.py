"""What a user would take instead of our preparation and vocoder, on the same input."""

from pathlib import Path

import numpy as np

from ddpmlib.audio.recording import ENDINGS
from ddpmlib.data.preparation import AUGMENTATIONS
from ddpmlib.spectrogram.codec import decode
from ddpmlib.spectrogram.mel import mel_filters, window_gain
from ddpmlib.spectrogram.params import DEFAULT, SpectrogramParams

LARGE, ROUNDS_OF_NNLS = 65_536.0, 50  # see `librosa_vocoder_converged`


def baseline_preparation(folder: Path, into: Path, augment: bool) -> int:
    """The original project's way: file by file, copies of the sound, an array for each; returns the
    number of files."""
    import librosa

    options = {"n_fft": DEFAULT.n_fft, "hop_length": DEFAULT.hop_length, "n_mels": DEFAULT.n_mels}
    rate = DEFAULT.sample_rate
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)
    for path in files:
        sound, _ = librosa.load(path, sr=rate)
        copies = [sound]
        if augment:
            copies += [phase_vocoder(sound, **change) for change in AUGMENTATIONS.values()]
        for number, copy in enumerate(copies):
            mel = librosa.feature.melspectrogram(y=copy, sr=rate, **options)
            decibels = librosa.power_to_db(mel, ref=np.max)
            np.save(into / f"{path.stem}_{number}.npy", (decibels + 80) / 80)
    return len(files)


def phase_vocoder(sound: np.ndarray, speed: float = 1.0, semitones: int = 0) -> np.ndarray:
    """Another speed or pitch of a sound by librosa's phase vocoder."""
    import librosa

    if semitones:
        return librosa.effects.pitch_shift(sound, sr=DEFAULT.sample_rate, n_steps=semitones)
    return librosa.effects.time_stretch(sound, rate=speed)


def librosa_vocoder(image: np.ndarray, params: SpectrogramParams) -> np.ndarray:
    """Waveform of a mel-spectrogram by librosa alone, at the scale of its own `melspectrogram`.

    The tolerance of its solver is absolute, and sound at this scale is below it: the solver stops
    where it starts, at a clipped least-squares solution. `librosa_vocoder_converged` lets it run.
    """
    import librosa

    options = {"sr": params.sample_rate, "n_fft": params.n_fft}
    options |= {"fmin": params.fmin, "fmax": params.fmax}
    slaney = librosa.filters.mel(n_mels=params.n_mels, **options)
    height = slaney.max(axis=1) / mel_filters(params).max(axis=1)
    mel = decode(image, params) * window_gain(params) ** 2 * height[:, None]
    return librosa.feature.inverse.mel_to_audio(mel, hop_length=params.hop_length, **options)


def librosa_vocoder_converged(image: np.ndarray, params: SpectrogramParams) -> np.ndarray:
    """The same solver and Griffin-Lim of librosa, with an input so large that its tolerance is
    small, and ROUNDS_OF_NNLS iterations."""
    import librosa

    filters, mel = mel_filters(params), decode(image, params)
    solved = librosa.util.nnls(filters, mel * LARGE, maxiter=ROUNDS_OF_NNLS) / LARGE
    magnitude = np.sqrt(solved) * window_gain(params)
    return librosa.griffinlim(magnitude, hop_length=params.hop_length, n_fft=params.n_fft)
