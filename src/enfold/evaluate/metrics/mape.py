"""Mean absolute percentage error."""

from __future__ import annotations

from typing import Any

from enfold.evaluate.regression import ErrorMetric

__all__ = ["Mape"]


class Mape(ErrorMetric):
    """The mean absolute difference, relative to the reference: 1 stands for 100 %.

    A reference of 0 counts as the smallest step of float64, so that the score is very large, not infinite.

    Options of ``compute``: ``sample_weight``, ``multioutput="uniform_average"``; see `ErrorMetric`.

    Source: A. de Myttenaere et al., "Mean absolute percentage error for regression models", Neurocomputing 192, 2016.

    Example:
        >>> Mape().compute(predictions=[3.0, 1.0], references=[4.0, 2.0])
        {'mape': 0.375}
    """

    def _errors(self, predictions: Any, references: Any) -> Any:
        import numpy as np

        return abs(predictions - references) / np.maximum(abs(references), np.finfo(np.float64).eps)
