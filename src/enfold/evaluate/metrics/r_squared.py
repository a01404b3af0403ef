"""The coefficient of determination."""

from __future__ import annotations

from typing import Any

from enfold.evaluate.info import MetricInfo
from enfold.evaluate.module import Metric

__all__ = ["RSquared"]


class RSquared(Metric):
    """The share of the references' variance that the predictions explain: a bare number, rounded to three digits.

    Example:
        >>> RSquared().compute(predictions=[1.0, 2.0, 4.0], references=[1.0, 2.0, 3.0])
        0.5
    """

    _takes_arrays = True

    def _info(self) -> MetricInfo:
        return MetricInfo(
            description="The share of the references' variance that the predictions explain.",
            citation="",
            features={"predictions": "float32", "references": "float32"},
        )

    def _compute(self, *, predictions: Any, references: Any) -> float:
        total = float(((references - references.mean()) ** 2).sum())
        rest = float(((references - predictions) ** 2).sum())
        if total == 0:  # nothing varies, so nothing can be explained
            return float("nan") if rest == 0 else float("-inf")
        return round(1 - rest / total, 3)
