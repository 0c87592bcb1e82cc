"""The vocoder in one call: mel-spectrogram -> waveform."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np

from ddpmlib.spectrogram.codec import decode, load_png
from ddpmlib.spectrogram.params import SpectrogramParams
from ddpmlib.storage.parallel import in_threads
from ddpmlib.vocoder.griffin_lim import griffin_lim, mel_to_magnitude


def image_to_audio(image: np.ndarray | str | Path, params: SpectrogramParams) -> np.ndarray:
    """One mel-spectrogram -> audio.

    Args:
        image: ([1,] n_mels, n_frames) in [-1, 1], or the path of a PNG that `save_png` wrote.
        params: those that it was made with.

    Returns:
        ((n_frames - 1) * hop_length,) float32 samples at params.sample_rate.

    Raises:
        ValueError: it has not params.n_mels bands, or a value is not finite.
    """
    mel = load_png(image) if isinstance(image, str | Path) else np.asarray(image, np.float32)
    mel = mel[0] if mel.ndim == 3 and len(mel) == 1 else mel
    if mel.ndim != 2 or len(mel) != params.n_mels:
        raise ValueError(f"mel-spectrogram of {mel.shape}; needed: ({params.n_mels}, n_frames)")
    if bad := np.count_nonzero(~np.isfinite(mel)):
        raise ValueError(f"{bad} values of the mel-spectrogram are NaN or infinite; needed: -1...1")
    return griffin_lim(mel_to_magnitude(decode(mel, params), params), params)


def images_to_audio(
    images: Iterable[np.ndarray | str | Path], params: SpectrogramParams
) -> list[np.ndarray]:
    """Several mel-spectrograms -> their audio, one on each core: what `image_to_audio` makes of
    each."""
    return in_threads(partial(image_to_audio, params=params), list(images))
