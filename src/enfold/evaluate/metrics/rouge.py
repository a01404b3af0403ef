"""ROUGE: n-grams and subsequences that a summary shares with its references."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from enfold.evaluate.errors import EvaluationError
from enfold.evaluate.info import MetricInfo
from enfold.evaluate.module import Metric

__all__ = ["Rouge"]

DEFAULT_TYPES = ("rouge1", "rouge2", "rougeL", "rougeLsum")
RESAMPLES = 1000

Tokenizer = Callable[[str], Sequence[str]]


class Rouge(Metric):
    """F-measures of what a text shares with its reference: n-grams, or the longest common subsequence.

    Every prediction is a text; its reference is a text or a list of texts, of which the best counts.

    Options of ``compute``:
        rouge_types: of ``rouge1`` … ``rouge9`` (n-grams), ``rougeL`` (subsequence of the whole text) and ``rougeLsum``
            (union of subsequences, line by line). By default rouge1, rouge2, rougeL and rougeLsum.
        use_aggregator: give one number, the median of the means of 1,000 resamples (the default), drawn with the
            module's ``seed``; else a list with one score for each example.
        use_stemmer: compare words of more than three letters by their Porter stems.
        tokenizer: a function from a text to its tokens; by default lower-case letters and digits, without the rest.

    Source: C.-Y. Lin, "ROUGE: a package for automatic evaluation of summaries", ACL 2004; details as in rouge_score.

    Example:
        >>> float(Rouge().compute(predictions=["hello there"], references=["hello there"])["rougeL"])
        1.0
    """

    _takes_arrays = True

    def _info(self) -> MetricInfo:
        return MetricInfo(
            description="F-measures of the n-grams and subsequences that a text shares with its reference.",
            citation='@inproceedings{lin-2004-rouge, title = "{ROUGE}: A Package for Automatic Evaluation of '
            'Summaries", author = "Lin, Chin-Yew", booktitle = "Text Summarization Branches Out", year = "2004", '
            'url = "https://aclanthology.org/W04-1013", pages = "74--81"}',
            features=[
                {"predictions": "string", "references": ["string"]},
                {"predictions": "string", "references": "string"},
            ],
            inputs_description="rouge_types, use_aggregator=True, use_stemmer=False, tokenizer.",
            reference_urls=["https://aclanthology.org/W04-1013/"],
        )

    def _compute(
        self,
        *,
        predictions: list[str],
        references: list[Any],
        rouge_types: Sequence[str] | None = None,
        use_aggregator: bool = True,
        use_stemmer: bool = False,
        tokenizer: Tokenizer | None = None,
    ) -> dict[str, Any]:
        kinds = list(dict.fromkeys(DEFAULT_TYPES if rouge_types is None else rouge_types))
        for kind in kinds:
            if not re.fullmatch(r"rouge([1-9]|L|Lsum)", kind):
                raise EvaluationError(f"unknown rouge type {kind!r}; there are rouge1 … rouge9, rougeL and rougeLsum")
        split = tokenizer or _Words(use_stemmer)
        groups = [[group] if isinstance(group, str) else list(group) for group in references]
        for place, group in enumerate(groups):
            if not group:
                raise EvaluationError(f"references[{place}] is empty: every prediction needs a reference")
        # one row for each pair of a prediction and one of its references; the best row counts
        said = [prediction for prediction, group in zip(predictions, groups, strict=True) for _ in group]
        right = [text for group in groups for text in group]
        rows = _scores(said, right, kinds, split)
        starts = [0]
        for group in groups[:-1]:
            starts.append(starts[-1] + len(group))
        import numpy as np

        best = {kind: np.maximum.reduceat(values, starts) for kind, values in rows.items()}
        if not use_aggregator:
            return {kind: values.tolist() for kind, values in best.items()}
        # The reference implementation draws its resamples from numpy's global generator, which is seeded around this
        # call; so are ours, in the same order, and the same seed gives the same scores.
        return {kind: _resampled(values) for kind, values in best.items()}


class _Words:
    """The default tokens: runs of a-z and 0-9 of the lower-case text, stemmed on request."""

    def __init__(self, stemmed: bool) -> None:
        self._stemmed = stemmed

    def __call__(self, text: str) -> list[str]:
        words = re.findall(r"[a-z0-9]+", text.lower())
        if not self._stemmed:
            return words
        from enfold.evaluate.text.porter import stem

        return [stem(word) if len(word) > 3 else word for word in words]


def _scores(said: list[str], right: list[str], kinds: list[str], split: Tokenizer) -> dict[str, Any]:
    """Return the F-measure of every pair for every kind, as arrays."""
    import numpy as np

    from enfold.evaluate.text.ngrams import shared_ngrams
    from enfold.evaluate.text.subsequence import common_length

    scores: dict[str, Any] = {}
    if any(kind != "rougeLsum" for kind in kinds):
        mine, theirs = [split(text) for text in said], [split(text) for text in right]
        my_length = np.array([len(text) for text in mine], np.int64)
        their_length = np.array([len(text) for text in theirs], np.int64)
        orders = [int(kind[5:]) for kind in kinds if kind[5:].isdigit()]
        shared = shared_ngrams(mine, [[text] for text in theirs], max(orders)) if orders else None
    for kind in kinds:
        if kind == "rougeLsum":
            lines = [([split(line) for line in a.split("\n") if line], [split(line) for line in b.split("\n") if line])
                     for a, b in zip(said, right, strict=True)]  # fmt: skip
            counted = np.array([_union(a, b) for a, b in lines], np.int64).reshape(-1, 3)
            scores[kind] = _f_measure(*counted.T)
        elif kind == "rougeL":
            common = np.array([common_length(b, a) for a, b in zip(mine, theirs, strict=True)], np.int64)
            scores[kind] = _f_measure(common, my_length, their_length)
        else:
            order = int(kind[5:])
            assert shared is not None
            less = order - 1
            scores[kind] = _f_measure(
                shared[order - 1], np.maximum(my_length - less, 0), np.maximum(their_length - less, 0)
            )
    return scores


def _f_measure(shared: Any, mine: Any, theirs: Any) -> Any:
    import numpy as np

    precision = shared / np.maximum(mine, 1)
    recall = shared / np.maximum(theirs, 1)
    total = precision + recall
    return np.divide(2 * precision * recall, total, out=np.zeros(len(total)), where=total > 0)


def _union(said: list[Sequence[str]], right: list[Sequence[str]]) -> tuple[int, int, int]:
    """Count the tokens of the reference's lines that subsequences with any line of the prediction hit.

    A token counts no more often than it occurs on either side. Returns hits and the two lengths.
    """
    from enfold.evaluate.text.subsequence import common_length, common_places

    lengths = sum(map(len, said)), sum(map(len, right))
    if not all(lengths):
        return 0, *lengths
    if len(said) == len(right) == 1:
        return common_length(right[0], said[0]), *lengths
    left_here = Counter(token for line in said for token in line)
    left_there = Counter(token for line in right for token in line)
    hits = 0
    for line in right:
        places = {place for other in said for place in common_places(line, other)}
        for place in sorted(places):
            token = line[place]
            if left_here[token] > 0 and left_there[token] > 0:
                hits += 1
                left_here[token] -= 1
                left_there[token] -= 1
    return hits, *lengths


def _resampled(values: Any) -> Any:
    """Return the median of the means of resamples with replacement: a numpy float64."""
    import numpy as np

    count = len(values)
    means = np.empty(RESAMPLES)
    step = max(1, 1_000_000 // count)  # a few megabytes of drawn indices at a time
    for start in range(0, RESAMPLES, step):
        size = min(step, RESAMPLES - start)
        means[start : start + size] = values[np.random.randint(0, count, (size, count))].mean(1)
    return np.percentile(means, 50)
