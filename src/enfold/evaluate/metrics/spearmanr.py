"""Spearman's rank correlation."""

from __future__ import annotations

from typing import Any

from enfold.evaluate.info import MetricInfo
from enfold.evaluate.module import Metric

__all__ = ["Spearmanr"]


class Spearmanr(Metric):
    """How far predictions and references come in one order, from -1 to 1.

    Options of ``compute``:
        return_pvalue: also give ``spearmanr_pvalue``, the chance of a correlation at least as strong between
            unrelated values.

    Example:
        >>> float(Spearmanr().compute(predictions=[1, 2, 3, 4], references=[1, 4, 9, 16])["spearmanr"])
        1.0
    """

    _takes_arrays = True

    def _info(self) -> MetricInfo:
        return MetricInfo(
            description="The correlation of the ranks of predictions and references.",
            citation="",
            features={"predictions": "float", "references": "float"},
            inputs_description="return_pvalue=False.",
        )

    def _compute(self, *, predictions: Any, references: Any, return_pvalue: bool = False) -> dict[str, Any]:
        import numpy as np

        from enfold.evaluate.statistics import correlation, correlation_chance, ranks

        value = np.float64(correlation(ranks(references), ranks(predictions)))
        if not return_pvalue:
            return {"spearmanr": value}
        return {"spearmanr": value, "spearmanr_pvalue": np.float64(correlation_chance(float(value), len(predictions)))}
