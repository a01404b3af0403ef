"""The coefficient of determination."""

from __future__ import annotations

from typing import Any

from enfold.evaluate.counting import Counting
from enfold.evaluate.info import MetricInfo
from enfold.evaluate.module import Metric
from enfold.evaluate.statistics import Moments, moments

__all__ = ["RSquared"]


class RSquared(Counting, Metric):
    """The share of the references' variance that the predictions explain: a bare number, rounded to three digits.

    Example:
        >>> RSquared().compute(predictions=[1.0, 2.0, 4.0], references=[1.0, 2.0, 3.0])
        0.5
    """

    def _info(self) -> MetricInfo:
        return MetricInfo(
            description="The share of the references' variance that the predictions explain.",
            citation="",
            features={"predictions": "float32", "references": "float32"},
        )

    _counts_early = True

    def _count(self, *, predictions: Any, references: Any) -> list[Any]:
        return moments(references, references - predictions)

    def _score(self, counts: list[Any]) -> float:
        # the sum of squared errors from their variance and mean
        found = Moments.of(counts)
        total, rest = found.spread[0], found.spread[1] + found.count * found.mean[1] ** 2
        if total == 0:  # nothing varies, so nothing can be explained
            return float("nan") if rest == 0 else float("-inf")
        return round(1 - rest / total, 3)
