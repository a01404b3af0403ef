"""Longest common subsequences, a row of the table at a time in the bits of one integer.

In row i of the table, bit j of the vector is 0 where the length grows from column j to j + 1, so that a row's lengths
are counts of zero bits. Source: H. Hyyrö, "Bit-parallel LCS-length computation revisited", AWOCA 2004.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["common_length", "common_places"]


def common_length(first: Sequence[str], second: Sequence[str]) -> int:
    """Return the length of the longest common subsequence.

    Example:
        >>> common_length("the cat sat".split(), "the dog sat".split())
        2
    """
    rows = _rows(first, second)
    return len(second) - rows[-1].bit_count()


def common_places(first: Sequence[str], second: Sequence[str]) -> list[int]:
    """Return the places in ``first`` of one longest common subsequence with ``second``, in order.

    Of several, it is the one that a walk from the table's end finds which prefers a step back in ``first``: the one
    that ROUGE's reference implementation takes.

    Example:
        >>> common_places("the cat sat".split(), "the dog sat".split())
        [0, 2]
    """
    rows = _rows(first, second)

    def length(row: int, column: int) -> int:
        return column - (rows[row] & ((1 << column) - 1)).bit_count()

    places: list[int] = []
    row, column = len(first), len(second)
    while row and column:
        if first[row - 1] == second[column - 1]:
            row, column = row - 1, column - 1
            places.append(row)
        elif length(row, column - 1) > length(row - 1, column):
            column -= 1
        else:
            row -= 1
    return places[::-1]


def _rows(first: Sequence[str], second: Sequence[str]) -> list[int]:
    matches: dict[str, int] = {}
    for place, token in enumerate(second):
        matches[token] = matches.get(token, 0) | 1 << place
    full = (1 << len(second)) - 1
    vector = full
    rows = [vector]
    for token in first:
        match = vector & matches.get(token, 0)
        vector = ((vector + match) | (vector - match)) & full
        rows.append(vector)
    return rows
