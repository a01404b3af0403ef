"""Benchmarks of many data sets, such as GLUE: a configuration for each, and a handful of ways to score them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from enfold.errors import nearest
from enfold.evaluate.counting import Counting
from enfold.evaluate.errors import EvaluationError
from enfold.evaluate.info import MetricInfo
from enfold.evaluate.module import Metric

__all__ = ["ACCURACY", "ACCURACY_AND_F1", "ACCURACY_AND_MEAN_F1", "CORRELATIONS", "MATTHEWS", "Kind", "TaskMetric"]


@dataclass(frozen=True)
class Kind:
    """How data sets of one kind are scored: the declared inputs, what is counted of them, what the counts come to."""

    features: dict[str, Any]
    count: Callable[..., Any]
    score: Callable[..., dict[str, Any]]


class TaskMetric(Counting, Metric):
    """The base of a benchmark's metric: a subclass names its data sets and their kinds in ``tasks``."""

    tasks: ClassVar[Mapping[str, Kind]] = {}
    source: ClassVar[str] = ""

    def _info(self) -> MetricInfo:
        if self.config_name not in self.tasks:
            name = type(self).__module__.rpartition(".")[2]
            raise EvaluationError(
                f"{name} has no configuration {self.config_name!r}{nearest(self.config_name, self.tasks)}; "
                f"there are {', '.join(self.tasks)}, such as load({name!r}, {next(iter(self.tasks))!r})"
            )
        return MetricInfo(
            description=(type(self).__doc__ or "").split(":")[0] + ".",
            citation="",
            features=self.tasks[self.config_name].features,
            reference_urls=[self.source] if self.source else [],
        )

    def _count(self, *, predictions: Any, references: Any) -> Any:
        return self.tasks[self.config_name].count(predictions, references)

    def _score(self, counts: Any) -> dict[str, Any]:
        return self.tasks[self.config_name].score(counts)


def _labels(score: Callable[[Any], dict[str, Any]], count: Callable[[Any, Any], Any] | None = None) -> Kind:
    return Kind({"predictions": "int64", "references": "int64"}, count or _tally, score)


def _tally(predictions: Any, references: Any) -> Any:
    from enfold.evaluate.classification import tally

    return tally(predictions, references)


def _table(predictions: Any, references: Any) -> Any:
    from enfold.evaluate.classification import table_of

    return table_of(predictions, references)


def _hits(predictions: Any, references: Any) -> dict[str, int]:
    return {"right": int((predictions == references).sum()), "all": len(references)}


def _numbers(predictions: Any, references: Any) -> dict[str, list[float]]:
    return {"said": predictions.tolist(), "right": references.tolist()}


def _f1(average: str) -> Callable[[Any], dict[str, Any]]:
    def score(counts: Any) -> dict[str, Any]:
        from enfold.evaluate.classification import accuracy_and_f1

        return accuracy_and_f1(counts, average)

    return score


def _matthews(counts: Any) -> dict[str, Any]:
    from enfold.evaluate.metrics.matthews_correlation import matthews

    return {"matthews_correlation": matthews(counts)}


def _correlations(counts: dict[str, list[float]]) -> dict[str, Any]:
    import numpy as np

    from enfold.evaluate.statistics import correlation, ranks

    said, right = np.array(counts["said"]), np.array(counts["right"])
    return {"pearson": correlation(said, right), "spearmanr": correlation(ranks(said), ranks(right))}


ACCURACY = _labels(lambda counts: {"accuracy": counts["right"] / counts["all"]}, _hits)
ACCURACY_AND_F1 = _labels(_f1("binary"))
ACCURACY_AND_MEAN_F1 = _labels(_f1("macro"))
MATTHEWS = _labels(_matthews, _table)
CORRELATIONS = Kind({"predictions": "float32", "references": "float32"}, _numbers, _correlations)
