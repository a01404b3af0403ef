"""How much a repository is asked for lately: a sum over downloads and likes, each of which halves every week.

Kept is the logarithm of what the sum would be if weights grew instead of shrinking: a like now counts for two of a week
ago. Both orders are the same at every moment, so that an index holds it and nothing has to be computed again as time
goes by; what is shown is the decayed sum.

Example:
    >>> week = 7 * 86_400.0
    >>> trend = add(add(0.0, 8, at=1e9), 1, at=1e9 + week)
    >>> score(trend, at=1e9 + week), score(trend, at=1e9 + 2 * week)
    (5.0, 2.5)
"""

from __future__ import annotations

import math

__all__ = ["DOWNLOAD", "LIKE", "add", "score"]

DOWNLOAD, LIKE = 1.0, 20.0  # what each counts when it comes
_HALF = 7 * 86_400.0  # seconds in which it halves


def add(trend: float, weight: float, *, at: float) -> float:
    """Return the logarithm after ``weight`` came at a moment (seconds since 1970); negative to take it back.

    A ``trend`` of 0 is nothing at all.
    """
    sum_of_it = (2 ** min(trend - at / _HALF, 1000.0) if trend else 0.0) + weight
    return math.log2(sum_of_it) + at / _HALF if sum_of_it > 1e-9 else 0.0


def score(trend: float, *, at: float) -> float:
    """Return the decayed sum at a moment, to two digits behind the point."""
    return round(2 ** min(trend - at / _HALF, 1000.0), 2) if trend else 0.0
