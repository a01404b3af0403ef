"""The scores of WikiSplit: SARI, BLEU and exact match."""

from __future__ import annotations

from typing import Any

from enfold.evaluate.counting import Counting
from enfold.evaluate.info import MetricInfo
from enfold.evaluate.metrics.sacrebleu import Sacrebleu
from enfold.evaluate.metrics.sari import Sari, sari
from enfold.evaluate.module import Metric
from enfold.evaluate.text.answers import best, exact
from enfold.evaluate.text.pairs import groups_of

__all__ = ["WikiSplit"]


class WikiSplit(Counting, Metric):
    """Sentences split and rephrased: ``sari``, ``sacrebleu`` and ``exact``, all in percent.

    Inputs are ``sources`` (texts), ``predictions`` (texts) and ``references`` (texts, or lists of texts).

    Source: J. Botha et al., "Learning to split and rephrase from Wikipedia edit history", EMNLP 2018.

    Example:
        >>> WikiSplit().compute(sources=["a cat sat ."], predictions=["a cat ."], references=[["the cat ."]])["exact"]
        100.0
    """

    def _info(self) -> MetricInfo:
        return MetricInfo(
            description="SARI, BLEU and exact match of sentences that were split and rephrased.",
            citation="",
            features=[
                {"predictions": "string", "references": ["string"], "sources": "string"},
                {"predictions": "string", "references": "string", "sources": "string"},
            ],
        )

    def _count(self, *, sources: list[str], predictions: list[str], references: list[Any]) -> dict[str, Any]:
        groups = groups_of(references)
        return {
            "sari": sari(sources, predictions, groups),
            "bleu": Sacrebleu()._count(predictions=predictions, references=groups),
            "exact": sum(best(exact, said, group) for said, group in zip(predictions, groups, strict=True)),
        }

    def _score(self, counts: dict[str, Any]) -> dict[str, float]:
        return {
            "sari": Sari()._score(counts["sari"])["sari"],
            "sacrebleu": Sacrebleu()._score(counts["bleu"])["score"],
            "exact": 100.0 * (counts["exact"] / counts["sari"]["all"]),
        }
