"""Character error rate."""

from __future__ import annotations

from typing import Any

from enfold.evaluate.counting import Counting
from enfold.evaluate.info import MetricInfo
from enfold.evaluate.metrics.wer import edit_counts, error_rate
from enfold.evaluate.module import Metric

__all__ = ["Cer"]


class Cer(Counting, Metric):
    """The number of characters to insert, delete or substitute, divided by those of the references: a bare number.

    Options of ``compute``:
        concatenate_texts: compare all predictions, joined, with all references, joined.

    Source: A. Morris, V. Maier and P. Green, "From WER and RIL to MER and WIL", 2004.

    Example:
        >>> Cer().compute(predictions=["hallo"], references=["hello"])
        0.2
    """

    def _info(self) -> MetricInfo:
        return MetricInfo(
            description="Edits of characters, divided by the characters of the references.",
            citation="",
            features={"predictions": "string", "references": "string"},
            inputs_description="concatenate_texts=False.",
            reference_urls=["https://en.wikipedia.org/wiki/Word_error_rate"],
        )

    _counts_early = True

    def _adds_up(self, *, concatenate_texts: bool = False, **options: Any) -> bool:
        return not concatenate_texts

    def _count(
        self, *, predictions: list[str], references: list[str], concatenate_texts: bool = False
    ) -> dict[str, int]:
        if concatenate_texts:
            predictions, references = ["".join(predictions)], ["".join(references)]
        return edit_counts(predictions, references, "characters")

    def _score(self, counts: dict[str, int]) -> float:
        return error_rate(counts)
