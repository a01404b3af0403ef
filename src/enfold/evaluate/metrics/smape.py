"""Symmetric mean absolute percentage error."""

from __future__ import annotations

from typing import Any

from enfold.evaluate.regression import ErrorMetric

__all__ = ["Smape"]


class Smape(ErrorMetric):
    """The mean absolute difference, relative to the mean size of both numbers: between 0 and 2.

    Options of ``compute``: ``sample_weight``, ``multioutput="uniform_average"``; see `ErrorMetric`.

    Source: Z. Chen and Y. Yang, "Assessing forecast accuracy measures", 2004.

    Example:
        >>> Smape().compute(predictions=[3.0], references=[1.0])
        {'smape': 1.0}
    """

    def _errors(self, predictions: Any, references: Any) -> Any:
        import numpy as np

        smallest = np.finfo(np.float64).eps  # for pairs of zeros
        size = np.maximum(abs(references), smallest) + np.maximum(abs(predictions), smallest)
        return 2 * abs(predictions - references) / size
