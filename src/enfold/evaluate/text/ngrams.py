"""N-grams that texts share, counted for a whole corpus at once.

All texts lie behind each other in one array of token numbers. An n-gram is the pair of the (n-1)-gram before it and its
last token, renumbered from 0 at every order, so that the numbers never overflow. Counting is then sorting.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["shared_ngrams"]


def shared_ngrams(
    candidates: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]], max_order: int
) -> Any:
    """Count the n-grams of each candidate that its references have as well.

    Args:
        candidates: the tokens of each candidate.
        references: for each candidate, the tokens of its references. An n-gram counts at most as often as in the
            reference that has it most often.
        max_order: the longest n-grams to count.

    Returns:
        An int64 array of shape (max_order, candidates); row ``n - 1`` is for n-grams.

    Example:
        >>> shared_ngrams([["a", "a", "b"]], [[["a", "b"], ["a", "c"]]], 2).tolist()
        [[2], [1]]
    """
    import numpy as np

    numbers: dict[str, int] = {}
    flat: list[int] = []
    lengths: list[int] = []
    owners: list[int] = []  # the candidate that a text belongs to
    texts = [(pair, words) for pair, words in enumerate(candidates)]
    texts += [(pair, words) for pair, group in enumerate(references) for words in group]
    for pair, words in texts:
        flat += [numbers.setdefault(token, len(numbers)) for token in words]
        lengths.append(len(words))
        owners.append(pair)
    tokens = np.asarray(flat, np.int64)
    text_of = np.repeat(np.arange(len(lengths)), lengths)
    owner = np.asarray(owners, np.int64)
    pairs = len(candidates)

    shared = np.zeros((max_order, pairs), np.int64)
    grams = tokens
    for order in range(1, max_order + 1):
        if order > 1:
            grams = grams[: max(len(tokens) - order + 1, 0)] * len(numbers) + tokens[order - 1 :]
            _, grams = np.unique(grams, return_inverse=True)
        if not len(grams):
            break
        inside = text_of[: len(grams)] == text_of[order - 1 :]  # not across the end of a text
        kinds = int(grams.max()) + 1
        keys, counts = np.unique(text_of[: len(grams)][inside] * kinds + grams[inside], return_counts=True)
        text, gram = keys // kinds, keys % kinds
        place = owner[text] * kinds + gram  # the same n-gram of the same pair, whichever text has it
        mine = text < pairs
        best, slot = np.unique(place[~mine], return_inverse=True)
        most = np.zeros(len(best), np.int64)
        np.maximum.at(most, slot, counts[~mine])
        _, here, there = np.intersect1d(place[mine], best, assume_unique=True, return_indices=True)
        overlap = np.minimum(counts[mine][here], most[there])
        shared[order - 1] = np.bincount(owner[text[mine][here]], overlap, pairs)
    return shared
