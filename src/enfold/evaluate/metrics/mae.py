"""Mean absolute error."""

from __future__ import annotations

from typing import Any

from enfold.evaluate.regression import ErrorMetric

__all__ = ["Mae"]


class Mae(ErrorMetric):
    """The mean absolute difference of predictions and references.

    Options of ``compute``: ``sample_weight``, ``multioutput="uniform_average"``; see `ErrorMetric`.

    Example:
        >>> Mae().compute(predictions=[2.5, 0.0], references=[3.0, -0.5])
        {'mae': 0.5}
    """

    def _errors(self, predictions: Any, references: Any) -> Any:
        return abs(predictions - references)
