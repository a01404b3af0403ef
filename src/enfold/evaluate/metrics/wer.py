"""Word error rate."""

from __future__ import annotations

from enfold.evaluate.errors import EvaluationError
from enfold.evaluate.info import MetricInfo
from enfold.evaluate.module import Metric

__all__ = ["Wer", "error_rate"]


class Wer(Metric):
    """The number of words to insert, delete or substitute, divided by the words of the references: a bare number.

    Words are separated by spaces, and by runs of white space.

    Options of ``compute``:
        concatenate_texts: accepted for the ecosystem's sake; texts are compared one by one either way.

    Source: A. Morris, V. Maier and P. Green, "From WER and RIL to MER and WIL", 2004.

    Example:
        >>> Wer().compute(predictions=["the cat sat"], references=["the cat sat down"])
        0.25
    """

    _takes_arrays = True

    def _info(self) -> MetricInfo:
        return MetricInfo(
            description="Edits of words, divided by the words of the references.",
            citation="",
            features={"predictions": "string", "references": "string"},
            inputs_description="concatenate_texts=False.",
            reference_urls=["https://en.wikipedia.org/wiki/Word_error_rate"],
        )

    def _compute(self, *, predictions: list[str], references: list[str], concatenate_texts: bool = False) -> float:
        return error_rate(predictions, references, "spaces")


def error_rate(predictions: list[str], references: list[str], cut: str) -> float:
    """Return the edits of all tokens, divided by the tokens of the references.

    Raises:
        EvaluationError: the references have no tokens.
    """
    from enfold.evaluate.text.pairs import TextPairs

    pairs = TextPairs(predictions, [[text] for text in references], cut)
    total = int(pairs.lengths()[1].sum())
    if not total:
        raise EvaluationError("the error rate is not defined: all references are empty")
    return int(pairs.edits().sum()) / total
