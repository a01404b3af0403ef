"""Correlations and the tail probabilities of their tests."""

from __future__ import annotations

import math
from typing import Any

from enfold.evaluate.errors import EvaluationError

__all__ = ["correlation", "correlation_chance", "ranks"]


def correlation(first: Any, second: Any) -> float:
    """Return Pearson's correlation of two float64 arrays; nan when one of them does not vary.

    Raises:
        EvaluationError: there are fewer than two values.
    """
    import numpy as np

    if len(first) < 2:
        raise EvaluationError(f"a correlation needs at least two examples, not {len(first)}")
    first, second = first - first.mean(), second - second.mean()
    size = math.sqrt(first @ first) * math.sqrt(second @ second)
    return float(np.clip(first @ second / size, -1, 1)) if size else float("nan")


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
