"""Word error rate."""

from __future__ import annotations

from enfold.evaluate.counting import Counting
from enfold.evaluate.errors import EvaluationError
from enfold.evaluate.info import MetricInfo
from enfold.evaluate.module import Metric

__all__ = ["Wer", "edit_counts", "error_rate"]


class Wer(Counting, Metric):
    """The number of words to insert, delete or substitute, divided by the words of the references: a bare number.

    Words are separated by spaces, and by runs of white space.

    Options of ``compute``:
        concatenate_texts: accepted for the ecosystem's sake; texts are compared one by one either way.

    Source: A. Morris, V. Maier and P. Green, "From WER and RIL to MER and WIL", 2004.

    Example:
        >>> Wer().compute(predictions=["the cat sat"], references=["the cat sat down"])
        0.25
    """

    def _info(self) -> MetricInfo:
        return MetricInfo(
            description="Edits of words, divided by the words of the references.",
            citation="",
            features={"predictions": "string", "references": "string"},
            inputs_description="concatenate_texts=False.",
            reference_urls=["https://en.wikipedia.org/wiki/Word_error_rate"],
        )

    _counts_early = True

    def _count(self, *, predictions: list[str], references: list[str]) -> dict[str, int]:
        return edit_counts(predictions, references, "spaces")

    def _score(self, counts: dict[str, int], *, concatenate_texts: bool = False) -> float:
        return error_rate(counts)


def edit_counts(predictions: list[str], references: list[str], cut: str) -> dict[str, int]:
    """Return the ``edits`` of all texts, and the ``tokens`` of the references."""
    from enfold.evaluate.text.pairs import TextPairs

    pairs = TextPairs(predictions, [[text] for text in references], cut)
    return {"edits": int(pairs.edits().sum()), "tokens": int(pairs.lengths()[1].sum())}


def error_rate(counts: dict[str, int]) -> float:
    """Return the edits, divided by the tokens.

    Raises:
        EvaluationError: the references have no tokens.
    """
    if not counts["tokens"]:
        raise EvaluationError("the error rate is not defined: all references are empty")
    return counts["edits"] / counts["tokens"]
