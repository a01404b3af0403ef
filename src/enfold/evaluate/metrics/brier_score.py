"""The Brier score of probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from enfold.evaluate.arrays import weights_of
from enfold.evaluate.counting import Counting
from enfold.evaluate.errors import EvaluationError
from enfold.evaluate.info import MetricInfo
from enfold.evaluate.module import Metric

__all__ = ["BrierScore"]


class BrierScore(Counting, Metric):
    """The mean squared difference between the predicted probability of the positive class and what came about.

    Predictions are probabilities; references are labels of two classes, numbers or texts.

    Options of ``compute``:
        sample_weight: a weight for each example.
        pos_label: the positive class, 1 by default; with texts it has to be given.

    Source: G. W. Brier, "Verification of forecasts expressed in terms of probability", 1950.

    Example:
        >>> BrierScore().compute(predictions=[0.5, 1.0], references=[0, 1])
        {'brier_score': 0.125}
    """

    def _info(self) -> MetricInfo:
        return MetricInfo(
            description="The mean squared difference between predicted probability and outcome.",
            citation="",
            features=[
                {"references": "float32", "predictions": "float32"},
                {"references": "string", "predictions": "float32"},
            ],
            inputs_description="sample_weight, pos_label=1.",
            reference_urls=["https://en.wikipedia.org/wiki/Brier_score"],
        )

    def _feature_names(self) -> list[str]:
        return ["predictions", "references"]

    _counts_early = True

    def _count(
        self, *, predictions: Any, references: Any, sample_weight: Sequence[float] | None = None
    ) -> dict[Any, Any]:
        """Return for each class what its examples add, as a positive and as a negative outcome, and their weight."""
        import numpy as np

        if not ((predictions >= 0) & (predictions <= 1)).all():
            raise EvaluationError("predictions must be probabilities, from 0 to 1")
        weights = weights_of(sample_weight, len(predictions))
        weights = np.ones(len(predictions)) if weights is None else weights
        right = np.asarray(references)
        errors = np.stack([(predictions - 1) ** 2, predictions**2, np.ones(len(predictions))])
        return {label: errors @ (weights * (right == label)) for label in np.unique(right).tolist()}

    def _score(self, counts: dict[Any, Any], *, pos_label: Any = 1) -> dict[str, float]:
        labels = sorted(counts)
        if len(labels) > 2:
            raise EvaluationError(f"brier_score is for two classes, but the references have {len(labels)}")
        if pos_label not in labels and (len(labels) == 2 or isinstance(labels[0], str)):
            raise EvaluationError(f"pos_label={pos_label!r} does not occur in the references; it is one of {labels}")
        total = sum(found[0 if label == pos_label else 1] for label, found in counts.items())
        return {"brier_score": float(total / sum(found[2] for found in counts.values()))}
