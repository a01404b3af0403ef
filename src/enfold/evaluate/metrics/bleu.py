"""BLEU: n-grams that a translation shares with its references."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from enfold.evaluate.counting import Counting
from enfold.evaluate.errors import EvaluationError
from enfold.evaluate.info import MetricInfo
from enfold.evaluate.module import Metric

__all__ = ["Bleu"]


class Bleu(Counting, Metric):
    """The geometric mean of n-gram precisions over a corpus, lowered where the translation is shorter.

    Every prediction is a text; its reference is a text or a list of texts.

    Options of ``compute``:
        tokenizer: a function from a text to its tokens; by default the rules of mteval-v13a.
        max_order: the longest n-grams, 4 by default.
        smooth: add one to matches and possible matches of every order (Lin and Och 2004).

    ``compute`` gives ``bleu``, ``precisions`` (a list over orders), ``brevity_penalty``, ``length_ratio``,
    ``translation_length`` and ``reference_length``, the lengths in tokens.

    Source: K. Papineni et al., "BLEU: a method for automatic evaluation of machine translation", ACL 2002.

    Example:
        >>> Bleu().compute(predictions=["the cat sat on the mat"], references=[["the cat sat on the mat"]])["bleu"]
        1.0
    """

    def _info(self) -> MetricInfo:
        return MetricInfo(
            description="The geometric mean of n-gram precisions, lowered where the translation is shorter.",
            citation='@inproceedings{papineni-etal-2002-bleu, title = "{B}leu: a Method for Automatic Evaluation of '
            'Machine Translation", author = "Papineni, Kishore and Roukos, Salim and Ward, Todd and Zhu, Wei-Jing", '
            'booktitle = "ACL", year = "2002", doi = "10.3115/1073083.1073135", pages = "311--318"}',
            features=[
                {"predictions": "string", "references": ["string"]},
                {"predictions": "string", "references": "string"},
            ],
            inputs_description="tokenizer (mteval-v13a), max_order: int = 4, smooth: bool = False.",
            reference_urls=["https://aclanthology.org/P02-1040/"],
        )

    def _count(
        self,
        *,
        predictions: list[str],
        references: list[Any],
        tokenizer: Callable[[str], Sequence[str]] | None = None,
        max_order: int = 4,
    ) -> dict[str, Any]:
        from enfold.evaluate.text.bleu import corpus_counts, cut_13a, cut_by
        from enfold.evaluate.text.pairs import groups_of

        if max_order < 1:
            raise EvaluationError(f"max_order must be at least 1, not {max_order}")
        groups = groups_of(references)
        pairs = cut_by(tokenizer, predictions, groups) if tokenizer else cut_13a(predictions, groups)
        return corpus_counts(pairs, max_order)

    def _score(self, counts: dict[str, Any], *, max_order: int = 4, smooth: bool = False) -> dict[str, Any]:
        extra = 1.0 if smooth else 0.0
        precisions = [
            (match + extra) / (total + extra) if total + extra else 0.0
            for match, total in zip(counts["matches"].tolist(), counts["possible"].tolist(), strict=True)
        ]
        mean = 0.0
        if min(precisions) > 0:
            mean = math.exp(sum((1.0 / max_order) * math.log(precision) for precision in precisions))
        translation, reference = counts["said"], counts["shortest"]
        ratio = translation / reference if reference else float("inf" if translation else "nan")
        penalty = 1.0 if ratio > 1 else math.exp(1 - 1 / ratio) if ratio > 0 else 0.0
        return {
            "bleu": mean * penalty,
            "precisions": precisions,
            "brevity_penalty": penalty,
            "length_ratio": ratio,
            "translation_length": translation,
            "reference_length": reference,
        }
