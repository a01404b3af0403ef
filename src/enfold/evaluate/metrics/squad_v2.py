"""Exact match and F1 of SQuAD v2.0, where some questions have no answer."""

from __future__ import annotations

from typing import Any, NamedTuple

from enfold.evaluate.counting import Counting
from enfold.evaluate.errors import EvaluationError
from enfold.evaluate.info import MetricInfo
from enfold.evaluate.metrics.squad import answer_texts
from enfold.evaluate.module import Metric
from enfold.evaluate.text.answers import best, exact, normalized, overlap

__all__ = ["SquadV2"]


class SquadV2(Counting, Metric):
    """Answers to questions that may have none: exact match and F1 in percent, overall and for either kind.

    Predictions are ``{"id", "prediction_text", "no_answer_probability"}``, references
    ``{"id", "answers": {"text": […], "answer_start": […]}}``; no texts stand for no answer.

    Options of ``compute``:
        no_answer_threshold: a prediction whose no_answer_probability is above it counts as no answer; 1 by default.

    ``compute`` gives ``exact``, ``f1``, ``total``, the same with ``HasAns_`` and ``NoAns_`` where there are such
    questions, and ``best_exact``, ``best_f1`` with the thresholds that reach them.

    Source: P. Rajpurkar et al., "Know what you don't know: unanswerable questions for SQuAD", 2018.

    Example:
        >>> said = [{"id": "1", "prediction_text": "tower", "no_answer_probability": 0.0}]
        >>> right = [{"id": "1", "answers": {"text": ["Tower"], "answer_start": [4]}}]
        >>> SquadV2().compute(predictions=said, references=right)["exact"]
        100.0
    """

    def _info(self) -> MetricInfo:
        return MetricInfo(
            description="Exact match and F1 of answers to questions that may have none, in percent.",
            citation="",
            features={
                "predictions": {"id": "string", "prediction_text": "string", "no_answer_probability": "float32"},
                "references": {"id": "string", "answers": {"text": ["string"], "answer_start": ["int32"]}},
            },
            inputs_description="no_answer_threshold=1.0.",
            reference_urls=["https://rajpurkar.github.io/SQuAD-explorer/"],
        )

    def _count(self, *, predictions: list[Any], references: list[Any]) -> dict[str, list[Any]]:
        """Return, in the order of the predictions, a row for each that found its question, and the others as they are.

        Their order decides among equal probabilities. Questions without a prediction stay ``open``: it may be among the
        inputs of another process.
        """
        said = {item["id"]: (item["prediction_text"], item["no_answer_probability"]) for item in predictions}
        right = {item["id"]: answer_texts(item) for item in references}
        return {
            "rows": [
                _row(text, chance, right[name]) if name in right else (name, text, chance)
                for name, (text, chance) in said.items()
            ],
            "open": [(name, answers) for name, answers in right.items() if name not in said],
        }

    def _score(self, counts: dict[str, list[Any]], *, no_answer_threshold: float = 1.0) -> dict[str, Any]:
        open_ = dict(counts["open"])
        rows = []
        for row in counts["rows"]:
            if len(row) == len(Row._fields):
                rows.append(Row(*row))
            elif row[0] in open_:
                name, text, chance = row
                rows.append(_row(text, chance, open_.pop(name)))
        if not rows:
            raise EvaluationError("no prediction has the id of a reference")
        result: dict[str, Any] = {}
        answerable = [row for row in rows if row.has_answer]
        others = [row for row in rows if not row.has_answer]
        for prefix, group in (("", rows), ("HasAns_", answerable), ("NoAns_", others)):
            if not group:
                continue
            for name in ("exact", "f1"):
                scores = [row.score(name, no_answer_threshold) for row in group]
                result[prefix + name] = 100.0 * sum(scores) / len(group)
            result[prefix + "total"] = len(group)
        unanswerable = len(others) + sum(not answers for answers in open_.values())
        for name in ("exact", "f1"):
            result[f"best_{name}"], result[f"best_{name}_thresh"] = _best(rows, unanswerable, name)
        return result


class Row(NamedTuple):
    """One answered question."""

    exact: float
    f1: float
    has_answer: bool
    says_something: bool
    no_answer_probability: float

    def score(self, name: str, threshold: float) -> float:
        if self.no_answer_probability > threshold:
            return float(not self.has_answer)
        return getattr(self, name)


def _row(text: str, no_answer_probability: float, answers: list[str]) -> Row:
    # an answer that is nothing but articles and punctuation is none, as in the official script
    right = [answer for answer in answers if normalized(answer)] or [""]
    # without words on either side it is their equality that counts
    f1 = best(lambda a, b: overlap(a, b) if normalized(a) and normalized(b) else exact(a, b), text, right)
    return Row(best(exact, text, right), f1, bool(answers), bool(text), no_answer_probability)


def _best(rows: list[Row], unanswerable: int, name: str) -> tuple[float, float]:
    """Return the best score over all thresholds, and the lowest threshold that gives it."""
    score: float = unanswerable
    top, threshold = score, 0.0
    # from no answer everywhere, questions are answered one by one, the most certain first
    for row in sorted(rows, key=lambda row: row.no_answer_probability):
        score += getattr(row, name) if row.has_answer else -1 if row.says_something else 0
        if score > top:
            top, threshold = score, row.no_answer_probability
    return 100.0 * top / len(rows), threshold
