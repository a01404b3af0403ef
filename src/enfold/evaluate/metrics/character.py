"""CharacTER: phrases are shifted as in TER, what is left is edited letter by letter."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from typing import Any

from enfold.evaluate.counting import Counting
from enfold.evaluate.errors import EvaluationError
from enfold.evaluate.info import MetricInfo
from enfold.evaluate.module import Metric

__all__ = ["Character"]

AGGREGATES: dict[str, Callable[[list[float]], float]] = {
    "mean": statistics.mean,
    "sum": sum,
    "median": statistics.median,
}


class Character(Counting, Metric):
    """The edits of characters after shifts of phrases, divided by the characters of the prediction, at most 1.

    Options of ``compute``:
        aggregate: ``"mean"`` (the default), ``"sum"`` or ``"median"`` over examples.
        return_all_scores: also give ``cer_scores``, one for each example.

    Source: W. Wang et al., "CharacTer: translation edit rate on character level", WMT 2016.

    Example:
        >>> round(Character().compute(predictions=["this is in fact an"], references=["this is an"])["cer_score"], 4)
        0.4444
    """

    def _info(self) -> MetricInfo:
        return MetricInfo(
            description="Edits of characters after shifts of phrases, divided by the prediction's characters.",
            citation='@inproceedings{wang-etal-2016-character, title = "{C}harac{T}er: Translation Edit Rate on '
            'Character Level", author = "Wang, Weiyue and others", booktitle = "WMT", year = "2016"}',
            features={"predictions": "string", "references": "string"},
            inputs_description="aggregate='mean', return_all_scores=False.",
            homepage="https://github.com/rwth-i6/CharacTER",
        )

    def _count(self, *, predictions: list[str], references: list[str]) -> list[float]:
        return [_of_pair(a.split(), b.split()) for a, b in zip(predictions, references, strict=True)]

    def _score(
        self, counts: list[float], *, aggregate: str = "mean", return_all_scores: bool = False
    ) -> dict[str, Any]:
        if aggregate not in AGGREGATES:
            raise EvaluationError(f"aggregate is one of {', '.join(AGGREGATES)}, not {aggregate!r}")
        result: dict[str, Any] = {"cer_score": AGGREGATES[aggregate](counts)}
        return {**result, "cer_scores": counts} if return_all_scores else result


def _of_pair(said: list[str], right: list[str]) -> float:
    if said == right:
        return 0.0
    if not said or not right:
        return 1.0
    # Shares of the reference's words, less by subtraction: the original takes its decisions on these floats.
    words, left = said, _edits([said], right)[0] / len(right)
    while True:
        candidates = list(_shifts(words, right))
        if not candidates:
            break
        edits = _edits(candidates, right)
        # the fewest edits, and of equals the last in the order of their words
        fewest = min(edits)
        moved = max(words for words, count in zip(candidates, edits, strict=True) if count == fewest)
        gain = left - fewest / len(right)
        if gain <= 0:
            break
        words, left = moved, left - gain
    text = " ".join(words)
    from enfold.evaluate.text.pairs import TextPairs

    edits_of_characters = int(TextPairs([text], [[" ".join(right)]], "characters").edits()[0])
    return min(1.0, (edits_of_characters + _shift_cost(words, said)) / len(text))


def _edits(candidates: list[list[str]], right: list[str]) -> list[int]:
    from enfold.evaluate.text.pairs import TextPairs

    return TextPairs([right], [candidates]).edits().tolist()


def _runs(first: list[str], second: list[str]) -> list[list[int]]:
    """Return how many words are the same from each place in one text and each place in another on."""
    runs = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for i in reversed(range(len(first))):
        for j in reversed(range(len(second))):
            runs[i][j] = runs[i + 1][j + 1] + 1 if first[i] == second[j] else 0
    return runs


def _shifts(words: list[str], right: list[str]) -> Iterator[list[str]]:
    """Give the words with each phrase that also stands elsewhere in the reference moved there."""
    for start, row in enumerate(_runs(words, right)):
        for other, size in enumerate(row):
            if size and start != other:
                rest = words[:start] + words[start + size :]
                yield rest[:other] + words[start : start + size] + rest[other:]


def _shift_cost(shifted: list[str], original: list[str]) -> float:
    """Return the mean word lengths of all phrases that moved to the right, added up."""
    runs = _runs(original, shifted)
    cost, place = 0.0, 0
    while place < len(original):
        later = [size for size in runs[place][place + 1 :] if size]
        if runs[place][place] or not later:
            place += 1
            continue
        phrase = original[place : place + later[0]]
        cost += sum(map(len, phrase)) / len(phrase)
        place += len(phrase)
    return cost
