"""Exact match and F1 of SQuAD v1.1."""

from __future__ import annotations

from typing import Any

from enfold.evaluate.counting import Counting
from enfold.evaluate.errors import EvaluationError
from enfold.evaluate.info import MetricInfo
from enfold.evaluate.module import Metric
from enfold.evaluate.text.answers import answer_counts, answer_scores

__all__ = ["Squad"]


class Squad(Counting, Metric):
    """Answers to questions: the percentage that equal an answer, and the mean F1 of shared words.

    Predictions are ``{"id", "prediction_text"}``, references ``{"id", "answers": {"text": […], "answer_start": […]}}``.
    They are matched by id; an unanswered question counts as wrong.

    Source: P. Rajpurkar et al., "SQuAD: 100,000+ questions for machine comprehension of text", 2016.

    Example:
        >>> said = [{"id": "1", "prediction_text": "the tower"}]
        >>> right = [{"id": "1", "answers": {"text": ["Tower"], "answer_start": [4]}}]
        >>> Squad().compute(predictions=said, references=right)
        {'exact_match': 100.0, 'f1': 100.0}
    """

    def _info(self) -> MetricInfo:
        return MetricInfo(
            description="Exact match and F1 of answers to questions, in percent.",
            citation="",
            features={
                "predictions": {"id": "string", "prediction_text": "string"},
                "references": {"id": "string", "answers": {"text": ["string"], "answer_start": ["int32"]}},
            },
            reference_urls=["https://rajpurkar.github.io/SQuAD-explorer/"],
        )

    def _count(self, *, predictions: list[Any], references: list[Any]) -> dict[str, Any]:
        right = [(item["id"], answer_texts(item)) for item in references]
        for name, answers in right:
            if not answers:
                raise EvaluationError(f"question {name!r} has no answers; squad_v2 is for such questions")
        return answer_counts({item["id"]: item["prediction_text"] for item in predictions}, right)

    def _score(self, counts: dict[str, Any]) -> dict[str, float]:
        hits, words = answer_scores(counts)
        return {"exact_match": hits, "f1": words}


def answer_texts(item: Any) -> list[str]:
    """Return the right answers of one question, given as columns or as rows."""
    answers = item["answers"]
    return list(answers["text"]) if hasattr(answers, "keys") else [answer["text"] for answer in answers]
