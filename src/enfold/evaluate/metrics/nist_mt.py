"""NIST: BLEU's n-grams, weighted by how much they tell."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from enfold.evaluate.errors import EvaluationError
from enfold.evaluate.info import MetricInfo
from enfold.evaluate.module import Metric

__all__ = ["NistMt"]


class NistMt(Metric):
    """The information of the n-grams that a translation shares with its references, for each of its n-grams.

    Every prediction is a text; its reference is a text or a list of texts.

    Options of ``compute``:
        n: the longest n-grams, 5 by default.
        lowercase: compare in lower case.
        western_lang: split off ASCII punctuation (the default); else white space splits, whatever ``lowercase`` says.

    Source: G. Doddington, "Automatic evaluation of machine translation quality using n-gram co-occurrence
    statistics", HLT 2002; details as in NLTK.

    Example:
        >>> round(NistMt().compute(predictions=["a b c"], references=[["a b c"]], n=1)["nist_mt"], 6)
        1.584963
    """

    _takes_arrays = True

    def _info(self) -> MetricInfo:
        return MetricInfo(
            description="The information of the n-grams that a translation shares with its references.",
            citation='@inproceedings{10.5555/1289189.1289273, author = "Doddington, George", title = "Automatic '
            'Evaluation of Machine Translation Quality Using N-Gram Co-Occurrence Statistics", year = "2002"}',
            features=[
                {"predictions": "string", "references": ["string"]},
                {"predictions": "string", "references": "string"},
            ],
            inputs_description="n=5, lowercase=False, western_lang=True.",
        )

    def _compute(
        self,
        *,
        predictions: list[str],
        references: list[Any],
        n: int = 5,
        lowercase: bool = False,
        western_lang: bool = True,
    ) -> dict[str, float]:
        from enfold.evaluate.text.pairs import groups_of

        if n < 1:
            raise EvaluationError(f"n is at least 1, not {n}")
        said = [_tokens(text, lowercase, western_lang) for text in predictions]
        right = [[_tokens(text, lowercase, western_lang) for text in group] for group in groups_of(references)]
        weights = _information(right, n)
        score, l_said, l_right = 0.0, 0, 0
        for order in range(1, n + 1):
            gained, possible = 0.0, 0
            for mine, group in zip(said, right, strict=True):
                own = _grams(mine, order)
                total = sum(own.values())
                best = (-1.0, 0.0, 0, 0)
                for theirs in group:
                    shared = own & _grams(theirs, order)
                    gain = sum(weights[gram] * count for gram, count in shared.items())
                    best = max(best, (gain / total if total else 0.0, gain, total, len(theirs)))
                gained, possible = gained + best[1], possible + best[2]
                l_said, l_right = l_said + len(mine), l_right + best[3]
            score += gained / possible if possible else 0.0
        return {"nist_mt": score * _penalty(l_said, l_right)}


def _tokens(text: str, lowercase: bool, western: bool) -> list[str]:
    from xml.sax.saxutils import unescape

    from enfold.evaluate.text.mteval import split_symbols

    text = unescape(text.replace("<skipped>", "").replace("\u2028", " "), {"&apos;": "'", "&quot;": '"'})
    if not western:
        return text.split()
    text = f" {text} "
    return split_symbols(text.lower() if lowercase else text)


def _grams(tokens: list[str], order: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(tokens[place:] for place in range(order)), strict=False))


def _information(right: list[list[list[str]]], n: int) -> dict[tuple[str, ...], float]:
    """Return log2 of how much rarer each n-gram is than the n-gram without its last token."""
    counts: Counter[tuple[str, ...]] = Counter()
    for group in right:
        for tokens in group:
            for order in range(1, n + 1):
                counts.update(_grams(tokens, order))
    words = sum(len(tokens) for group in right for tokens in group)
    return {gram: math.log(counts.get(gram[:-1], words) / count, 2) for gram, count in counts.items()}


def _penalty(said: int, right: int) -> float:
    """Return 1 for translations that are long enough, and 0.5 for those two thirds as long as their references."""
    ratio = said / right if right else 0.0
    if 0 < ratio < 1:
        return math.exp(math.log(0.5) / math.log(1.5) ** 2 * math.log(ratio) ** 2)
    return max(min(ratio, 1.0), 0.0)
