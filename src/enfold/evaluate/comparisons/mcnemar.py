"""McNemar's test of two classifiers."""

from __future__ import annotations

import math
from typing import Any

from enfold.evaluate.counting import Counting
from enfold.evaluate.info import ComparisonInfo
from enfold.evaluate.module import Comparison

__all__ = ["Mcnemar"]


class Mcnemar(Counting, Comparison):
    """Whether two classifiers err differently often on the same examples.

    ``compute`` gives ``stat``, the squared difference of how often only one of them is right, divided by the sum, and
    ``p``, the chance of at least that much between equal classifiers (chi-squared with one degree of freedom).

    Source: Q. McNemar, "Note on the sampling error of the difference between correlated proportions", 1947.

    Example:
        >>> Mcnemar().compute(predictions1=[1, 0, 1], predictions2=[1, 0, 0], references=[1, 0, 1])["stat"]
        1.0
    """

    def _info(self) -> ComparisonInfo:
        return ComparisonInfo(
            description="Whether two classifiers err differently often on the same examples.",
            citation="",
            features={"predictions1": "int64", "predictions2": "int64", "references": "int64"},
        )

    _counts_early = True

    def _count(self, *, predictions1: Any, predictions2: Any, references: Any) -> dict[str, int]:
        first, second = predictions1 == references, predictions2 == references
        return {"first": int((first & ~second).sum()), "second": int((second & ~first).sum())}

    def _score(self, counts: dict[str, int]) -> dict[str, float]:
        only_first, only_second = counts["first"], counts["second"]
        apart = only_first + only_second
        stat = (only_first - only_second) ** 2 / apart if apart else 0.0
        return {"stat": stat, "p": math.erfc(math.sqrt(stat / 2))}
