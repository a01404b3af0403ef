"""Precision, recall and F1 of tags, one by one: for parts of speech."""

from __future__ import annotations

from typing import Any

from enfold.evaluate.classification import Tally, tally
from enfold.evaluate.counting import Counting
from enfold.evaluate.errors import EvaluationError
from enfold.evaluate.info import MetricInfo
from enfold.evaluate.module import Metric

__all__ = ["Poseval"]


class Poseval(Counting, Metric):
    """Precision, recall, F1 and support of every tag, their means, and accuracy: each token counts by itself.

    Options of ``compute``:
        zero_division: the score where a tag is never predicted or never right: 0, 1, nan, or ``"warn"``, which is 0.

    ``compute`` gives for each tag ``precision``, ``recall``, ``f1-score`` and ``support``, then ``accuracy``,
    ``macro avg`` and ``weighted avg``.

    Example:
        >>> Poseval().compute(predictions=[["NOUN", "VERB"]], references=[["NOUN", "NOUN"]])["accuracy"]
        0.5
    """

    def _info(self) -> MetricInfo:
        return MetricInfo(
            description="Precision, recall and F1 of tags, each token by itself.",
            citation="",
            features={"predictions": ["string"], "references": ["string"]},
            inputs_description="zero_division='warn'.",
        )

    def _count(self, *, predictions: list[list[str]], references: list[list[str]]) -> Tally:
        import numpy as np

        said, right = ([tag for tags in rows for tag in tags] for rows in (predictions, references))
        if len(said) != len(right):
            raise EvaluationError(f"there are {len(said)} predicted tags and {len(right)} true ones")
        if not said:
            raise EvaluationError("there are no tags")
        names = sorted({*said, *right})
        number = {name: place for place, name in enumerate(names)}
        found = tally(np.array([number[tag] for tag in said]), np.array([number[tag] for tag in right]))
        return {names[place]: counts for place, counts in found.items()}

    def _score(self, counts: Tally, *, zero_division: float | str = "warn") -> dict[str, Any]:
        import numpy as np

        if isinstance(zero_division, str) and zero_division != "warn":
            raise EvaluationError(f"zero_division is 0, 1, nan or 'warn', not {zero_division!r}")
        names = sorted(counts)
        hits, predicted, actual = np.stack([counts[name] for name in names], axis=1)
        empty = 0.0 if zero_division == "warn" else float(zero_division)
        every = int(actual.sum())

        def divided(above: Any, below: Any) -> Any:
            return np.divide(above, below, out=np.full(len(names), empty), where=below > 0)

        columns = {
            "precision": divided(hits, predicted),
            "recall": divided(hits, actual),
            "f1-score": divided(2 * hits, predicted + actual),
        }
        report: dict[str, Any] = {}
        for place, name in enumerate(names):
            report[name] = {key: float(column[place]) for key, column in columns.items()}
            report[name]["support"] = int(actual[place])
        report["accuracy"] = float(hits.sum() / every)
        for name, weights in (("macro avg", None), ("weighted avg", actual)):
            report[name] = {key: float(np.average(column, weights=weights)) for key, column in columns.items()}
            report[name]["support"] = every
        return report
