"""The parameters of a mel-spectrogram, which travel inside data sets, runs and weights."""

import dataclasses
import math
import warnings
from dataclasses import dataclass

from ddpmlib.storage.parameters import check_type


@dataclass(frozen=True)
class SpectrogramParams:
    """All that turns audio into a mel-spectrogram of n_mels x n_frames, and back.

    Raises TypeError or ValueError naming the parameter, its value, and what is needed.
    """

    sample_rate: int = 16_000  # Hz
    n_fft: int = 1024  # samples in one analysis window
    hop_length: int = 256  # samples between frames
    n_mels: int = 64  # mel bands
    n_frames: int = 256  # frames of one training example
    fmin: float = 0.0  # Hz, lowest mel band
    fmax: float = 8_000.0  # Hz, highest mel band
    top_db: float = 80.0  # dB from the lowest (-1) to the highest (+1) value

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            check_type(field.name, value, field.type)
            if not math.isfinite(value):
                raise ValueError(f"{field.name} is {value}; it must be finite")
            if value <= 0 and field.name != "fmin":
                raise ValueError(f"{field.name} is {value}; it must be above 0")
            # So that 8000 and 8000.0 are the same on disk too.
            object.__setattr__(self, field.name, field.type(value))
        if not 0 <= self.fmin < self.fmax <= self.sample_rate / 2:
            raise ValueError(
                f"fmin {self.fmin} Hz and fmax {self.fmax} Hz do not fit: "
                f"need 0 <= fmin < fmax <= {self.sample_rate / 2:g} Hz, half the sample rate"
            )

    @property
    def seconds(self) -> float:
        """Duration of n_frames in seconds."""
        return self.n_frames * self.hop_length / self.sample_rate

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) = (n_mels, n_frames)."""
        return self.n_mels, self.n_frames

    def frames_in(self, seconds: float) -> int:
        """Number of frames closest to a duration, at least one; ValueError if it is none."""
        if not 0 < seconds < math.inf:
            raise ValueError(f"seconds is {seconds}; it must be above 0")
        return max(1, round(seconds * self.sample_rate / self.hop_length))

    def check_overlap(self) -> None:
        """Raise ValueError where windows overlap too little for speech: hop_length > n_fft / 2."""
        hop, n_fft = self.hop_length, self.n_fft
        if hop > n_fft // 2:
            raise ValueError(
                f"hop_length {hop} is more than half of n_fft {n_fft}: sound gets lost between "
                f"windows; use hop_length <= {n_fft // 2} or n_fft >= {2 * hop}"
            )
        if hop > n_fft // 4:
            warnings.warn(
                f"hop_length {hop} is more than a quarter of n_fft {n_fft}; speech survives, "
                "Griffin-Lim prefers more overlap",
                stacklevel=2,
            )

    def check_same(self, other: "SpectrogramParams", ours: str, theirs: str) -> None:
        """Raise ValueError naming each field that differs between things called ours, theirs."""
        differing = [
            f"{name} is {value} in {ours} but {getattr(other, name)} in {theirs}"
            for name, value in self.to_dict().items()
            if value != getattr(other, name)
        ]
        if differing:
            raise ValueError("; ".join(differing))

    def to_dict(self) -> dict:
        """Plain numbers for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> "SpectrogramParams":
        """Read what `to_dict` wrote; an unknown name raises ValueError."""
        known = sorted(field.name for field in dataclasses.fields(cls))
        if unknown := sorted(set(values) - set(known)):
            names = ", ".join(known)
            raise ValueError(f"unknown spectrogram parameter {unknown[0]!r}; known: {names}")
        return cls(**values)


DEFAULT = SpectrogramParams()
# Worth a comparison; notebook 01 plays the same sentence through each.
PRESETS = {
    "default": DEFAULT,
    "80 mels": SpectrogramParams(22_050, 1024, 256, 80, 256, fmax=11_025.0),
    "12 s": SpectrogramParams(44_100, 8192, 2067, fmax=22_050.0),
    "12 s, original": SpectrogramParams(44_100, 2048, 2067, fmax=22_050.0),
}
