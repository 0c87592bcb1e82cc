"""The one codec of the value range: mel power <-> dB <-> [-1, 1]; PNG, for eyes only."""

from pathlib import Path

import numpy as np

from ddpmlib.spectrogram.params import SpectrogramParams
from ddpmlib.storage.atomic import atomic_write
from ddpmlib.storage.paths import fetch

REFERENCE_DB = -10.0  # of the value +1, re a full-scale sine: loudest bands of levelled speech
PNG_GREYS = 255  # one grey step is top_db / 255, 0.3 dB


def encode(mel: np.ndarray, params: SpectrogramParams) -> np.ndarray:
    """Mel power -> values in [-1, 1], float32 of the same shape.

    REFERENCE_DB is +1 and top_db below it is -1, for every clip: loudness is preserved and silence
    stays dark. Louder and softer values are clipped.
    """
    db = 10 * np.log10(np.maximum(mel, 1e-20)) - REFERENCE_DB
    return (np.clip(1 + 2 * db / params.top_db, -1, 1)).astype(np.float32)


def decode(values: np.ndarray, params: SpectrogramParams) -> np.ndarray:
    """Values in [-1, 1] -> mel power; the inverse of `encode`. The floor becomes true silence."""
    values = np.asarray(values, np.float32)
    mel = 10 ** (((np.clip(values, -1, 1) - 1) / 2 * params.top_db + REFERENCE_DB) / 10)
    return np.where(values <= -1, 0, mel).astype(np.float32)


def save_png(path: str | Path, mel: np.ndarray) -> None:
    """Write ([1,] n_mels, n_frames) values in [-1, 1] as 8-bit grey, low frequencies at the bottom.

    The scale is fixed: the same value is the same grey in every PNG.
    """
    from PIL import Image

    mel = np.asarray(mel, np.float32).reshape(np.shape(mel)[-2:])
    grey = np.round((np.clip(mel, -1, 1) + 1) / 2 * PNG_GREYS).astype(np.uint8)
    with atomic_write(path) as temporary:
        Image.fromarray(grey[::-1]).save(temporary, format="PNG")


def load_png(path: str | Path) -> np.ndarray:
    """Read what `save_png` wrote: (n_mels, n_frames) float32 in [-1, 1]; ValueError if coloured."""
    from PIL import Image

    with Image.open(fetch(path)) as image:
        if image.mode != "L":
            raise ValueError(f"{path} is a {image.mode} image; needed: 8-bit grey (L)")
        grey = np.asarray(image, np.float32)
    return grey[::-1] / PNG_GREYS * 2 - 1
