"""How often each way of cutting a word is drawn; counted by both sides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

DRAWS = 6000
PIECES = [("<unk>", 0.0), ("a", -2.0), ("b", -2.2), ("ab", -2.5), ("abab", -4.0), ("ba", -3.0), ("bab", -3.5)]
MERGES = [("a", "b"), ("ab", "c"), ("b", "c"), ("ab", "ab")]
TOKENS = ["a", "b", "c", "ab", "abc", "bc", "abab"]


def counted(tokenize: Callable[[str], list[Any]], word: str) -> dict[str, int]:
    return dict(Counter(" ".join(token.value for token in tokenize(word)) for _ in range(DRAWS)))


def unigram(package: Any) -> dict[str, dict[str, int]]:
    """Of all ways, and of the best few; "x" is unknown."""
    made = {}
    for alpha, best in ((0.5, None), (1.0, None), (0.1, None), (0.5, 64), (0.2, 3), (1.0, 2), (0.5, 1), (0.0, 8)):
        model = package.models.Unigram(PIECES, 0, False, alpha=alpha, nbest_size=best)
        for word in ("ababab", "abxba", "b"):
            made[f"{alpha} {best} {word}"] = counted(model.tokenize, word)
    return made


def dropout(package: Any) -> dict[str, dict[str, int]]:
    """BPE that leaves merges out."""
    vocab = {token: id for id, token in enumerate(TOKENS)}
    made = {}
    for chance in (0.0, 0.1, 0.5, 0.9, 1.0):
        model = package.models.BPE(vocab, MERGES, dropout=chance)
        for word in ("abcababc", "abab", "cab"):
            made[f"{chance} {word}"] = counted(model.tokenize, word)
    return made
