"""CharCut: the characters in which a translation and its reference differ, told in whole words where possible."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from enfold.evaluate.counting import Counting
from enfold.evaluate.info import MetricInfo
from enfold.evaluate.module import Metric

__all__ = ["CharcutMt"]

SHORTEST = 3  # characters of a match, except at the beginning and at the end of both texts

#: a text in both, and where it begins in either
Shared = tuple[str, list[int], list[int]]


class Match(NamedTuple):
    """A stretch of the translation that was found in the reference."""

    said: int
    right: int
    text: str


class CharcutMt(Counting, Metric):
    """The share of characters of both texts that were inserted, deleted or shifted: 0 for equal texts.

    Source: A. Lardilleux and Y. Lepage, "CHARCUT: human-targeted character-based MT evaluation with loose differences",
    IWSLT 2017.

    Example:
        >>> CharcutMt().compute(predictions=["this is in fact an estimate"], references=["this is an estimate"])
        {'charcut_mt': 0.17391304347826086}
    """

    def _info(self) -> MetricInfo:
        return MetricInfo(
            description="The share of characters that were inserted, deleted or shifted.",
            citation='@inproceedings{lardilleux-lepage-2017-charcut, title = "{CHARCUT}: Human-Targeted '
            'Character-Based {MT} Evaluation with Loose Differences", author = "Lardilleux, Adrien and Lepage, Yves", '
            'booktitle = "IWSLT", year = "2017"}',
            features={"predictions": "string", "references": "string"},
            homepage="https://github.com/alardill/CharCut",
        )

    def _count(self, *, predictions: list[str], references: list[str]) -> dict[str, int]:
        cost = size = 0
        for said, right in zip(predictions, references, strict=True):
            said, right = said.strip(), right.strip()
            most = len(said) + len(right)
            cost, size = cost + min(_cost(said, right), most), size + most
        return {"cost": cost, "size": size}

    def _score(self, counts: dict[str, int]) -> dict[str, float]:
        return {"charcut_mt": counts["cost"] / counts["size"] if counts["size"] else 0.0}


def _cost(said: str, right: str) -> int:
    """Return how many characters of either text were inserted, deleted or shifted; shifted ones count once."""
    matches = _matches(said, right)
    kept = _in_order(matches)
    cost = len(said) + len(right) - 2 * sum(len(match.text) for match in matches)
    for match in set(matches) - kept:
        size = len(match.text)
        # the shorter a text, the less far it is believed to have moved
        cost += size if math.exp(size) >= _distance(match, kept) else 2 * size
    return cost


def _matches(said: str, right: str) -> list[Match]:
    """Match the longest shared texts first, each with characters that are still free."""
    shared = {found[0]: found for found in (*_of_words(said, right), *_within_words(said, right))}
    free = [True] * len(said), [True] * len(right)
    matches = []

    def first(side: int, places: list[int], size: int) -> int | None:
        return next((place for place in places if all(free[side][place : place + size])), None)

    def rank(found: Shared) -> tuple[int, bool, int, list[int]]:
        text, mine, theirs = found
        return -len(text), len(mine) == len(theirs), len(mine) + len(theirs), mine

    for text, mine, theirs in sorted(shared.values(), key=rank):
        size = len(text)
        while (at := first(0, mine, size)) is not None and (other := first(1, theirs, size)) is not None:
            matches.append(Match(at, other, text))
            free[0][at : at + size] = free[1][other : other + size] = [False] * size
    return matches


def _runs(first: Sequence, second: Sequence, starts: tuple[list[int], list[int]]) -> Iterator[Shared]:
    """Give each run of elements that both have, with the places among ``starts`` where it begins."""
    size = 1
    while starts[0] and starts[1]:
        found: tuple[dict, dict] = {}, {}
        for places, sequence, begins in zip(found, (first, second), starts, strict=True):
            for begin in begins:
                if begin + size <= len(sequence):
                    places.setdefault(tuple(sequence[begin : begin + size]), []).append(begin)
        both = [run for run in found[0] if run in found[1]]
        for run in both:
            yield "".join(map(str, run)), found[0][run], found[1][run]
        starts = tuple(sorted(place for run in both for place in places[run]) for places in found)  # type: ignore[assignment]
        size += 1


def _of_words(said: str, right: str) -> Iterator[Shared]:
    """Give the runs of whole words and symbols, and any run that begins or ends both texts."""
    pieces = [[piece for piece in re.split(r"(\W)", text) if piece] for text in (said, right)]
    offsets = [_offsets(words) for words in pieces]
    everywhere = list(range(len(pieces[0]))), list(range(len(pieces[1])))
    for text, mine, theirs in _runs(pieces[0], pieces[1], everywhere):
        begins = [offsets[0][word] for word in mine], [offsets[1][word] for word in theirs]
        if len(text) >= SHORTEST:
            yield text, *begins
        elif begins[0][0] == begins[1][0] == 0:
            yield text, [0], [0]
        elif len(said) - len(text) in begins[0] and len(right) - len(text) in begins[1]:
            yield text, [len(said) - len(text)], [len(right) - len(text)]


def _offsets(pieces: list[str]) -> list[int]:
    """Return where each piece begins in the text that they make up."""
    places, place = [], 0
    for piece in pieces:
        places.append(place)
        place += len(piece)
    return places


def _within_words(said: str, right: str) -> Iterator[Shared]:
    """Give the runs of characters that reach over no more than one word, with the symbols at either side of it."""
    letters: list[list[object]] = []
    origins: list[list[int]] = []
    starts: list[list[int]] = []
    for side, text in enumerate((said, right)):
        row: list[object] = []
        origin: list[int] = []
        start: list[int] = []
        words = list(re.finditer(r"\w+", text))
        spans = [(word.start(), word.end()) for word in words] or [(len(text), len(text))]
        for number, (_, end) in enumerate(spans):
            begin = spans[number - 1][1] if number else 0  # where the symbols before the word begin
            until = spans[number + 1][0] if number + 1 < len(spans) else len(text)
            start += range(len(row), len(row) + end - begin)
            row += [*text[begin:until], (side, number)]  # a mark that equals no other ends the stretch
            origin += [*range(begin, until), -1]
        letters.append(row)
        origins.append(origin)
        starts.append(start)
    for text, mine, theirs in _runs(letters[0], letters[1], (starts[0], starts[1])):
        if len(text) >= SHORTEST:
            yield text, [origins[0][place] for place in mine], [origins[1][place] for place in theirs]


def _in_order(matches: list[Match]) -> set[Match]:
    """Return matches that stand in one order in both texts: the longest stretch of them first, then left and right."""
    orders = sorted(matches), sorted(matches, key=lambda match: match.right)
    letters = [[(match, place) for match in order for place in range(len(match.text))] for order in orders]
    blocks = difflib.SequenceMatcher(None, letters[0], letters[1], autojunk=False).get_matching_blocks()
    return {match for begin, _, size in blocks for match, _ in letters[0][begin : begin + size]}


def _distance(match: Match, kept: set[Match]) -> int:
    """Return over how many characters a match moved, as far as the farthest of those that it went past."""
    passed = sorted(other for other in kept if (other.said < match.said) != (other.right < match.right))
    if passed[0].said < match.said:
        return match.said - passed[0].said
    return passed[-1].said + len(passed[-1].text) - match.said - len(match.text)
