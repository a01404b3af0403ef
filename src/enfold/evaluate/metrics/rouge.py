"""ROUGE: n-grams and subsequences that a summary shares with its references."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from enfold.evaluate.counting import Counting
from enfold.evaluate.errors import EvaluationError
from enfold.evaluate.info import MetricInfo
from enfold.evaluate.module import Metric

if TYPE_CHECKING:
    from enfold.evaluate.text.pairs import TextPairs

__all__ = ["Rouge"]

DEFAULT_TYPES = ("rouge1", "rouge2", "rougeL", "rougeLsum")
RESAMPLES = 1000

Tokenizer = Callable[[str], Sequence[str]]


class Rouge(Counting, Metric):
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

    def _count(
        self,
        *,
        predictions: list[str],
        references: list[Any],
        rouge_types: Sequence[str] | None = None,
        use_stemmer: bool = False,
        tokenizer: Tokenizer | None = None,
    ) -> dict[str, list[float]]:
        """Return the scores of every prediction: what they come to together takes all of them."""
        kinds = list(dict.fromkeys(DEFAULT_TYPES if rouge_types is None else rouge_types))
        for kind in kinds:
            if not re.fullmatch(r"rouge([1-9]|L|Lsum)", kind):
                raise EvaluationError(f"unknown rouge type {kind!r}; there are rouge1 … rouge9, rougeL and rougeLsum")
        import numpy as np

        from enfold.evaluate.text.pairs import groups_of

        rows, starts = _scores(predictions, groups_of(references), kinds, tokenizer, use_stemmer)
        # one row for each pair of a prediction and one of its references; the best row counts
        return {kind: np.maximum.reduceat(values, starts).tolist() for kind, values in rows.items()}

    def _score(self, counts: dict[str, list[float]], *, use_aggregator: bool = True) -> dict[str, Any]:
        import numpy as np

        if not use_aggregator:
            return counts
        # The reference implementation draws its resamples from numpy's global generator, which is seeded around this
        # call; so are ours, in the same order, and the same seed gives the same scores.
        return {kind: _resampled(np.array(values)) for kind, values in counts.items()}


def _scores(
    said: list[str], groups: list[list[str]], kinds: list[str], tokenizer: Tokenizer | None, stemmed: bool
) -> tuple[dict[str, Any], Any]:
    """Return the F-measure of every pair for every kind, as arrays, and where each prediction's pairs begin."""
    import numpy as np

    whole = by_lines = _default_pairs(said, groups, stemmed)
    if tokenizer is not None:
        from enfold.evaluate.text.bleu import cut_by

        whole, by_lines = cut_by(tokenizer, said, groups), cut_by(partial(_lines, tokenizer), said, groups)
    orders = [int(kind[5:]) for kind in kinds if kind[5:].isdigit()]
    shared = whole.ngrams(max(orders)) if orders else None
    scores: dict[str, Any] = {}
    for kind in kinds:
        pairs = by_lines if kind == "rougeLsum" else whole
        mine, theirs = pairs.lengths()
        mine = np.repeat(mine, pairs.counts)
        if kind == "rougeLsum":
            scores[kind] = _f_measure(pairs.union(), mine, theirs)
        elif kind == "rougeL":
            scores[kind] = _f_measure(pairs.common(), mine, theirs)
        else:
            assert shared is not None
            less = int(kind[5:]) - 1
            scores[kind] = _f_measure(shared[:, less], np.maximum(mine - less, 0), np.maximum(theirs - less, 0))
    return scores, whole.starts


def _default_pairs(said: list[str], groups: list[list[str]], stemmed: bool) -> TextPairs:
    """Cut texts into the default tokens: runs of a-z and 0-9 of the lower-case text, stemmed on request."""
    from enfold.evaluate.text.pairs import TextPairs

    # the native core lowers ASCII; some other letters have ASCII ones as their lower case
    said = [text if text.isascii() else text.lower() for text in said]
    groups = [[text if text.isascii() else text.lower() for text in group] for group in groups]
    return TextPairs(said, groups, "alphanumeric", _stemmed if stemmed else None)


def _stemmed(word: str) -> list[str]:
    from enfold.evaluate.text.porter import stem

    return [stem(word) if len(word) > 3 else word]


def _lines(tokenizer: Tokenizer, text: str) -> list[str]:
    from enfold.evaluate.text.pairs import LINE_MARK

    return [token for line in text.split("\n") if line for token in (*tokenizer(line), LINE_MARK)]


def _f_measure(shared: Any, mine: Any, theirs: Any) -> Any:
    import numpy as np

    precision = shared / np.maximum(mine, 1)
    recall = shared / np.maximum(theirs, 1)
    total = precision + recall
    return np.divide(2 * precision * recall, total, out=np.zeros(len(total)), where=total > 0)


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
