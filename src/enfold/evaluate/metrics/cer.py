"""Character error rate."""

from __future__ import annotations

from enfold.evaluate.info import MetricInfo
from enfold.evaluate.metrics.wer import error_rate
from enfold.evaluate.module import Metric

__all__ = ["Cer"]


class Cer(Metric):
    """The number of characters to insert, delete or substitute, divided by those of the references: a bare number.

    Options of ``compute``:
        concatenate_texts: compare all predictions, joined, with all references, joined.

    Source: A. Morris, V. Maier and P. Green, "From WER and RIL to MER and WIL", 2004.

    Example:
        >>> Cer().compute(predictions=["hallo"], references=["hello"])
        0.2
    """

    _takes_arrays = True

    def _info(self) -> MetricInfo:
        return MetricInfo(
            description="Edits of characters, divided by the characters of the references.",
            citation="",
            features={"predictions": "string", "references": "string"},
            inputs_description="concatenate_texts=False.",
            reference_urls=["https://en.wikipedia.org/wiki/Word_error_rate"],
        )

    def _compute(self, *, predictions: list[str], references: list[str], concatenate_texts: bool = False) -> float:
        if concatenate_texts:
            predictions, references = ["".join(predictions)], ["".join(references)]
        return error_rate(predictions, references, "characters")
