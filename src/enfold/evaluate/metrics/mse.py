"""Mean squared error."""

from __future__ import annotations

from typing import Any

from enfold.evaluate.arrays import over_outputs
from enfold.evaluate.regression import ErrorMetric

__all__ = ["Mse"]


class Mse(ErrorMetric):
    """The mean squared difference of predictions and references, or its root.

    Every example is a number, or a list of numbers, one for each output (the ecosystem's configuration ``multilist``).

    Options of ``compute``:
        sample_weight: a weight for each example.
        multioutput: ``"uniform_average"`` (the default), ``"raw_values"``, or a weight for each output.
        squared: False gives the root of the mean, output by output.

    Example:
        >>> Mse().compute(predictions=[2.5, 0.0], references=[3.0, -0.5])
        {'mse': 0.25}
    """

    def _errors(self, predictions: Any, references: Any) -> Any:
        return (predictions - references) ** 2

    def _score(
        self, counts: dict[str, Any], *, multioutput: Any = "uniform_average", squared: bool = True
    ) -> dict[str, Any]:
        import numpy as np

        means = counts["sum"] / counts["all"]
        return {"mse": over_outputs(means if squared else np.sqrt(means), multioutput)}
