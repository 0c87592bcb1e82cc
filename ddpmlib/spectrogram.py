"""The grid of a picture and its one codec: audio <-> mel power <-> dB <-> values in [-1, 1]."""

import dataclasses
import math
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ddpmlib.storage import atomic_write, fetch

REFERENCE_DB = -10.0  # of the value +1, re a full-scale sine: loudest bands of levelled speech
PNG_GREYS = 255  # one grey step is top_db / 255, 0.3 dB


@dataclass(frozen=True)
class SpectrogramParams:
    """What turns audio into one picture and back; travels inside data, runs and weights."""

    sample_rate: int = 16_000  # Hz
    n_fft: int = 1024  # samples in one analysis window
    hop_length: int = 256  # samples between frames
    n_mels: int = 64  # height of the picture
    n_frames: int = 256  # width of the picture
    fmin: float = 0.0  # Hz, lowest mel band
    fmax: float = 8_000.0  # Hz, highest mel band
    top_db: float = 80.0  # dB from the darkest (-1) to the brightest (+1) value

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            whole = field.type in (int, "int")
            good = isinstance(value, int) if whole else isinstance(value, int | float)
            if not good or isinstance(value, bool):
                kind = "a whole number" if whole else "a number"
                raise TypeError(f"{field.name} is {value!r}; it must be {kind}")
            if not math.isfinite(value):
                raise ValueError(f"{field.name} is {value}; it must be finite")
            if not whole:  # so that 8000 and 8000.0 are one grid on disk too
                object.__setattr__(self, field.name, float(value))
            if value <= 0 and field.name != "fmin":
                raise ValueError(f"{field.name} is {value}; it must be above 0")
        if not 0 <= self.fmin < self.fmax <= self.sample_rate / 2:
            raise ValueError(
                f"fmin {self.fmin} Hz and fmax {self.fmax} Hz do not fit: "
                f"need 0 <= fmin < fmax <= {self.sample_rate / 2:g} Hz, half the sample rate"
            )

    @property
    def seconds(self) -> float:
        """Length of one picture in seconds."""
        return self.n_frames * self.hop_length / self.sample_rate

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) = (n_mels, n_frames)."""
        return self.n_mels, self.n_frames

    def frames_in(self, seconds: float) -> int:
        """Frames that last about so long, at least one.

        Raises:
            ValueError: not a length.
        """
        if not 0 < seconds < math.inf:
            raise ValueError(f"seconds is {seconds}; it must be above 0")
        return max(1, round(seconds * self.sample_rate / self.hop_length))

    def check_overlap(self) -> None:
        """Refuse grids whose analysis windows cannot carry speech (hop_length > n_fft / 2).

        Raises:
            ValueError: naming the hop given and the hop needed.
        """
        if self.hop_length > self.n_fft // 2:
            raise ValueError(
                f"hop_length {self.hop_length} is more than half of n_fft {self.n_fft}: sound gets "
                f"lost between windows; use hop_length <= {self.n_fft // 2} or n_fft >= "
                f"{2 * self.hop_length}"
            )
        if self.hop_length > self.n_fft // 4:
            warnings.warn(
                f"hop_length {self.hop_length} is more than a quarter of n_fft {self.n_fft}; "
                "speech survives, Griffin-Lim prefers more overlap",
                stacklevel=2,
            )

    def check_same(self, other: "SpectrogramParams", ours: str, theirs: str) -> None:
        """Raise ValueError naming each field that differs between things called ours, theirs."""
        mine, yours = self.to_dict(), other.to_dict()
        differing = [
            f"{name} is {value} in {ours} but {yours[name]} in {theirs}"
            for name, value in mine.items()
            if value != yours[name]
        ]
        if differing:
            raise ValueError("; ".join(differing))

    def to_dict(self) -> dict:
        """Plain numbers for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> "SpectrogramParams":
        """Read what `to_dict` wrote; an unknown name raises ValueError."""
        known = {f.name for f in dataclasses.fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ValueError(
                f"unknown spectrogram parameter {unknown[0]!r}; known: {', '.join(sorted(known))}"
            )
        return cls(**values)


DEFAULT = SpectrogramParams()
# Grids worth comparing; notebook 01 plays the same sentence through each.
GRIDS = {
    "default": DEFAULT,
    "80 mels": SpectrogramParams(22_050, 1024, 256, 80, 256, fmax=11_025.0),
    "12 s": SpectrogramParams(44_100, 8192, 2067, fmax=22_050.0),
    "12 s, original": SpectrogramParams(44_100, 2048, 2067, fmax=22_050.0),
}


def encode(mel: np.ndarray, params: SpectrogramParams) -> np.ndarray:
    """Mel power -> values in [-1, 1], float32 of the same shape.

    REFERENCE_DB is +1 and top_db below it is -1, for every clip: loudness is kept and silence
    stays dark. Louder and softer values are clipped.
    """
    db = 10 * np.log10(np.maximum(mel, 1e-20)) - REFERENCE_DB
    return (np.clip(1 + 2 * db / params.top_db, -1, 1)).astype(np.float32)


def decode(values: np.ndarray, params: SpectrogramParams) -> np.ndarray:
    """Values in [-1, 1] -> mel power; the inverse of `encode`. The floor becomes true silence."""
    values = np.asarray(values, np.float32)
    mel = 10 ** (((np.clip(values, -1, 1) - 1) / 2 * params.top_db + REFERENCE_DB) / 10)
    return np.where(values <= -1, 0, mel).astype(np.float32)


def audio_to_image(
    audio: np.ndarray, params: SpectrogramParams, speed: float = 1.0, semitones: float = 0.0
) -> np.ndarray:
    """Audio (samples,) at params.sample_rate -> (n_mels, frames) float32 in [-1, 1].

    For speed and semitones see `mel.audio_to_mel`.
    """
    from ddpmlib.mel import audio_to_mel

    return encode(audio_to_mel(audio, params, speed, semitones), params)


def image_to_audio(image: np.ndarray | str | Path, params: SpectrogramParams) -> np.ndarray:
    """One picture -> audio.

    Args:
        image: (n_mels, frames) or (1, n_mels, frames) in [-1, 1], or the path of a PNG that
            `save_png` wrote.
        params: the grid that the picture was made with.

    Returns:
        ((frames - 1) * hop_length,) float32 samples at params.sample_rate.

    Raises:
        ValueError: when the picture's height is not params.n_mels, or a value is not finite.
    """
    from ddpmlib.inversion import griffin_lim, mel_to_magnitude

    image = load_png(image) if isinstance(image, str | Path) else np.asarray(image, np.float32)
    image = image[0] if image.ndim == 3 and len(image) == 1 else image
    if image.ndim != 2 or image.shape[0] != params.n_mels:
        raise ValueError(f"picture of shape {image.shape}; needed: ({params.n_mels}, frames)")
    if bad := np.count_nonzero(~np.isfinite(image)):
        raise ValueError(f"{bad} values of the picture are NaN or infinite; needed: -1...1")
    return griffin_lim(mel_to_magnitude(decode(image, params), params), params)


def save_png(path: str | Path, image: np.ndarray) -> None:
    """Write a picture in [-1, 1] as 8-bit grey, low frequencies at the bottom, always one scale."""
    from PIL import Image

    image = np.asarray(image, np.float32).reshape(np.shape(image)[-2:])
    grey = np.round((np.clip(image, -1, 1) + 1) / 2 * PNG_GREYS).astype(np.uint8)
    with atomic_write(path) as temporary:
        Image.fromarray(grey[::-1]).save(temporary, format="PNG")


def load_png(path: str | Path) -> np.ndarray:
    """Read what `save_png` wrote: (n_mels, frames) float32 in [-1, 1]."""
    from PIL import Image

    with Image.open(fetch(path)) as picture:
        if picture.mode != "L":
            raise ValueError(f"{path} is a {picture.mode} picture; needed: 8-bit grey (L)")
        grey = np.asarray(picture, np.float32)
    return grey[::-1] / PNG_GREYS * 2 - 1
