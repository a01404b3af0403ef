"""METEOR: words that match exactly, by their stems or as synonyms, in as few runs as possible."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import pairwise
from typing import Any

from enfold.evaluate.counting import Counting
from enfold.evaluate.info import MetricInfo
from enfold.evaluate.module import Metric
from enfold.log import get_logger

__all__ = ["Meteor"]

logger = get_logger(__name__)

Match = tuple[int, int]


class Meteor(Counting, Metric):
    """The weighted mean of precision and recall of matched words, lowered where they match in many runs.

    Every prediction is a text; its reference is a text or a list of texts, of which the best counts. Words match when
    they are equal, have the same Porter stem, or are synonyms. Synonyms come from WordNet where NLTK and its data are
    installed (``nltk.download("wordnet")``); without them the first two stages count, and the log says so once.

    Options of ``compute``:
        alpha: the weight of recall, 0.9 by default.
        beta: the steepness of the penalty for runs, 3 by default.
        gamma: the greatest penalty, 0.5 by default.

    Source: S. Banerjee and A. Lavie, "METEOR: an automatic metric for MT evaluation with improved correlation with
    human judgments", 2005; parameters of A. Lavie and A. Agarwal, 2007; details as in NLTK.

    Example:
        >>> round(float(Meteor().compute(predictions=["the cat sat"], references=["the cat sat"])["meteor"]), 4)
        0.9815
    """

    def _info(self) -> MetricInfo:
        return MetricInfo(
            description="Matched words, their stems and synonyms, lowered where they match in many runs.",
            citation='@inproceedings{banarjee2005, title = "{METEOR}: An Automatic Metric for {MT} Evaluation with '
            'Improved Correlation with Human Judgments", author = "Banerjee, S. and Lavie, A.", year = "2005"}',
            features=[
                {"predictions": "string", "references": ["string"]},
                {"predictions": "string", "references": "string"},
            ],
            inputs_description="alpha=0.9, beta=3, gamma=0.5.",
            reference_urls=["https://aclanthology.org/W05-0909/"],
        )

    def _count(
        self,
        *,
        predictions: list[str],
        references: list[Any],
        alpha: float = 0.9,
        beta: float = 3,
        gamma: float = 0.5,
    ) -> list[float]:
        from enfold.evaluate.text.pairs import groups_of
        from enfold.evaluate.text.words import words

        synonyms = _wordnet()

        def cut(text: str) -> list[str]:
            return [word.lower() for word in words(text)]

        scores = []
        for said, group in zip(predictions, groups_of(references), strict=True):
            mine = cut(said)
            scores.append(max(_of_pair(mine, cut(text), synonyms, alpha, beta, gamma) for text in group))
        return scores

    def _score(self, counts: list[float]) -> dict[str, Any]:
        import numpy as np

        return {"meteor": np.float64(np.mean(counts))}


def _of_pair(
    said: list[str],
    right: list[str],
    synonyms: Callable[[str], Iterable[str]] | None,
    alpha: float,
    beta: float,
    gamma: float,
) -> float:
    from enfold.evaluate.text.porter import stem

    mine, theirs = list(enumerate(said)), list(enumerate(right))
    matches, mine, theirs = _matched(mine, theirs, lambda word: [word])
    mine, theirs = [(place, stem(word)) for place, word in mine], [(place, stem(word)) for place, word in theirs]
    more, mine, theirs = _matched(mine, theirs, lambda word: [word])
    matches += more
    if synonyms is not None:
        matches += _matched(mine, theirs, lambda word: {word, *synonyms(word)})[0]
    if not matches:
        return 0.0
    matches.sort()
    runs = 1 + sum((a + 1, b + 1) != after for (a, b), after in pairwise(matches))
    precision, recall = len(matches) / len(said), len(matches) / len(right)
    mean = precision * recall / (alpha * precision + (1 - alpha) * recall)
    return (1 - gamma * (runs / len(matches)) ** beta) * mean


def _matched(
    mine: list[tuple[int, str]], theirs: list[tuple[int, str]], like: Callable[[str], Iterable[str]]
) -> tuple[list[Match], list[tuple[int, str]], list[tuple[int, str]]]:
    """Match words from the last to the first, each with the last that is still free; return also what is left."""
    free: dict[str, list[int]] = defaultdict(list)
    for index, (_, word) in enumerate(theirs):
        free[word].append(index)
    matches, used_mine, used_theirs = [], set(), set()
    for index in reversed(range(len(mine))):
        candidates = [word for word in like(mine[index][1]) if free.get(word)]
        if candidates:
            other = free[max(candidates, key=lambda word: free[word][-1])].pop()
            used_mine.add(index)
            used_theirs.add(other)
            matches.append((mine[index][0], theirs[other][0]))
    left = [item for index, item in enumerate(mine) if index not in used_mine]
    return matches, left, [item for index, item in enumerate(theirs) if index not in used_theirs]


@lru_cache(maxsize=1)
def _wordnet() -> Callable[[str], Iterable[str]] | None:
    """Return the synonyms of WordNet where NLTK and its data are installed."""
    try:
        from nltk.corpus import wordnet

        wordnet.synsets("word")
    except (ImportError, LookupError):
        logger.warning("meteor: without NLTK and its WordNet data synonyms do not match, only words and stems do")
        return None
    return lambda word: {
        lemma.name() for synset in wordnet.synsets(word) for lemma in synset.lemmas() if "_" not in lemma.name()
    }
