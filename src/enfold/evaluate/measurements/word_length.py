"""How many words a text has on average."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from enfold.evaluate.counting import Counting
from enfold.evaluate.info import MeasurementInfo
from enfold.evaluate.module import Measurement

__all__ = ["WordLength"]


class WordLength(Counting, Measurement):
    """The mean number of words and symbols of a text.

    Options of ``compute``:
        tokenizer: a function from a text to its words; by default those of the Penn Treebank.

    Example:
        >>> WordLength().compute(data=["hello there", "good sun!"])
        {'average_word_length': 2.5}
    """

    def _info(self) -> MeasurementInfo:
        return MeasurementInfo(
            description="The mean number of words and symbols of a text.",
            citation="",
            features={"data": "string"},
            inputs_description="tokenizer: a function from a text to its words.",
        )

    def _count(self, *, data: list[str], tokenizer: Callable[[str], Sequence[str]] | None = None) -> dict[str, int]:
        from enfold.evaluate.text.words import words

        split = tokenizer or words
        return {"words": sum(len(split(text)) for text in data), "all": len(data)}

    def _score(self, counts: dict[str, int]) -> dict[str, float]:
        return {"average_word_length": counts["words"] / counts["all"]}
