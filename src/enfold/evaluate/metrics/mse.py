"""Mean squared error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from enfold.evaluate.arrays import averaged, over_outputs
from enfold.evaluate.info import MetricInfo
from enfold.evaluate.module import Metric
from enfold.evaluate.regression import numbers, same_shape

__all__ = ["Mse"]


class Mse(Metric):
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

    _takes_arrays = True

    def _info(self) -> MetricInfo:
        return MetricInfo(
            description="The mean squared difference of predictions and references.",
            citation="",
            features=numbers(self.config_name),
            inputs_description="sample_weight, multioutput='uniform_average', squared=True.",
        )

    def _compute(
        self,
        *,
        predictions: Any,
        references: Any,
        sample_weight: Sequence[float] | None = None,
        multioutput: Any = "uniform_average",
        squared: bool = True,
    ) -> dict[str, Any]:
        import numpy as np

        said, right = same_shape(predictions, references)
        means = averaged((said - right) ** 2, sample_weight, "raw_values")
        return {"mse": over_outputs(means if squared else np.sqrt(means), multioutput)}
