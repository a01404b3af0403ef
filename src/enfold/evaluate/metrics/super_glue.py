"""The scores of SuperGLUE, a configuration for each of its data sets."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, ClassVar

from enfold.evaluate.tasks import ACCURACY, ACCURACY_AND_MEAN_F1, MATTHEWS, Kind, TaskMetric
from enfold.evaluate.text.answers import answer_counts, answer_scores

__all__ = ["SuperGlue"]


def _record(predictions: list[Any], references: list[Any]) -> dict[str, Any]:
    def key(item: Any) -> tuple[int, int]:
        return item["idx"]["passage"], item["idx"]["query"]

    said = {key(item): item["prediction_text"] for item in predictions}
    return answer_counts(said, [(key(item), list(item["answers"])) for item in references])


def _multirc(predictions: list[Any], references: Any) -> dict[tuple[int, int], list[list[int]]]:
    """Return for each question which of its answers were predicted to be right, and which are."""
    questions = defaultdict(list)
    for item, right in zip(predictions, references.tolist(), strict=True):
        questions[item["idx"]["paragraph"], item["idx"]["question"]].append([item["prediction"], right])
    return dict(questions)


def _multirc_score(questions: dict[tuple[int, int], list[list[int]]]) -> dict[str, float]:
    import numpy as np

    from enfold.evaluate.classification import accuracy_and_f1, tally

    def f1(rows: Any, average: str) -> float:
        return accuracy_and_f1(tally(rows[:, 0], rows[:, 1]), average)["f1"]

    rows = [np.asarray(group) for group in questions.values()]
    return {
        "exact_match": sum(bool((row[:, 0] == row[:, 1]).all()) for row in rows) / len(rows),
        "f1_m": sum(f1(row, "macro") for row in rows) / len(rows),
        "f1_a": f1(np.concatenate(rows), "binary"),
    }


RECORD = Kind(
    {
        "predictions": {"idx": {"passage": "int64", "query": "int64"}, "prediction_text": "string"},
        "references": {"idx": {"passage": "int64", "query": "int64"}, "answers": ["string"]},
    },
    _record,
    lambda counts: dict(zip(("exact_match", "f1"), answer_scores(counts, 1.0), strict=True)),
)
MULTIRC = Kind(
    {
        "predictions": {"idx": {"answer": "int64", "paragraph": "int64", "question": "int64"}, "prediction": "int64"},
        "references": "int64",
    },
    _multirc,
    _multirc_score,
)


class SuperGlue(TaskMetric):
    """The scores of one data set of the SuperGLUE benchmark: ``load("super_glue", "cb")``.

    ``axb`` gives ``matthews_correlation``; ``cb`` ``accuracy`` and the mean ``f1`` of classes; ``record``
    ``exact_match`` and ``f1``; ``multirc`` ``exact_match`` of whole questions, ``f1_m`` (mean over questions) and
    ``f1_a`` (over all answers); the others ``accuracy``.

    Source: A. Wang et al., "SuperGLUE: a stickier benchmark for general-purpose language understanding", 2019.

    Example:
        >>> SuperGlue(config_name="copa").compute(predictions=[0, 1], references=[0, 1])
        {'accuracy': 1.0}
    """

    source = "https://super.gluebenchmark.com/"
    tasks: ClassVar = {
        "boolq": ACCURACY,
        "cb": ACCURACY_AND_MEAN_F1,
        "copa": ACCURACY,
        "multirc": MULTIRC,
        "record": RECORD,
        "rte": ACCURACY,
        "wic": ACCURACY,
        "wsc": ACCURACY,
        "wsc.fixed": ACCURACY,
        "axb": MATTHEWS,
        "axg": ACCURACY,
    }
