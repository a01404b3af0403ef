"""Pearson's correlation."""

from __future__ import annotations

from typing import Any

from enfold.evaluate.info import MetricInfo
from enfold.evaluate.module import Metric

__all__ = ["Pearsonr"]


class Pearsonr(Metric):
    """How far predictions and references lie on one line, from -1 to 1.

    Options of ``compute``:
        return_pvalue: also give ``p-value``, the chance of a correlation at least as strong between unrelated values.

    Example:
        >>> Pearsonr().compute(predictions=[1, 2, 3, 5], references=[2, 4, 6, 10])
        {'pearsonr': 1.0}
    """

    _takes_arrays = True

    def _info(self) -> MetricInfo:
        return MetricInfo(
            description="The linear correlation of predictions and references.",
            citation="",
            features={"predictions": "float", "references": "float"},
            inputs_description="return_pvalue=False.",
        )

    def _compute(self, *, predictions: Any, references: Any, return_pvalue: bool = False) -> dict[str, float]:
        from enfold.evaluate.statistics import correlation, correlation_chance

        value = correlation(references, predictions)
        if not return_pvalue:
            return {"pearsonr": value}
        return {"pearsonr": value, "p-value": correlation_chance(value, len(predictions))}
