"""Correlations and the tail probabilities of their tests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from enfold.evaluate.errors import EvaluationError

__all__ = ["Moments", "correlation", "correlation_chance", "moments", "ranks"]


@dataclass(frozen=True)
class Moments:
    """What two columns tell of their means, spreads and correlation; the sum of two is that of the joined columns.

    As counts that add up they are a list of rows, of which `Moments.of` makes the sum.

    Args:
        count: the number of rows.
        mean: the columns' means.
        spread: the sums of squared distances from the means.
        together: the sum of products of these distances.

    Source: T. Chan, G. Golub and R. LeVeque, "Updating formulae and a pairwise algorithm for computing sample
    variances", 1979: distances from the joined mean are taken from those from each part's own, so that nothing cancels.
    """

    count: int
    mean: Sequence[float]
    spread: Sequence[float]
    together: float

    @staticmethod
    def of(parts: list[Any]) -> Moments:
        """Return the moments of all parts together."""
        total, *others = (Moments(*part) for part in parts)
        for other in others:
            total += other
        return total

    def __add__(self, other: Moments) -> Moments:
        count = self.count + other.count
        apart = [theirs - ours for ours, theirs in zip(self.mean, other.mean, strict=True)]
        share = self.count * other.count / count
        mean = [ours + gap * other.count / count for ours, gap in zip(self.mean, apart, strict=True)]
        spread = [a + b + gap**2 * share for a, b, gap in zip(self.spread, other.spread, apart, strict=True)]
        together = self.together + other.together + apart[0] * apart[1] * share
        return Moments(count, mean, spread, together)

    def correlation(self) -> float:
        """Return Pearson's correlation; nan when one of the columns does not vary.

        Raises:
            EvaluationError: there are fewer than two rows.
        """
        if self.count < 2:
            raise EvaluationError(f"a correlation needs at least two examples, not {self.count}")
        # the root of the product is exact where both spreads are equal; the product may be too small or large for it
        product = self.spread[0] * self.spread[1]
        fits = 1e-290 < product < 1e290
        size = math.sqrt(product) if fits else math.sqrt(self.spread[0]) * math.sqrt(self.spread[1])
        return min(max(self.together / size, -1.0), 1.0) if size else float("nan")


def moments(first: Any, second: Any) -> list[Any]:
    """Return the moments of two float64 arrays of one length, as counts that add up."""
    mean = float(first.mean()), float(second.mean())
    first, second = first - mean[0], second - mean[1]
    return [(len(first), mean, (float(first @ first), float(second @ second)), float(first @ second))]


def correlation(first: Any, second: Any) -> float:
    """Return Pearson's correlation of two float64 arrays; nan when one of them does not vary.

    Raises:
        EvaluationError: there are fewer than two values.
    """
    return Moments.of(moments(first, second)).correlation()


def ranks(values: Any) -> Any:
    """Return the ranks from 1; equal values share the mean of theirs."""
    import numpy as np

    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return ((last - counts + 1 + last) / 2)[place]


def correlation_chance(value: float, count: int) -> float:
    """Return how probable a correlation at least this strong is among ``count`` unrelated normal values, both ways.

    Source: under independence r² follows Beta(1/2, n/2 - 1), as in Student's t test of a correlation.
    """
    if math.isnan(value):
        return float("nan")
    if count < 3:
        return 1.0
    return _beta_share(count / 2 - 1, 0.5, 1 - value * value)


def _beta_share(a: float, b: float, x: float) -> float:
    """The regularized incomplete beta function, by Lentz's continued fraction (Abramowitz and Stegun 26.5.8)."""
    if x <= 0 or x >= 1:
        return min(max(x, 0.0), 1.0)
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta_share(b, a, 1 - x)
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    ) / a  # fmt: skip
    tiny = 1e-300
    c, d = 1.0, 1 / ((1 - (a + b) * x / (a + 1)) or tiny)
    fraction = d
    for m in range(1, 10_000):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / ((1 + term * d) or tiny)
            c = (1 + term / c) or tiny
            fraction *= c * d
        if abs(c * d - 1) < 1e-16:
            break
    return front * fraction
