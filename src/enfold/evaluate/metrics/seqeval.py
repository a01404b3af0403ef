"""Precision, recall and F1 of named entities in sequences of tags."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from enfold.evaluate.counting import Counting
from enfold.evaluate.errors import EvaluationError
from enfold.evaluate.info import MetricInfo
from enfold.evaluate.module import Metric

__all__ = ["Seqeval"]


class Seqeval(Counting, Metric):
    """Precision, recall and F1 of entities, for each type and overall, and the accuracy of tags.

    Predictions and references are lists of tags such as ``B-PER``, ``I-PER``, ``O``.

    Options of ``compute``:
        suffix: the prefix stands behind the type (``PER-B``).
        scheme: IOB1, IOB2, IOE1, IOE2, IOBES or BILOU, for ``mode="strict"``, where it is found out by default.
        mode: None reads tags leniently as conlleval does, ``"strict"`` by the rules of the scheme.
        sample_weight: accepted for the ecosystem's sake, where it has no effect either.
        zero_division: the score where nothing is predicted or right: 0, 1, or ``"warn"``, which is 0.

    ``compute`` gives a dictionary of ``precision``, ``recall``, ``f1`` and ``number`` for each type, and
    ``overall_precision``, ``overall_recall``, ``overall_f1`` and ``overall_accuracy``.

    Source: L. Ramshaw and M. Marcus, "Text chunking using transformation-based learning", 1995.

    Example:
        >>> Seqeval().compute(predictions=[["B-PER", "O"]], references=[["B-PER", "O"]])["overall_f1"]
        1.0
    """

    def _info(self) -> MetricInfo:
        return MetricInfo(
            description="Precision, recall and F1 of named entities in sequences of tags.",
            citation='@inproceedings{ramshaw-marcus-1995-text, title = "Text Chunking using Transformation-Based '
            'Learning", author = "Ramshaw, Lance and Marcus, Mitch", year = "1995"}',
            features={"predictions": ["string"], "references": ["string"]},
            inputs_description="suffix=False, scheme=None, mode=None, sample_weight=None, zero_division='warn'.",
            reference_urls=["https://aclanthology.org/W95-0107/"],
        )

    def _adds_up(self, *, scheme: str | None = None, mode: str | None = None, **options: Any) -> bool:
        return mode != "strict" or scheme is not None  # a scheme to be told from the tags is told from all of them

    def _count(
        self,
        *,
        predictions: list[list[str]],
        references: list[list[str]],
        suffix: bool = False,
        scheme: str | None = None,
        mode: str | None = None,
        sample_weight: Sequence[int] | None = None,
    ) -> dict[str, Any]:
        """Return the entities in both, in the predictions and in the references, by type; right tags and all tags."""
        import numpy as np

        from enfold.evaluate.text import chunks

        if mode not in (None, "strict"):
            raise EvaluationError(f"mode is 'strict' or None, not {mode!r}")
        if scheme is not None and scheme not in chunks.SCHEMES:
            raise EvaluationError(f"scheme is one of {', '.join(chunks.SCHEMES)}, not {scheme!r}")
        for place, (said, right) in enumerate(zip(predictions, references, strict=True)):
            if len(said) != len(right):
                raise EvaluationError(f"example {place} has {len(said)} predicted tags and {len(right)} true ones")
        if mode == "strict":
            rules = scheme or chunks.detected(references, suffix)
            found = [[chunks.strict(tags, rules, suffix) for tags in rows] for rows in (predictions, references)]
        else:
            found = [[chunks.lenient(tags, suffix) for tags in rows] for rows in (predictions, references)]
        entities: dict[str, Any] = {}
        for said, right in zip(*found, strict=True):
            for place, group in enumerate((said & right, said, right)):
                for kind, _, _ in group:
                    entities.setdefault(kind, np.zeros(3, int))[place] += 1
        tags = [
            (a, b)
            for said, right in zip(predictions, references, strict=True)
            for a, b in zip(said, right, strict=True)
        ]
        return {"entities": entities, "right": sum(a == b for a, b in tags), "tags": len(tags)}

    def _score(self, counts: dict[str, Any], *, zero_division: float | str = "warn") -> dict[str, Any]:
        empty = 0.0 if zero_division in ("warn", 0) else 1.0
        scores: dict[str, Any] = {}
        total = [0, 0, 0]
        for kind in sorted(counts["entities"]):
            each = counts["entities"][kind].tolist()
            total = [a + b for a, b in zip(total, each, strict=True)]
            precision, recall, f1 = _scores(each[0], each[1], each[2], empty)
            scores[kind] = {"precision": precision, "recall": recall, "f1": f1, "number": each[2]}
        scores["overall_precision"], scores["overall_recall"], scores["overall_f1"] = _scores(
            total[0], total[1], total[2], empty
        )
        scores["overall_accuracy"] = counts["right"] / counts["tags"] if counts["tags"] else 0.0
        return scores


def _scores(hits: int, said: int, right: int, empty: float) -> tuple[float, float, float]:
    precision, recall = hits / said if said else empty, hits / right if right else empty
    total = precision + recall
    return precision, recall, 2 * precision * recall / total if total else 0.0
