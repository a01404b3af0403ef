"""Accuracy: the share of predictions that are right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from enfold.evaluate.arrays import weights_of
from enfold.evaluate.counting import Counting
from enfold.evaluate.info import MetricInfo
from enfold.evaluate.module import Metric

__all__ = ["Accuracy"]


class Accuracy(Counting, Metric):
    """The share of predictions that equal their reference; configuration ``multilabel``: that equal it in all labels.

    Options of ``compute``:
        normalize: give the share (the default) rather than the number.
        sample_weight: a weight for each example.

    Example:
        >>> Accuracy().compute(predictions=[0, 1, 1], references=[0, 1, 0])
        {'accuracy': 0.6666666666666666}
    """

    def _info(self) -> MetricInfo:
        one: Any = ["int32"] if self.config_name == "multilabel" else "int32"
        return MetricInfo(
            description="The share of predictions that equal their reference.",
            citation="",
            features={"predictions": one, "references": one},
            inputs_description="normalize: bool = True; sample_weight: one weight for each example.",
            streamable=True,
        )

    _counts_early = True

    def _count(
        self, *, predictions: Any, references: Any, sample_weight: Sequence[float] | None = None
    ) -> dict[str, float]:
        import numpy as np

        if isinstance(predictions, list) or isinstance(references, list) or predictions.ndim == 2:
            right = np.array([np.array_equal(said, true) for said, true in zip(predictions, references, strict=True)])
        else:
            right = predictions == references
        weights = weights_of(sample_weight, len(right))
        if weights is None:
            return {"right": int(right.sum()), "all": len(right)}
        return {"right": float(right @ weights), "all": float(weights.sum())}

    def _score(self, counts: dict[str, float], *, normalize: bool = True) -> dict[str, float]:
        return {"accuracy": counts["right"] / counts["all"] if normalize else float(counts["right"])}
