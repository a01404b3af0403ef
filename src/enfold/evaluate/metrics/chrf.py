"""chrF: character n-grams that a translation shares with its reference."""

from __future__ import annotations

import string
from typing import Any

from enfold.evaluate.counting import Counting
from enfold.evaluate.errors import EvaluationError
from enfold.evaluate.info import MetricInfo
from enfold.evaluate.module import Metric

__all__ = ["Chrf"]


class Chrf(Counting, Metric):
    """The F-score of character n-grams, and with ``word_order=2`` (chrF++) of words, over a corpus, in percent.

    Every prediction is a text; its reference is a text or a list of texts, of which the best counts.

    Options of ``compute``:
        char_order: the longest character n-grams, 6 by default.
        word_order: the longest word n-grams, 0 by default.
        beta: how much more recall weighs than precision, 2 by default.
        lowercase: compare in lower case.
        whitespace: count white space as characters.
        eps_smoothing: average F-scores of all orders, as chrF++.py, NLTK and Moses do, rather than precision and
            recall of the orders that occur.

    Source: M. Popović, "chrF: character n-gram F-score for automatic MT evaluation", WMT 2015; defaults of sacrebleu.

    Example:
        >>> Chrf().compute(predictions=["the cat"], references=[["the cat"]])
        {'score': 100.0, 'char_order': 6, 'word_order': 0, 'beta': 2}
    """

    def _info(self) -> MetricInfo:
        return MetricInfo(
            description="The F-score of character n-grams that a translation shares with its reference.",
            citation='@inproceedings{popovic-2015-chrf, title = "chr{F}: character n-gram {F}-score for automatic {MT} '
            'evaluation", author = "Popovic, Maja", booktitle = "WMT", year = "2015", doi = "10.18653/v1/W15-3049"}',
            features=[
                {"predictions": "string", "references": ["string"]},
                {"predictions": "string", "references": "string"},
            ],
            inputs_description="char_order=6, word_order=0, beta=2, lowercase, whitespace, eps_smoothing.",
            reference_urls=["https://aclanthology.org/W15-3049/"],
        )

    def _count(
        self,
        *,
        predictions: list[str],
        references: list[Any],
        char_order: int = 6,
        word_order: int = 0,
        beta: int = 2,
        lowercase: bool = False,
        whitespace: bool = False,
        eps_smoothing: bool = False,
    ) -> Any:
        """Return the n-grams of predictions, of references and of both: int64 of shape (3, orders)."""
        import numpy as np

        from enfold.evaluate.text.pairs import TextPairs, groups_of

        if char_order < 0 or word_order < 0 or char_order + word_order < 1:
            raise EvaluationError("char_order and word_order are 0 or more, and one of them at least 1")
        groups = groups_of(references)
        said = predictions
        if lowercase:
            said, groups = [text.lower() for text in said], [[text.lower() for text in group] for group in groups]
        kinds = []
        if char_order:
            if whitespace:
                pairs = TextPairs(said, groups, "characters")
            else:
                bare = [["".join(text.split()) for text in group] for group in groups]
                pairs = TextPairs(["".join(text.split()) for text in said], bare, "characters")
            kinds.append(_statistics(pairs, char_order))
        if word_order:
            pairs = TextPairs(said, groups, "space", _without_punctuation)
            kinds.append(_statistics(pairs, word_order))
        mine, theirs, shared = (np.concatenate(columns, axis=1) for columns in zip(*kinds, strict=True))
        scores = _f_scores(mine, theirs, shared, beta, eps_smoothing)
        # of each group the first text with the best score
        starts = pairs.starts
        best = np.maximum.reduceat(scores, starts)
        owner = np.repeat(np.arange(len(groups)), pairs.counts)
        places = np.flatnonzero(scores == best[owner])
        chosen = places[np.unique(owner[places], return_index=True)[1]]
        return np.stack([column[chosen].sum(0) for column in (mine, theirs, shared)])

    def _score(
        self,
        counts: Any,
        *,
        char_order: int = 6,
        word_order: int = 0,
        beta: int = 2,
        eps_smoothing: bool = False,
    ) -> dict[str, Any]:
        score = float(_f_scores(counts[:1], counts[1:2], counts[2:], beta, eps_smoothing)[0])
        return {"score": score, "char_order": char_order, "word_order": word_order, "beta": beta}


def _statistics(pairs: Any, order: int) -> tuple[Any, Any, Any]:
    """Return the n-grams of the said texts, of the right texts and of both, each of shape (right texts, order)."""
    import numpy as np

    said, right = pairs.lengths()
    less = np.arange(order)
    mine = np.maximum(np.repeat(said, pairs.counts)[:, None] - less, 0)
    theirs = np.maximum(right[:, None] - less, 0)
    # n-grams are not held against a text too short to have any
    return np.where(theirs > 0, mine, 0), theirs, pairs.ngrams(order)


def _f_scores(mine: Any, theirs: Any, shared: Any, beta: int, eps_smoothing: bool) -> Any:
    """Return the score in percent of each row."""
    import numpy as np

    precision = np.where(mine > 0, shared / np.maximum(mine, 1), 1e-16)
    recall = np.where(theirs > 0, shared / np.maximum(theirs, 1), 1e-16)
    factor = beta**2
    if eps_smoothing:
        below = factor * precision + recall
        each = np.divide((1 + factor) * precision * recall, below, out=np.full(below.shape, 1e-16), where=below > 0)
        return 100 * each.sum(1) / mine.shape[1]
    occurs = (mine > 0) & (theirs > 0)
    orders = np.maximum(occurs.sum(1), 1)
    precision, recall = ((value * occurs).sum(1) / orders for value in (precision, recall))
    below = factor * precision + recall
    return 100 * np.divide((1 + factor) * precision * recall, below, out=np.zeros(len(below)), where=below > 0)


def _without_punctuation(word: str) -> list[str]:
    """Split one symbol off the end of a word, or else off its beginning."""
    if len(word) == 1:
        return [word]
    if word[-1] in string.punctuation:
        return [word[:-1], word[-1]]
    return [word[0], word[1:]] if word[0] in string.punctuation else [word]
