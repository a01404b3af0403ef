"""XNLI: accuracy of natural language inference in many languages."""

from __future__ import annotations

from typing import Any

from enfold.evaluate.info import MetricInfo
from enfold.evaluate.module import Metric

__all__ = ["Xnli"]


class Xnli(Metric):
    """The share of sentence pairs whose relation was predicted.

    Source: A. Conneau et al., "XNLI: evaluating cross-lingual sentence representations", 2018.

    Example:
        >>> float(Xnli().compute(predictions=[0, 1], references=[0, 2])["accuracy"])
        0.5
    """

    _takes_arrays = True

    def _info(self) -> MetricInfo:
        return MetricInfo(
            description="The share of sentence pairs whose relation was predicted.",
            citation="",
            features={"predictions": "int64", "references": "int64"},
        )

    def _compute(self, *, predictions: Any, references: Any) -> dict[str, float]:
        return {"accuracy": float((predictions == references).mean())}
