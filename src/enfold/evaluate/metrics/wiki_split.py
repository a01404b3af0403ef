"""The scores of WikiSplit: SARI, BLEU and exact match."""

from __future__ import annotations

from enfold.evaluate.info import MetricInfo
from enfold.evaluate.metrics.sacrebleu import Sacrebleu
from enfold.evaluate.metrics.sari import sari
from enfold.evaluate.module import Metric
from enfold.evaluate.text.answers import best, exact

__all__ = ["WikiSplit"]


class WikiSplit(Metric):
    """Sentences split and rephrased: ``sari``, ``sacrebleu`` and ``exact``, all in percent.

    Inputs are ``sources`` (texts), ``predictions`` (texts) and ``references`` (lists of texts).

    Source: J. Botha et al., "Learning to split and rephrase from Wikipedia edit history", EMNLP 2018.

    Example:
        >>> WikiSplit().compute(sources=["a cat sat ."], predictions=["a cat ."], references=[["the cat ."]])["exact"]
        100.0
    """

    _takes_arrays = True

    def _info(self) -> MetricInfo:
        return MetricInfo(
            description="SARI, BLEU and exact match of sentences that were split and rephrased.",
            citation="",
            features={"sources": "string", "predictions": "string", "references": ["string"]},
        )

    def _compute(self, *, sources: list[str], predictions: list[str], references: list[list[str]]) -> dict[str, float]:
        hits = [best(exact, said, group) for said, group in zip(predictions, references, strict=True)]
        return {
            "sari": sari(sources, predictions, references),
            "sacrebleu": Sacrebleu().compute(predictions=predictions, references=references)["score"],
            "exact": 100.0 * sum(hits) / len(hits),
        }
