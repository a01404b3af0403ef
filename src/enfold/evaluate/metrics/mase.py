"""Mean absolute scaled error of a forecast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from enfold.evaluate.arrays import over_outputs, summed
from enfold.evaluate.counting import Counting
from enfold.evaluate.errors import EvaluationError
from enfold.evaluate.info import MetricInfo
from enfold.evaluate.module import Metric
from enfold.evaluate.regression import numbers, same_shape

__all__ = ["Mase"]


class Mase(Counting, Metric):
    """The mean absolute error, relative to that of repeating the last season within the training series.

    Options of ``compute``:
        training: the series that the model was fitted to; numbers, or lists of numbers, one for each output.
        periodicity: how many steps a season has, 1 by default (the previous value is repeated).
        sample_weight: a weight for each example.
        multioutput: ``"uniform_average"`` (the default), ``"raw_values"``, or a weight for each output.

    Source: R. J. Hyndman and A. B. Koehler, "Another look at measures of forecast accuracy", IJF 22(4), 2006.

    Example:
        >>> float(Mase().compute(predictions=[2.0], references=[4.0], training=[1.0, 2.0, 3.0])["mase"])
        2.0
    """

    def _info(self) -> MetricInfo:
        return MetricInfo(
            description="The mean absolute error, relative to that of a naive forecast of the training series.",
            citation="",
            features=numbers(self.config_name),
            inputs_description="training, periodicity=1, sample_weight, multioutput='uniform_average'.",
        )

    _counts_early = True

    def _count(
        self, *, predictions: Any, references: Any, sample_weight: Sequence[float] | None = None
    ) -> dict[str, Any]:
        said, right = same_shape(predictions, references)
        return summed(abs(said - right), sample_weight)

    def _score(
        self,
        counts: dict[str, Any],
        *,
        training: Any = None,
        periodicity: int = 1,
        multioutput: Any = "uniform_average",
    ) -> dict[str, Any]:
        import numpy as np

        if training is None:
            raise EvaluationError("mase needs training=…, the series that the model was fitted to")
        series = np.asarray(training, np.float64)
        if periodicity < 1 or len(series) <= periodicity:
            raise EvaluationError(
                f"training must be longer than one season: it has {len(series)} steps, periodicity is {periodicity}"
            )
        steps = summed(abs(series[periodicity:] - series[:-periodicity]))
        error, naive = (over_outputs(one["sum"] / one["all"], multioutput) for one in (counts, steps))
        return {"mase": error / np.maximum(naive, np.finfo(np.float64).eps)}
