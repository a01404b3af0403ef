"""The scores of CUAD: clauses of contracts that were found."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

from enfold.evaluate.counting import Counting
from enfold.evaluate.errors import EvaluationError
from enfold.evaluate.info import MetricInfo
from enfold.evaluate.metrics.squad import answer_texts
from enfold.evaluate.module import Metric
from enfold.evaluate.text.answers import normalized, paired

__all__ = ["Cuad"]

ENOUGH = 0.5  # of the words of two clauses, shared among all, for them to be the same
NO_MARKS = str.maketrans("/", " ", ".,;:")


class Cuad(Counting, Metric):
    """Clauses that were found in contracts: exact match and F1 in percent, and the curve of precision over recall.

    Predictions are ``{"id", "prediction_text": [text, …]}``, references
    ``{"id", "answers": {"text": [text, …], "answer_start": […]}}``. Two clauses match when they share half of their
    words; for the question after the parties (their name in the id) also when the one contains the other.

    ``compute`` gives ``exact_match``, ``f1``, ``aupr`` (the area under precision over recall), ``prec_at_80_recall``
    and ``prec_at_90_recall``.

    Source: D. Hendrycks et al., "CUAD: an expert-annotated NLP dataset for legal contract review", 2021; a question
    with neither clauses nor predictions has no precision (nan), and F1 is nan then, as in the official script.

    Example:
        >>> said = [{"id": "1__Parties", "prediction_text": ["The seller:", "a third"]}]
        >>> right = [{"id": "1__Parties", "answers": {"text": ["The seller:"], "answer_start": [14]}}]
        >>> Cuad().compute(predictions=said, references=right)["prec_at_90_recall"]
        0.5
    """

    def _info(self) -> MetricInfo:
        return MetricInfo(
            description="Clauses that were found in contracts: exact match, F1, precision over recall.",
            citation="@article{hendrycks2021cuad, title={CUAD: An Expert-Annotated NLP Dataset for Legal Contract "
            "Review}, author={Dan Hendrycks and others}, journal={arXiv preprint arXiv:2103.06268}, year={2021}}",
            features={
                "predictions": {"id": "string", "prediction_text": ["string"]},
                "references": {"id": "string", "answers": {"text": ["string"], "answer_start": ["int32"]}},
            },
            reference_urls=["https://www.atticusprojectai.org/cuad"],
        )

    def _count(self, *, predictions: list[Any], references: list[Any]) -> dict[str, Any]:
        said = {item["id"]: list(item["prediction_text"]) for item in predictions}
        found, counts = paired(said, [(item["id"], answer_texts(item)) for item in references])
        return {"rows": [_row(*pair) for pair in found], **counts}

    def _score(self, counts: dict[str, Any]) -> dict[str, float]:
        import numpy as np

        found, left = paired(counts["spare"], counts["open"])
        rows = [*counts["rows"], *(_row(*pair) for pair in found)]
        total = len(rows) + len(left["open"])
        f1 = sum(0 if not (p or r) else 2 * p * r / (p + r) for _, p, r in rows)
        # by recall; precision is at least that of any higher recall
        order = sorted((recall, precision) for _, precision, recall in rows)
        recalls = sorted(recall for _, _, recall in rows)
        precisions = list(accumulate((precision for _, precision in reversed(order)), max))[::-1]
        area = float(np.trapezoid(precisions, recalls))
        reached = {
            wanted: next((p for p, recall in zip(precisions, recalls, strict=True) if recall >= wanted), 0)
            for wanted in (0.8, 0.9)
        }
        return {
            "exact_match": 100.0 * sum(hit for hit, _, _ in rows) / total,
            "f1": 100.0 * f1 / total,
            "aupr": 0 if np.isnan(area) else area,
            "prec_at_80_recall": reached[0.8],
            "prec_at_90_recall": reached[0.9],
        }


def _row(name: str, said: list[str], right: list[str]) -> tuple[bool, float, float]:
    """Return whether a clause was met exactly, and precision and recall of the clauses."""
    if not all(right):
        raise EvaluationError(f"question {name!r} has an empty clause")
    table = [[_same(text, clause, "Parties" in name) for clause in right] for text in said]
    hits = sum(any(row[place] for row in table) for place in range(len(right)))
    extra = sum(not any(row) for row in table)
    exact = any(normalized(text) == normalized(clause) for text in said for clause in right)
    return exact, hits / (hits + extra) if hits + extra else float("nan"), hits / len(right) if right else float("nan")


def _same(said: str, right: str, within: bool) -> bool:
    mine, theirs = ({*text.translate(NO_MARKS).lower().split(" ")} for text in (said, right))
    return len(mine & theirs) / len(mine | theirs) >= ENOUGH or (within and right in said)
