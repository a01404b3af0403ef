"""The scores of SuperGLUE, a configuration for each of its data sets."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from enfold.errors import nearest
from enfold.evaluate.errors import EvaluationError
from enfold.evaluate.info import MetricInfo
from enfold.evaluate.module import Metric

__all__ = ["SuperGlue"]

TASKS = ("boolq", "cb", "copa", "multirc", "record", "rte", "wic", "wsc", "wsc.fixed", "axb", "axg")
INPUTS: dict[str, Any] = {
    "record": {
        "predictions": {"idx": {"passage": "int64", "query": "int64"}, "prediction_text": "string"},
        "references": {"idx": {"passage": "int64", "query": "int64"}, "answers": ["string"]},
    },
    "multirc": {
        "predictions": {"idx": {"answer": "int64", "paragraph": "int64", "question": "int64"}, "prediction": "int64"},
        "references": "int64",
    },
}


class SuperGlue(Metric):
    """The scores of one data set of SuperGLUE: ``load("super_glue", "cb")``.

    ``axb`` gives ``matthews_correlation``; ``cb`` ``accuracy`` and the mean ``f1`` of classes; ``record``
    ``exact_match`` and ``f1``; ``multirc`` ``exact_match`` of whole questions, ``f1_m`` (mean over questions) and
    ``f1_a`` (over all answers); the others ``accuracy``.

    Source: A. Wang et al., "SuperGLUE: a stickier benchmark for general-purpose language understanding", 2019.

    Example:
        >>> SuperGlue(config_name="copa").compute(predictions=[0, 1], references=[0, 1])
        {'accuracy': 1.0}
    """

    def _info(self) -> MetricInfo:
        if self.config_name not in TASKS:
            raise EvaluationError(
                f"super_glue has no configuration {self.config_name!r}{nearest(self.config_name, TASKS)}; "
                f"there are {', '.join(TASKS)}, such as load('super_glue', 'cb')"
            )
        return MetricInfo(
            description="The scores of one data set of the SuperGLUE benchmark.",
            citation="",
            features=INPUTS.get(self.config_name, {"predictions": "int64", "references": "int64"}),
            reference_urls=["https://super.gluebenchmark.com/"],
        )

    def _compute(self, *, predictions: list[Any], references: list[Any]) -> dict[str, Any]:
        import numpy as np

        from enfold.evaluate.metrics.glue import accuracy_and_f1

        if self.config_name == "record":
            return _record(predictions, references)
        if self.config_name == "multirc":
            return _multirc(predictions, references)
        said, right = np.asarray(predictions), np.asarray(references)
        if self.config_name == "axb":
            from enfold.evaluate.metrics.matthews_correlation import matthews

            return {"matthews_correlation": matthews(said, right)}
        if self.config_name == "cb":
            return accuracy_and_f1(said, right, "macro")
        return {"accuracy": float((said == right).mean())}


def _record(predictions: list[Any], references: list[Any]) -> dict[str, float]:
    from enfold.evaluate.text.answers import best, exact, overlap

    said = {(item["idx"]["passage"], item["idx"]["query"]): item["prediction_text"] for item in predictions}
    hits = words = 0.0
    for item in references:
        key = item["idx"]["passage"], item["idx"]["query"]
        if key in said:
            hits += best(exact, said[key], item["answers"])
            words += best(overlap, said[key], item["answers"])
    return {"exact_match": hits / len(references), "f1": words / len(references)}


def _multirc(predictions: list[Any], references: list[Any]) -> dict[str, float]:
    import numpy as np

    from enfold.evaluate.metrics.glue import accuracy_and_f1

    questions: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for item, right in zip(predictions, references, strict=True):
        questions[item["idx"]["paragraph"], item["idx"]["question"]].append((item["prediction"], right))
    rows = [np.asarray(group) for group in questions.values()]
    every = np.concatenate(rows)
    return {
        "exact_match": sum(bool((row[:, 0] == row[:, 1]).all()) for row in rows) / len(rows),
        "f1_m": sum(accuracy_and_f1(row[:, 0], row[:, 1], "macro")["f1"] for row in rows) / len(rows),
        "f1_a": accuracy_and_f1(every[:, 0], every[:, 1])["f1"],
    }
