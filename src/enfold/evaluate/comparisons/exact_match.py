"""How often two models say the same."""

from __future__ import annotations

from typing import Any

from enfold.evaluate.counting import Counting
from enfold.evaluate.info import ComparisonInfo
from enfold.evaluate.module import Comparison

__all__ = ["ExactMatch"]


class ExactMatch(Counting, Comparison):
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

    _counts_early = True

    def _count(self, *, predictions1: list[Any], predictions2: list[Any]) -> dict[str, int]:
        import numpy as np

        same = [bool(np.array_equal(a, b)) for a, b in zip(predictions1, predictions2, strict=True)]
        return {"same": sum(same), "all": len(same)}

    def _score(self, counts: dict[str, int]) -> dict[str, Any]:
        import numpy as np

        return {"exact_match": np.float64(counts["same"] / counts["all"])}
