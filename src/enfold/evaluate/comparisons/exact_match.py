"""How often two models say the same."""

from __future__ import annotations

from typing import Any

from enfold.evaluate.info import ComparisonInfo
from enfold.evaluate.module import Comparison

__all__ = ["ExactMatch"]


class ExactMatch(Comparison):
    """The share of examples for which two models predict the same.

    Example:
        >>> float(ExactMatch().compute(predictions1=[0, 1], predictions2=[0, 0])["exact_match"])
        0.5
    """

    def _info(self) -> ComparisonInfo:
        return ComparisonInfo(
            description="The share of examples for which two models predict the same.",
            citation="",
            features={"predictions1": "any", "predictions2": "any"},
        )

    def _compute(self, *, predictions1: list[Any], predictions2: list[Any]) -> dict[str, Any]:
        import numpy as np

        same = [bool(np.array_equal(a, b)) for a, b in zip(predictions1, predictions2, strict=True)]
        return {"exact_match": np.float64(sum(same) / len(same))}
