"""Pearson's correlation."""

from __future__ import annotations

from typing import Any

from enfold.evaluate.counting import Counting
from enfold.evaluate.info import MetricInfo
from enfold.evaluate.module import Metric
from enfold.evaluate.statistics import Moments, correlation_chance, moments

__all__ = ["Pearsonr"]


class Pearsonr(Counting, Metric):
    """How far predictions and references lie on one line, from -1 to 1.

    Options of ``compute``:
        return_pvalue: also give ``p-value``, the chance of a correlation at least as strong between unrelated values.

    Example:
        >>> Pearsonr().compute(predictions=[1, 2, 3, 5], references=[2, 4, 6, 10])
        {'pearsonr': 1.0}
    """

    def _info(self) -> MetricInfo:
        return MetricInfo(
            description="The linear correlation of predictions and references.",
            citation="",
            features={"predictions": "float", "references": "float"},
            inputs_description="return_pvalue=False.",
        )

    _counts_early = True

    def _count(self, *, predictions: Any, references: Any) -> list[Any]:
        return moments(references, predictions)

    def _score(self, counts: list[Any], *, return_pvalue: bool = False) -> dict[str, float]:
        found = Moments.of(counts)
        value = found.correlation()
        if not return_pvalue:
            return {"pearsonr": value}
        return {"pearsonr": value, "p-value": correlation_chance(value, found.count)}
