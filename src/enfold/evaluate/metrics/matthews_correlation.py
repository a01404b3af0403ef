"""Matthews' correlation of predicted and true classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from enfold.evaluate.arrays import table, weights_of
from enfold.evaluate.classification import Table, matrix, table_of
from enfold.evaluate.counting import Counting
from enfold.evaluate.errors import EvaluationError
from enfold.evaluate.info import MetricInfo
from enfold.evaluate.module import Metric

__all__ = ["MatthewsCorrelation", "matthews"]


class MatthewsCorrelation(Counting, Metric):
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

    def _info(self) -> MetricInfo:
        one: Any = ["int32"] if self.config_name == "multilabel" else "int32"
        return MetricInfo(
            description="The correlation of predicted and true classes.",
            citation="",
            features={"predictions": one, "references": one},
            inputs_description="sample_weight, average=None.",
        )

    _counts_early = True

    def _count(
        self, *, predictions: Any, references: Any, sample_weight: Sequence[float] | None = None
    ) -> dict[int, Table]:
        weights = weights_of(sample_weight, len(references))
        if self.config_name != "multilabel":
            return {0: table_of(predictions, references, weights)}
        said, right = table(predictions, "predictions"), table(references, "references")
        if said.shape != right.shape:
            raise EvaluationError(f"predictions have the shape {said.shape}, references {right.shape}")
        return {place: table_of(a, b, weights) for place, (a, b) in enumerate(zip(said.T, right.T, strict=True))}

    def _score(self, counts: dict[int, Table], *, average: str | None = None) -> dict[str, Any]:
        if average not in (None, "macro"):
            raise EvaluationError(f"average is 'macro' or None, not {average!r}")
        scores = [matthews(found) for found in counts.values()]
        if self.config_name != "multilabel":
            return {"matthews_correlation": scores[0]}
        return {"matthews_correlation": sum(scores) / len(scores) if average else scores}


def matthews(found: Table) -> float:
    """Return Matthews' correlation from the table of true and predicted classes; 0 where one side does not vary."""
    table = matrix(found, sorted(found))
    actual, predicted, total = table.sum(1), table.sum(0), table.sum()
    both = table.trace() * total - actual @ predicted
    spread = (total**2 - predicted @ predicted) * (total**2 - actual @ actual)
    return float(both / spread**0.5) if spread > 0 else 0.0
