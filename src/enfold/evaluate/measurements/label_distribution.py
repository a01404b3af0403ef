"""How often each label stands in a data set."""

from __future__ import annotations

from collections import Counter
from typing import Any

from enfold.evaluate.info import MeasurementInfo
from enfold.evaluate.module import Measurement

__all__ = ["LabelDistribution"]


class LabelDistribution(Measurement):
    """The share of each label, in the order in which they come, and how lopsided the labels' numbers lie.

    ``compute`` gives ``label_distribution`` with ``labels`` and ``fractions``, and ``label_skew``, the third moment of
    the labels over the third power of their deviation; texts are numbered in the order in which they come.

    Example:
        >>> LabelDistribution().compute(data=[1, 0, 1, 1])["label_distribution"]
        {'labels': [1, 0], 'fractions': [0.75, 0.25]}
    """

    _takes_arrays = True

    def _info(self) -> MeasurementInfo:
        return MeasurementInfo(
            description="The share of each label, and how lopsided they lie.",
            citation="",
            features=[{"data": "int32"}, {"data": "string"}],
        )

    def _compute(self, *, data: Any) -> dict[str, Any]:
        import numpy as np

        rows = data if isinstance(data, list) else data.tolist()
        counts = Counter(rows)
        number = {label: place for place, label in enumerate(counts)}
        values = np.array([number[label] for label in rows] if isinstance(rows[0], str) else rows, np.float64)
        away = values - values.mean()
        spread = np.mean(away**2)
        skew = np.mean(away**3) / spread**1.5 if spread else np.float64("nan")
        return {
            "label_distribution": {
                "labels": list(counts),
                "fractions": [count / len(rows) for count in counts.values()],
            },
            "label_skew": np.float64(skew),
        }
