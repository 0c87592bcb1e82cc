"""Channels of a recording: measured block by block, and mixed to mono so that no voice is lost."""

from dataclasses import dataclass, field

import numpy as np

OWN_DB = -40.0  # re the loudest channel; what a channel adds to it below this is no sound
LOUD, CLIPPED = 0.8, 0.98  # of the peak


@dataclass
class Channels:
    """Statistics of blocks (n, channels) of one rate, after `add` of each."""

    rate: int  # Hz
    count: int  # of channels
    samples: int = 0
    bad: int = 0  # NaN or infinite
    sums: np.ndarray = field(init=False)  # (channels,) of samples
    products: np.ndarray = field(init=False)  # (channels, channels), sums too
    lowest: np.ndarray = field(init=False)
    highest: np.ndarray = field(init=False)

    def __post_init__(self):
        self.sums, self.products = np.zeros(self.count), np.zeros((self.count, self.count))
        self.lowest, self.highest = np.full((2, self.count), [[np.inf], [-np.inf]])

    def add(self, block: np.ndarray) -> None:
        """Take in a block (n, channels)."""
        self.samples += len(block)
        self.lowest = np.minimum(self.lowest, block.min(axis=0, initial=np.inf))
        self.highest = np.maximum(self.highest, block.max(axis=0, initial=-np.inf))
        if len(block) and not np.isfinite(self.highest - self.lowest).all():
            self.bad += np.count_nonzero(~np.isfinite(block))
            return
        exact = np.ascontiguousarray(block.T, np.float64)
        self.sums += exact.sum(axis=1)
        self.products += np.einsum("in,jn->ij", exact, exact)  # the same from any number of threads

    @property
    def peak(self) -> float:
        """Of all channels, as found."""
        return float(max(self.highest.max(), -self.lowest.min()))

    @property
    def mean(self) -> np.ndarray:
        """(channels,) constant offset."""
        return self.sums / self.samples

    @property
    def covariance(self) -> np.ndarray:
        """(channels, channels) without the offset; the power of each is on the diagonal."""
        return self.products / self.samples - np.outer(self.mean, self.mean)


def mix_weights(covariance: np.ndarray) -> tuple[np.ndarray, int]:
    """Weights (channels,) of a mono mix, and the number of channels with a sound of their own.

    The mean where it is as loud as half the power of the loudest channel. Opposite phases cancel
    and an empty channel halves: then the loudest channel alone. Where others hold what it does not
    (two people, a microphone each), the mean of all that do, turned so that none cancels another.
    """
    powers = covariance.diagonal()
    count, loudest = len(powers), int(powers.argmax())
    threshold = 10 ** (OWN_DB / 10) * powers[loudest]
    shared = covariance[loudest] ** 2 / max(powers[loudest], 1e-30)  # follows the loudest
    own = powers - shared > threshold
    people = 1 + int(np.sum(own & (shared < 0.5 * powers)))
    weights = np.full(count, 1 / count)
    if weights @ covariance @ weights > 0.5 * powers[loudest]:
        return weights, people
    weights = np.eye(count)[loudest]
    for channel in np.flatnonzero(own):
        weights[channel] = -1 if weights @ covariance[channel] < 0 else 1
    return weights / np.abs(weights).sum(), people


class FlatTops:
    """Whether channels were clipped, found block by block: flat at their highest and lowest."""

    def __init__(self, peaks: np.ndarray):
        self.peaks = peaks  # (channels,)
        self.samples = 0
        self.flat, self.loud, self.crowded = np.zeros((3, len(peaks)), int)

    def add(self, block: np.ndarray) -> None:
        """Take in a block (n, channels), without offset."""
        self.samples += len(block)
        for channel, (samples, peak) in enumerate(zip(block.T, self.peaks, strict=True)):
            size = np.abs(samples)
            loud = np.flatnonzero(size > LOUD * peak)  # few of speech
            top = loud[size[loud] > CLIPPED * peak]
            behind = top[top > 0]
            self.flat[channel] += np.count_nonzero(samples[behind] == samples[behind - 1])
            self.crowded[channel] += len(top)
            self.loud[channel] += len(loud)

    @property
    def found(self) -> np.ndarray:
        """(channels,) bool: neighbours equal at the peak, for more than a thousandth."""
        # Coarse steps (8 bits) make a pure tone flat too, but no tone stays longer at its peak.
        crowded = self.crowded > 0.52 * (self.loud - self.crowded)
        return (self.flat > 1e-3 * (self.samples - 1)) & crowded
