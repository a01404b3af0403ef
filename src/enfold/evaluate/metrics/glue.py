"""The scores of GLUE, a configuration for each of its data sets."""

from __future__ import annotations

from typing import Any

from enfold.errors import nearest
from enfold.evaluate.classification import counts
from enfold.evaluate.errors import EvaluationError
from enfold.evaluate.info import MetricInfo
from enfold.evaluate.module import Metric

__all__ = ["Glue", "accuracy_and_f1"]

TASKS = (
    "sst2",
    "mnli",
    "mnli_mismatched",
    "mnli_matched",
    "cola",
    "stsb",
    "mrpc",
    "qqp",
    "qnli",
    "rte",
    "wnli",
    "hans",
)


class Glue(Metric):
    """The scores of one data set of GLUE: ``load("glue", "mrpc")``.

    ``cola`` gives ``matthews_correlation``; ``stsb``, whose inputs are numbers, ``pearson`` and ``spearmanr``; ``mrpc``
    and ``qqp`` ``accuracy`` and ``f1``; the others ``accuracy``.

    Source: A. Wang et al., "GLUE: a multi-task benchmark and analysis platform", 2019.

    Example:
        >>> Glue(config_name="mrpc").compute(predictions=[0, 1, 1], references=[0, 1, 0])
        {'accuracy': 0.6666666666666666, 'f1': 0.6666666666666666}
    """

    _takes_arrays = True

    def _info(self) -> MetricInfo:
        if self.config_name not in TASKS:
            raise EvaluationError(
                f"glue has no configuration {self.config_name!r}{nearest(self.config_name, TASKS)}; "
                f"there are {', '.join(TASKS)}, such as load('glue', 'mrpc')"
            )
        kind = "float32" if self.config_name == "stsb" else "int64"
        return MetricInfo(
            description="The scores of one data set of the GLUE benchmark.",
            citation="",
            features={"predictions": kind, "references": kind},
            reference_urls=["https://gluebenchmark.com/"],
        )

    def _compute(self, *, predictions: Any, references: Any) -> dict[str, Any]:
        if self.config_name == "cola":
            from enfold.evaluate.metrics.matthews_correlation import matthews

            return {"matthews_correlation": matthews(predictions, references)}
        if self.config_name == "stsb":
            from enfold.evaluate.statistics import correlation, ranks

            return {
                "pearson": correlation(predictions, references),
                "spearmanr": correlation(ranks(predictions), ranks(references)),
            }
        if self.config_name in ("mrpc", "qqp"):
            return accuracy_and_f1(predictions, references)
        return {"accuracy": float((predictions == references).mean())}


def accuracy_and_f1(predictions: Any, references: Any, average: str = "binary") -> dict[str, float]:
    """Return accuracy, and F1 of class 1 (``"binary"``) or its mean over classes (``"macro"``); 0 where undefined."""
    import numpy as np

    found = counts(predictions, references, labels=None, pos_label=1, average=average, sample_weight=None)
    both = found.predicted + found.actual
    f1 = np.divide(2 * found.hits, both, out=np.zeros(len(both)), where=both > 0)
    return {"accuracy": float((predictions == references).mean()), "f1": float(f1.mean())}
