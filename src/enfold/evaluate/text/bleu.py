"""The counts that BLEU is computed from, and its tokens."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from enfold.evaluate.text.mteval import joined_lines, pieces_13a, split_symbols
from enfold.evaluate.text.pairs import TextPairs

__all__ = ["corpus_counts", "cut_13a", "cut_by", "tokens_international", "tokens_zh"]


def cut_13a(said: Sequence[str], groups: Sequence[Sequence[str]]) -> TextPairs:
    """Return the texts with the tokens of mteval-v13a."""
    right = [[joined_lines(text) for text in group] for group in groups]
    return TextPairs([joined_lines(text) for text in said], right, "space", pieces_13a)


def cut_by(split: Callable[[str], Sequence[str]], said: Sequence[str], groups: Sequence[Sequence[str]]) -> TextPairs:
    """Return the texts with the tokens that a function gives."""
    return TextPairs([list(split(text)) for text in said], [[list(split(text)) for text in group] for group in groups])


def corpus_counts(pairs: TextPairs, max_order: int) -> dict[str, Any]:
    """Count over a corpus.

    Args:
        pairs: translations with their references.
        max_order: the longest n-grams.

    Returns:
        ``matches`` and ``possible``, n-grams by order, as arrays; ``said``, the translations' tokens; the references'
        tokens ``closest`` to these (of two as close, the fewer), and those of the ``shortest``.
    """
    import numpy as np

    said, right = pairs.lengths()
    matches = pairs.ngrams(max_order, merged=True).sum(0)
    possible = np.array([np.maximum(said - order, 0).sum() for order in range(max_order)])
    starts = pairs.starts
    # the nearest length, and of two as near the shorter: the least of (distance, length) as one number
    scale = int(right.max(initial=0)) + 1
    nearest = np.minimum.reduceat(abs(right - np.repeat(said, pairs.counts)) * scale + right, starts) % scale
    shortest = np.minimum.reduceat(right, starts)
    lengths = {"said": int(said.sum()), "closest": int(nearest.sum()), "shortest": int(shortest.sum())}
    return {"matches": matches, "possible": possible, **lengths}


@lru_cache(maxsize=1 << 16)
def _kind(character: str) -> str:
    return unicodedata.category(character)[0]


def tokens_international(text: str) -> list[str]:
    """Split as mteval-v14 does internationally: punctuation stands alone unless between digits, symbols always."""
    text = _split_pairs(_split_pairs(text, True), False)
    return "".join(f" {one} " if _kind(one) == "S" else one for one in text).split()


def _split_pairs(text: str, punctuation_last: bool) -> str:
    """Set punctuation apart that follows, or comes before, a character that is no number."""
    out: list[str] = []
    place = 0
    while place < len(text):
        pair = text[place : place + 2]
        if len(pair) == 2:
            kinds = _kind(pair[0]), _kind(pair[1])
            if punctuation_last and kinds[0] != "N" and kinds[1] == "P":
                out.append(f"{pair[0]} {pair[1]} ")
                place += 2
                continue
            if not punctuation_last and kinds[0] == "P" and kinds[1] != "N":
                out.append(f" {pair[0]} {pair[1]}")
                place += 2
                continue
        out.append(text[place])
        place += 1
    return "".join(out)


# What sacrebleu takes for Chinese characters, full-width forms and symbols among them. Two of its ranges are longer
# than they were meant to be, for they were written with \u instead of \U: they are what its scores are made with.
CHINESE = [
    *(tuple(chr(int(edge, 16)) for edge in block.split("-")) for block in (
        "3400-4db5 4e00-9fa5 9fa6-9fbb f900-fa2d fa30-fa6a fa70-fad9 ff00-ffef 2e80-2eff 3000-303f 31c0-31ef "
        "2f00-2fdf 2ff0-2fff 3100-312f 31a0-31bf fe10-fe1f fe30-fe4f 2600-26ff 2700-27bf 3200-32ff 3300-33ff"
    ).split()),
    ("\u2000" + "0", "\u2a6d" + "6"),
    ("\u2f80" + "0", "\u2fa1" + "d"),
]  # fmt: skip


@lru_cache(maxsize=1 << 16)
def _is_chinese(character: str) -> bool:
    return any(first <= character <= last for first, last in CHINESE)


def tokens_zh(text: str) -> list[str]:
    """Split Chinese characters one by one, and the rest by the rules of mteval-v13a."""
    spaced = "".join(f" {one} " if _is_chinese(one) else one for one in text.strip())
    return split_symbols(spaced)
