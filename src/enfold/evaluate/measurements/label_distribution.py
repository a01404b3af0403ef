"""How often each label stands in a data set."""

from __future__ import annotations

from collections import Counter
from typing import Any

from enfold.evaluate.counting import Counting
from enfold.evaluate.info import MeasurementInfo
from enfold.evaluate.module import Measurement

__all__ = ["LabelDistribution"]


class LabelDistribution(Counting, Measurement):
    """The share of each label, in the order in which they come, and how lopsided the labels' numbers lie.

    ``compute`` gives ``label_distribution`` with ``labels`` and ``fractions``, and ``label_skew``, the third moment of
    the labels over the third power of their deviation; texts are numbered in the order in which they come.

    Example:
        >>> LabelDistribution().compute(data=[1, 0, 1, 1])["label_distribution"]
        {'labels': [1, 0], 'fractions': [0.75, 0.25]}
    """

    def _info(self) -> MeasurementInfo:
        return MeasurementInfo(
            description="The share of each label, and how lopsided they lie.",
            citation="",
            features=[{"data": "int32"}, {"data": "string"}],
        )

    _counts_early = True

    def _count(self, *, data: Any) -> dict[Any, int]:
        return dict(Counter(data if isinstance(data, list) else data.tolist()))

    def _score(self, counts: dict[Any, int]) -> dict[str, Any]:
        import numpy as np

        labels, total = list(counts), sum(counts.values())
        shares = np.array(list(counts.values())) / total
        values = np.array(range(len(labels)) if isinstance(labels[0], str) else labels, np.float64)
        away = values - shares @ values
        spread = shares @ away**2
        skew = shares @ away**3 / spread**1.5 if spread else np.float64("nan")
        return {
            "label_distribution": {
                "labels": labels,
                "fractions": [count / total for count in counts.values()],
            },
            "label_skew": np.float64(skew),
        }
