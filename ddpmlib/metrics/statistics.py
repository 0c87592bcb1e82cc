"""Statistics and distances behind the metrics, and their confidence intervals."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

RESAMPLES = 1000  # of the bootstrap
PER = 1000  # draws among which the distinct ones are counted


class Estimate(NamedTuple):
    """A value with its 95 % confidence interval; [value, low, high] in JSON.

    Both ends are None where nothing is known of how much the value varies.
    """

    value: float
    low: float | None
    high: float | None

    def __str__(self) -> str:
        digits = max(0, 2 - math.floor(math.log10(max(abs(self.value), 0.1))))
        if self.low is None:
            return f"{self.value:.{digits}f}"
        return f"{self.value:.{digits}f} ({self.low:.{digits}f} to {self.high:.{digits}f})"

    def within(self, low: float, high: float = math.inf) -> "Estimate":
        """The same, with an interval that goes no lower and no higher."""
        if self.low is None:
            return self
        return self._replace(low=max(low, self.low), high=min(high, self.high))


def estimate(statistic: Callable[[np.ndarray], float], count: int) -> Estimate:
    """A statistic of `count` clips, called with the indices of some of them.

    The value +- 1.96 bootstrap standard errors (Efron & Tibshirani 1993, chapter 13). Percentiles
    would not do: drawing clips twice makes a set less varied, so they lie beside the value.
    One clip has no interval: it says nothing of how much clips vary.
    """
    value, rng = float(statistic(np.arange(count))), np.random.default_rng(0)
    if count < 2:
        return Estimate(value, None, None)
    drawn = [statistic(rng.integers(count, size=count)) for _ in range(RESAMPLES)]
    half = 1.96 * float(np.std(drawn, ddof=1))
    return Estimate(value, value - half, value + half)


def mean(values: np.ndarray) -> Estimate:
    """Mean of a value of each clip (count,)."""
    return estimate(lambda indices: values[indices].mean(), len(values))


def share(right: np.ndarray) -> Estimate:
    """Share of the clips (count,) that are right, with its exact interval (Clopper & Pearson 1934).

    Resampling clips that are all right would leave no interval at all.
    """
    from scipy.stats import binomtest

    interval = binomtest(int(np.sum(right)), len(right)).proportion_ci()
    return Estimate(float(np.mean(right)), float(interval.low), float(interval.high))


def divergence(counts: np.ndarray, others: np.ndarray) -> float:
    """Jensen-Shannon divergence of two histograms in bit: 0 for equal ones, 1 for disjoint ones."""
    from scipy.spatial.distance import jensenshannon

    if not counts.any() or not others.any():
        return 1.0  # an empty histogram is as far as can be from any other
    return float(jensenshannon(counts, others, base=2) ** 2)


def entropy(counts: np.ndarray) -> float:
    """Of a histogram, in bit (Shannon 1948)."""
    shares = counts[counts > 0] / max(1, counts.sum())
    return float((shares * -np.log2(shares)).sum())


def distinct(counts: np.ndarray) -> float:
    """Expected number of kinds among PER drawn without replacement (Hurlbert 1971, eq. 1).

    Where there are fewer than PER, all of them count, scaled up.
    """
    from scipy.special import gammaln

    total = counts.sum()
    draws = min(PER, total)
    if draws == 0:
        return 0.0
    left = total - counts[counts > 0]
    missed = np.full(len(left), -np.inf)
    enough = left >= draws
    rest = left[enough]
    missed[enough] = gammaln(rest + 1) - gammaln(rest - draws + 1)
    missed[enough] -= gammaln(total + 1) - gammaln(total - draws + 1)
    return float((1 - np.exp(missed)).sum() * PER / draws)


def frame_statistics(frames: np.ndarray) -> np.ndarray:
    """Sums over frames (n, bands) of 1, x and x x^T, in one matrix (1 + bands, 1 + bands).

    Those of several clips add up.
    """
    frames = np.asarray(frames, np.float64)
    extended = np.hstack([np.ones((len(frames), 1)), frames])
    return extended.T @ extended


def frechet_distance(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Squared Fréchet distance of two Gaussians over log-mel frames, from `frame_statistics`.

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), Dowson & Landau 1982; used for images by Heusel
    et al. 2017. Unit: (40 dB)^2, summed over 64 bands; two halves of one voice are about 0.03.
    """
    (m1, c1), (m2, c2) = _gaussian(ours), _gaussian(theirs)
    root = np.linalg.eigvals(c1 @ c2).real.clip(min=0)  # of a product of covariances: real, >= 0
    return float(np.square(m1 - m2).sum() + np.trace(c1 + c2) - 2 * np.sqrt(root).sum())


def _gaussian(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    center = sums[0, 1:] / sums[0, 0]
    return center, sums[1:, 1:] / sums[0, 0] - np.outer(center, center)
