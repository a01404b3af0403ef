"""The base of the metrics that average an error over examples and outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from enfold.evaluate.arrays import over_outputs, summed, table
from enfold.evaluate.counting import Counting
from enfold.evaluate.errors import EvaluationError
from enfold.evaluate.info import MetricInfo
from enfold.evaluate.module import Metric

__all__ = ["ErrorMetric", "numbers"]


class ErrorMetric(Counting, Metric):
    """The base of mse, mae, mape and smape, which differ in the error of one number.

    Every example is a number, or a list of numbers, one for each output (the ecosystem's configuration ``multilist``).

    Options of ``compute``:
        sample_weight: a weight for each example.
        multioutput: ``"uniform_average"`` (the default), ``"raw_values"``, or a weight for each output.
    """

    _counts_early = True

    def _info(self) -> MetricInfo:
        return MetricInfo(
            description=(type(self).__doc__ or "").split("\n")[0],
            citation="",
            features=numbers(self.config_name),
            inputs_description="sample_weight, multioutput='uniform_average'.",
        )

    def _errors(self, predictions: Any, references: Any) -> Any:
        """Return the error of every number."""
        raise EvaluationError(f"{type(self).__name__} does not define _errors(predictions, references)")

    def _count(
        self, *, predictions: Any, references: Any, sample_weight: Sequence[float] | None = None
    ) -> dict[str, Any]:
        return summed(self._errors(*same_shape(predictions, references)), sample_weight)

    def _score(self, counts: dict[str, Any], *, multioutput: Any = "uniform_average") -> dict[str, Any]:
        return {self.name: over_outputs(counts["sum"] / counts["all"], multioutput)}


def numbers(config_name: str) -> Any:
    """Return the declared inputs: numbers or lists of numbers; lists only in the configuration ``multilist``."""
    several = {"predictions": ["float32"], "references": ["float32"]}
    return several if config_name == "multilist" else [{"predictions": "float32", "references": "float32"}, several]


def same_shape(predictions: Any, references: Any) -> tuple[Any, Any]:
    """Return both as float64 arrays of one shape.

    Raises:
        EvaluationError: the shapes differ.
    """
    said, right = table(predictions, "predictions"), table(references, "references")
    if said.shape != right.shape:
        raise EvaluationError(f"predictions have the shape {said.shape}, references {right.shape}")
    return said, right
