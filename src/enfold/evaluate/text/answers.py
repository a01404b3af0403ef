"""Answers to questions, compared as SQuAD does: without case, punctuation, articles and extra space."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["best", "exact", "normalized", "overlap"]

PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalized(answer: str) -> str:
    """Return the answer in lower case without punctuation, English articles and extra space.

    Example:
        >>> normalized("The  Eiffel-Tower!")
        'eiffeltower'
    """
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", answer.lower().translate(PUNCTUATION)).split())


def exact(said: str, right: str) -> float:
    """Return 1 where the normalized answers are equal, else 0."""
    return float(normalized(said) == normalized(right))


def overlap(said: str, right: str) -> float:
    """Return the F1 of the words that the normalized answers share; 0 where they share none."""
    mine, theirs = normalized(said).split(), normalized(right).split()
    shared = sum((Counter(mine) & Counter(theirs)).values())
    if not shared:
        return 0.0
    precision, recall = shared / len(mine), shared / len(theirs)
    return 2 * precision * recall / (precision + recall)


def best(score: Callable[[str, str], float], said: str, answers: Iterable[str]) -> Any:
    """Return the best score of an answer over all that are right."""
    return max(score(said, right) for right in answers)
