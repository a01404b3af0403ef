"""Matthews' correlation of predicted and true classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from enfold.evaluate.arrays import table, weights_of
from enfold.evaluate.classification import confusion
from enfold.evaluate.errors import EvaluationError
from enfold.evaluate.info import MetricInfo
from enfold.evaluate.module import Metric

__all__ = ["MatthewsCorrelation", "matthews"]


class MatthewsCorrelation(Metric):
    """The correlation of predicted and true classes, from -1 to 1, for two or more classes.

    The configuration ``multilabel`` takes rows with one entry for each label and gives a list over labels.

    Options of ``compute``:
        sample_weight: a weight for each example.
        average: ``"macro"`` gives the mean over labels in the configuration ``multilabel``; None (the default) a list.

    Source: J. Gorodkin, "Comparing two K-category assignments by a K-category correlation coefficient", 2004.

    Example:
        >>> MatthewsCorrelation().compute(predictions=[1, 0, 1, 1], references=[1, 0, 1, 0])
        {'matthews_correlation': 0.5773502691896258}
    """

    _takes_arrays = True

    def _info(self) -> MetricInfo:
        one: Any = ["int32"] if self.config_name == "multilabel" else "int32"
        return MetricInfo(
            description="The correlation of predicted and true classes.",
            citation="",
            features={"predictions": one, "references": one},
            inputs_description="sample_weight, average=None.",
        )

    def _compute(
        self,
        *,
        predictions: Any,
        references: Any,
        sample_weight: Sequence[float] | None = None,
        average: str | None = None,
    ) -> dict[str, Any]:
        if average not in (None, "macro"):
            raise EvaluationError(f"average is 'macro' or None, not {average!r}")
        if self.config_name != "multilabel":
            return {"matthews_correlation": matthews(predictions, references, sample_weight)}
        said, right = table(predictions, "predictions"), table(references, "references")
        if said.shape != right.shape:
            raise EvaluationError(f"predictions have the shape {said.shape}, references {right.shape}")
        scores = [matthews(a, b, sample_weight) for a, b in zip(said.T, right.T, strict=True)]
        return {"matthews_correlation": sum(scores) / len(scores) if average else scores}


def matthews(predictions: Any, references: Any, sample_weight: Sequence[float] | None = None) -> float:
    """Return Matthews' correlation of two arrays of class numbers; 0 where one of them does not vary."""
    _, table = confusion(predictions, references, None, weights_of(sample_weight, len(references)))
    actual, predicted, total = table.sum(1), table.sum(0), table.sum()
    both = table.trace() * total - actual @ predicted
    spread = (total**2 - predicted @ predicted) * (total**2 - actual @ actual)
    return float(both / spread**0.5) if spread > 0 else 0.0
