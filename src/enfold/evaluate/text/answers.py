"""Answers to questions, compared as SQuAD does: without case, punctuation, articles and extra space."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["answer_counts", "answer_scores", "best", "exact", "normalized", "overlap", "paired"]

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


def paired(said: dict[Any, Any], right: Iterable[tuple[Any, Any]]) -> tuple[list[Any], dict[str, Any]]:
    """Bring questions and answers together.

    Args:
        said: the answers, by the keys of their questions.
        right: the questions' keys, each with what is right.

    Returns:
        A list of key, answer and what is right; and as counts that add up the answers (``spare``) and the questions
        (``open``) that did not find each other, for their parts may be among the inputs of another process.
    """
    found, open_ = [], []
    left = dict(said)
    for key, answers in right:
        key = tuple(key) if isinstance(key, list) else key
        if key in said:
            found.append((key, said[key], answers))
            left.pop(key, None)
        else:
            open_.append((key, answers))
    return found, {"spare": left, "open": open_}


def answer_counts(said: dict[Any, str], right: Iterable[tuple[Any, list[str]]]) -> dict[str, Any]:
    """Count exact matches (``hits``), the sum of F1 (``words``) and the questions (``all``); see also `paired`."""
    found, left = paired(said, right)
    hits = sum(best(exact, text, answers) for _, text, answers in found)
    words = sum(best(overlap, text, answers) for _, text, answers in found)
    return {"hits": hits, "words": words, "all": len(found) + len(left["open"]), **left}


def answer_scores(counts: dict[str, Any], unit: float = 100.0) -> tuple[float, float]:
    """Return exact matches and shared words, from 0 to ``unit``; a question without an answer counts as wrong."""
    late = answer_counts(counts["spare"], counts["open"])
    hits, words = (counts[name] + late[name] for name in ("hits", "words"))
    return unit * hits / counts["all"], unit * words / counts["all"]
