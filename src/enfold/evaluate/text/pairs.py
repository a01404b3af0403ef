"""Texts held against others: counts from the native core as numpy arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from enfold.evaluate.errors import EvaluationError

__all__ = ["LINE_MARK", "TextPairs", "groups_of"]

LINE_MARK = "\0\n"


def groups_of(references: Sequence[Any]) -> list[list[str]]:
    """Return each prediction's references as a list, where a single text stands for a list of one.

    Raises:
        EvaluationError: a prediction has no reference.
    """
    groups = [[group] if isinstance(group, str) else list(group) for group in references]
    for place, group in enumerate(groups):
        if not group:
            raise EvaluationError(f"references[{place}] is empty: every prediction needs a reference")
    return groups


class TextPairs:
    """Texts, each held against one or several others.

    Args:
        said: texts, or lists of tokens that were cut elsewhere (a token `LINE_MARK` ends a line).
        groups: for each of them the texts that it is held against.
        cut: how texts become tokens: ``"space"`` (at white space), ``"characters"``, ``"alphanumeric"`` (runs of a-z
            and 0-9, ASCII capitals lowered) or ``"spaces"`` (at spaces and at runs of white space, as jiwer does).
        pieces: gives the pieces that stand for a word; called once for each distinct word.

    Example:
        >>> TextPairs(["a b b"], [["b b", "a"]]).edits().tolist()
        [1, 2]
    """

    def __init__(
        self,
        said: Sequence[Any],
        groups: Sequence[Sequence[Any]],
        cut: str = "space",
        pieces: Callable[[str], Sequence[str]] | None = None,
    ) -> None:
        from enfold._native import TextPairs as Native

        self.counts = [len(group) for group in groups]
        right = [text for group in groups for text in group]
        self._native = Native(list(said), right, self.counts, cut, None if pieces is None else _listed(pieces))

    @property
    def starts(self) -> Any:
        """The place of each group's first text among all right texts."""
        import numpy as np

        return np.concatenate([[0], np.cumsum(self.counts)[:-1]]).astype(np.int64)

    def lengths(self) -> tuple[Any, Any]:
        """The numbers of tokens of the said and of the right texts: two int64 arrays."""
        said, right = self._native.lengths()
        return _array(said), _array(right)

    def ngrams(self, order: int, merged: bool = False) -> Any:
        """Count shared n-grams of orders 1 to ``order``.

        Returns:
            int64 of shape (right texts, order); with ``merged`` (said texts, order), where an n-gram counts at most as
            often as in the one of the group that has it most often.
        """
        return _array(self._native.ngrams(order, merged)).reshape(-1, order)

    def edits(self) -> Any:
        """Levenshtein distances, one for each right text."""
        return _array(self._native.edits())

    def common(self) -> Any:
        """Lengths of longest common subsequences, one for each right text."""
        return _array(self._native.common())

    def union(self) -> Any:
        """Tokens of each right text's lines that lie on a common subsequence with any said line."""
        return _array(self._native.union())

    def translation_edits(self) -> Any:
        """Edits after shifts of phrases (TER), one for each right text."""
        return _array(self._native.translation_edits())


def _array(content: bytes) -> Any:
    import numpy as np

    return np.frombuffer(content, np.int64)


@lru_cache(maxsize=8)
def _listed(pieces: Callable[[str], Sequence[str]]) -> Callable[[str], list[str]]:
    return lambda word: list(pieces(word))
