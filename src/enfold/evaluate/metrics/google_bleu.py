"""Google BLEU: the lesser of n-gram precision and recall."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from enfold.evaluate.counting import Counting
from enfold.evaluate.errors import EvaluationError
from enfold.evaluate.info import MetricInfo
from enfold.evaluate.module import Metric

__all__ = ["GoogleBleu"]


class GoogleBleu(Counting, Metric):
    """The lesser of precision and recall of all n-grams together, over a corpus (GLEU).

    Every prediction is a text; its reference is a text or a list of texts, of which the best counts.

    Options of ``compute``:
        tokenizer: a function from a text to its tokens; by default the rules of mteval-v13a.
        min_len, max_len: the shortest and longest n-grams, 1 and 4 by default.

    Source: Y. Wu et al., "Google's neural machine translation system", 2016.

    Example:
        >>> GoogleBleu().compute(predictions=["a b c"], references=[["a b c"]])
        {'google_bleu': 1.0}
    """

    def _info(self) -> MetricInfo:
        return MetricInfo(
            description="The lesser of precision and recall of the n-grams of a translation.",
            citation="@misc{wu2016googles, title={Google's Neural Machine Translation System: Bridging the Gap between "
            "Human and Machine Translation}, author={Yonghui Wu and others}, year={2016}, eprint={1609.08144}}",
            features=[
                {"predictions": "string", "references": ["string"]},
                {"predictions": "string", "references": "string"},
            ],
            inputs_description="tokenizer (mteval-v13a), min_len=1, max_len=4.",
            reference_urls=["https://arxiv.org/abs/1609.08144"],
        )

    def _count(
        self,
        *,
        predictions: list[str],
        references: list[Any],
        tokenizer: Callable[[str], Sequence[str]] | None = None,
        min_len: int = 1,
        max_len: int = 4,
    ) -> dict[str, int]:
        import numpy as np

        from enfold.evaluate.text.bleu import cut_13a, cut_by
        from enfold.evaluate.text.pairs import groups_of

        if not 1 <= min_len <= max_len:
            raise EvaluationError(f"min_len is at least 1 and at most max_len, not {min_len} and {max_len}")
        groups = groups_of(references)
        pairs = cut_by(tokenizer, predictions, groups) if tokenizer else cut_13a(predictions, groups)
        said, right = pairs.lengths()
        less = np.arange(min_len - 1, max_len)
        mine = np.maximum(np.repeat(said, pairs.counts)[:, None] - less, 0).sum(1)
        theirs = np.maximum(right[:, None] - less, 0).sum(1)
        shared = pairs.ngrams(max_len)[:, min_len - 1 :].sum(1)
        possible = np.maximum(mine, theirs)
        ratio = np.where(possible > 0, shared / np.maximum(possible, 1), -1.0)
        best = np.maximum.reduceat(ratio, pairs.starts)
        # of equally good references the one with the most n-grams in common, as the tuples' order has it
        owner = np.repeat(np.arange(len(groups)), pairs.counts)
        top = np.flatnonzero((ratio == best[owner]) & (possible > 0))
        top = top[np.unique(owner[top], return_index=True)[1]]
        return {"shared": int(shared[top].sum()), "possible": int(possible[top].sum())}

    def _score(self, counts: dict[str, int]) -> dict[str, float]:
        return {"google_bleu": counts["shared"] / counts["possible"] if counts["possible"] else 0.0}
