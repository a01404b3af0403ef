"""How many words a data set has."""

from __future__ import annotations

import re
from collections import Counter

from enfold.evaluate.counting import Counting
from enfold.evaluate.info import MeasurementInfo
from enfold.evaluate.module import Measurement

__all__ = ["WordCount"]

WORD = re.compile(r"\b\w\w+\b")


class WordCount(Counting, Measurement):
    """The number of words, and of distinct ones: runs of at least two letters, digits or underscores, in lower case.

    Options of ``compute``:
        max_vocab: count only this many words, the most frequent ones.

    Example:
        >>> WordCount().compute(data=["hello world", "hello sun"])
        {'total_word_count': 4, 'unique_words': 3}
    """

    def _info(self) -> MeasurementInfo:
        return MeasurementInfo(
            description="The number of words, and of distinct ones.",
            citation="",
            features={"data": "string"},
            inputs_description="max_vocab: int | None = None.",
        )

    _counts_early = True

    def _count(self, *, data: list[str]) -> dict[str, int]:
        return dict(Counter(word for text in data for word in WORD.findall(text.lower())))

    def _score(self, counts: dict[str, int], *, max_vocab: int | None = None) -> dict[str, int]:
        kept = Counter(counts).most_common(max_vocab)
        return {"total_word_count": sum(count for _, count in kept), "unique_words": len(kept)}
