"""The confusion matrix: how often each class was taken for each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from enfold.evaluate.arrays import weights_of
from enfold.evaluate.classification import Table, matrix, table_of
from enfold.evaluate.counting import Counting
from enfold.evaluate.errors import EvaluationError
from enfold.evaluate.info import MetricInfo
from enfold.evaluate.module import Metric

__all__ = ["ConfusionMatrix"]


class ConfusionMatrix(Counting, Metric):
    """How often each true class (row) was predicted as each class (column).

    Options of ``compute``:
        labels: the classes, in order; by default all that occur, sorted.
        sample_weight: a weight for each example.
        normalize: ``"true"`` divides each row by its sum, ``"pred"`` each column, ``"all"`` everything.

    Example:
        >>> ConfusionMatrix().compute(predictions=[0, 1, 1], references=[0, 1, 0])["confusion_matrix"].tolist()
        [[1, 1], [0, 1]]
    """

    def _info(self) -> MetricInfo:
        return MetricInfo(
            description="How often each true class was predicted as each class.",
            citation="",
            features={"predictions": "int32", "references": "int32"},
            inputs_description="labels, sample_weight, normalize=None.",
        )

    _counts_early = True

    def _count(self, *, predictions: Any, references: Any, sample_weight: Sequence[float] | None = None) -> Table:
        return table_of(predictions, references, weights_of(sample_weight, len(references)))

    def _score(
        self, counts: Table, *, labels: Sequence[int] | None = None, normalize: str | None = None
    ) -> dict[str, Any]:
        import numpy as np

        axes = {None: (), "true": (1,), "pred": (0,), "all": (0, 1)}
        if normalize not in axes:
            raise EvaluationError(f"normalize is 'true', 'pred', 'all' or None, not {normalize!r}")
        classes = sorted(counts) if labels is None else np.asarray(labels).tolist()
        if not any(counts.get(label) for label in classes):
            raise EvaluationError(f"none of the labels {classes} occurs in the references")
        found = matrix(counts, classes)
        if normalize is not None:
            total = found.sum(axis=axes[normalize], keepdims=True)
            found = np.divide(found, total, out=np.zeros(found.shape), where=total != 0)
        return {"confusion_matrix": found}
