"""Wilcoxon's signed-rank test of two models' scores."""

from __future__ import annotations

from typing import Any

from enfold.errors import MissingExtra
from enfold.evaluate.info import ComparisonInfo
from enfold.evaluate.module import Comparison

__all__ = ["Wilcoxon"]


class Wilcoxon(Comparison):
    """Whether the differences of two models' scores lie around zero: ``stat`` and ``p``, as scipy gives them.

    Source: F. Wilcoxon, "Individual comparisons by ranking methods", 1945.

    Example:
        >>> float(Wilcoxon().compute(predictions1=[-7, 123, 43, 4], predictions2=[1336, -9, 2, 4.5])["stat"])
        5.0
    """

    _takes_arrays = True

    def _info(self) -> ComparisonInfo:
        return ComparisonInfo(
            description="Whether the differences of two models' scores lie around zero.",
            citation="",
            features={"predictions1": "float", "predictions2": "float"},
        )

    def _compute(self, *, predictions1: Any, predictions2: Any) -> dict[str, Any]:
        try:
            from scipy.stats import wilcoxon
        except ImportError:
            raise MissingExtra("the comparison wilcoxon", "evaluate") from None
        found = wilcoxon(predictions1 - predictions2)
        return {"stat": found.statistic, "p": found.pvalue}
