"""SARI: what a simplification keeps, deletes and adds."""

from __future__ import annotations

from collections import Counter

from enfold.evaluate.counting import Counting
from enfold.evaluate.info import MetricInfo
from enfold.evaluate.module import Metric

__all__ = ["Sari"]

ORDER = 4


class Sari(Counting, Metric):
    """The mean of how well n-grams of the source are kept and deleted and new ones added, in percent.

    Inputs are ``sources`` (texts), ``predictions`` (texts) and ``references`` (lists of texts).

    Source: W. Xu et al., "Optimizing statistical machine translation for text simplification", TACL 2016.

    Example:
        >>> Sari().compute(sources=["a big cat ."], predictions=["a cat ."], references=[["a cat ."]])
        {'sari': 100.0}
    """

    def _info(self) -> MetricInfo:
        return MetricInfo(
            description="How well a simplification keeps, deletes and adds words.",
            citation='@article{xu-etal-2016-optimizing, title = "Optimizing Statistical Machine Translation for Text '
            'Simplification", author = "Xu, Wei and others", journal = "TACL", volume = "4", year = "2016"}',
            features={"sources": "string", "predictions": "string", "references": ["string"]},
            reference_urls=["https://aclanthology.org/Q16-1029/"],
        )

    def _count(self, *, sources: list[str], predictions: list[str], references: list[list[str]]) -> dict[str, float]:
        return sari(sources, predictions, references)

    def _score(self, counts: dict[str, float]) -> dict[str, float]:
        return {"sari": 100.0 * (counts["sum"] / counts["all"])}


def sari(sources: list[str], predictions: list[str], references: list[list[str]]) -> dict[str, float]:
    """Return the ``sum`` of the texts' SARI, each from 0 to 1, and how many texts there are in ``all``."""
    from enfold.evaluate.text.mteval import tokenize_13a
    from enfold.evaluate.text.pairs import groups_of

    total = 0.0
    for source, said, group in zip(sources, predictions, groups_of(references), strict=True):
        # a text without tokens counts as one empty one
        tokens = [tokenize_13a(text.lower()) or [""] for text in (source, said, *group)]
        for order in range(1, ORDER + 1):
            first, second, *others = (Counter(zip(*(t[i:] for i in range(order)), strict=False)) for t in tokens)
            total += sum(_operations(first, second, others)) / ORDER / 3
    return {"sum": total, "all": len(sources)}


def _operations(source: Counter, said: Counter, references: list[Counter]) -> tuple[float, float, float]:
    """Return F1 of kept, precision of deleted and F1 of added n-grams; what there is nothing of counts as right."""
    right: Counter = sum(references, Counter())
    # every n-gram stands once for each reference, so that the references' votes are fractions
    source = Counter({gram: count * len(references) for gram, count in source.items()})
    said = Counter({gram: count * len(references) for gram, count in said.items()})

    kept, keepable = source & said, source & right
    good = kept & right
    precision = sum(good[gram] / kept[gram] for gram in good) / len(kept) if kept else 1.0
    recall = sum(good.values()) / sum(keepable.values()) if keepable else 1.0
    keep = _f1(precision, recall)

    deleted = source - said
    good = deleted - right
    delete = sum(good[gram] / deleted[gram] for gram in good) / len(deleted) if deleted else 1.0

    added, addable = set(said) - set(source), set(right) - set(source)
    hits = len(added & addable)
    add = _f1(hits / len(added) if added else 1.0, hits / len(addable) if addable else 1.0)
    return keep, delete, add


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision or recall else 0.0
