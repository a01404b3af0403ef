"""Accuracy: the share of predictions that are right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from enfold.evaluate.errors import EvaluationError
from enfold.evaluate.info import MetricInfo
from enfold.evaluate.module import Metric

__all__ = ["Accuracy"]


class Accuracy(Metric):
    """The share of predictions that equal their reference; configuration ``multilabel``: that equal it in all labels.

    Options of ``compute``:
        normalize: give the share (the default) rather than the number.
        sample_weight: a weight for each example.

    Example:
        >>> Accuracy().compute(predictions=[0, 1, 1], references=[0, 1, 0])
        {'accuracy': 0.6666666666666666}
    """

    _takes_arrays = True

    def _info(self) -> MetricInfo:
        one: Any = ["int32"] if self.config_name == "multilabel" else "int32"
        return MetricInfo(
            description="The share of predictions that equal their reference.",
            citation="",
            features={"predictions": one, "references": one},
            inputs_description="normalize: bool = True; sample_weight: one weight for each example.",
            streamable=True,
        )

    def _compute(
        self,
        *,
        predictions: Any,
        references: Any,
        normalize: bool = True,
        sample_weight: Sequence[float] | None = None,
    ) -> dict[str, float]:
        import numpy as np

        if isinstance(predictions, list) or isinstance(references, list) or predictions.ndim == 2:
            right = np.array([np.array_equal(said, true) for said, true in zip(predictions, references, strict=True)])
        else:
            right = predictions == references
        if sample_weight is None:
            return {"accuracy": float(right.mean() if normalize else right.sum())}
        weights = np.asarray(sample_weight, np.float64)
        if weights.shape != right.shape:
            raise EvaluationError(f"sample_weight has {weights.size} entries for {len(right)} examples")
        return {"accuracy": float(np.average(right, weights=weights) if normalize else right @ weights)}
