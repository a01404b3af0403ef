"""Random spans to hide while training on recordings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["random_negatives", "random_spans"]


def random_spans(
    shape: tuple[int, int], share: float, length: int, *, lengths: Sequence[int] | None = None, least: int = 0
) -> np.ndarray:
    """Draw spans of an axis, from numpy's global generator.

    Args:
        shape: rows, places.
        share: of the places that spans would cover if none overlapped, 0 to 1.
        length: places of a span.
        lengths: how many places of each row are real; None takes all.
        least: spans that every row gets at least, where it has room.

    Returns:
        Booleans of ``shape``, True where a span covers.

    Source: Park et al., 2019, "SpecAugment"; Baevski et al., 2020, "wav2vec 2.0".

    Example:
        >>> np.random.seed(0)
        >>> int(random_spans((1, 20), 0.5, 5).sum()) <= 10
        True
    """
    rows, places = shape
    if not 1 <= length <= places:
        raise ValueError(f"a span of {length} does not fit into {places} places")
    rounding = np.random.rand(1).item()

    def count(real: int) -> int:
        wanted = max(int(share * real / length + rounding), least)
        wanted = places // length if wanted * length > places else wanted
        return min(wanted, max(real - length + 1, 0))

    hidden = np.zeros(shape, dtype=bool)
    if count(places) == 0:
        return hidden
    for row, real in enumerate([places] * rows if lengths is None else lengths):
        starts = np.random.choice(np.arange(real - length + 1), count(real), replace=False)
        if len(starts) < count(places) and len(starts) == 0:
            starts = np.array([places - 1])  # a row without room hides its last place, which is padding
        spans = np.minimum(starts[:, None] + np.arange(length), places - 1)
        hidden[row, spans] = True
    return hidden


def random_negatives(shape: tuple[int, int], count: int, hidden: np.ndarray | None = None) -> np.ndarray:
    """Draw other hidden places of the same row for every hidden place, from numpy's global generator.

    Args:
        shape: rows, places.
        count: negatives a place.
        hidden: booleans of ``shape``; None takes every place.

    Returns:
        Numbers (rows, places, count) of places, counted through all rows; those of places not hidden are the row's
        first.
    """
    rows, places = shape
    hidden = np.ones(shape, dtype=bool) if hidden is None else hidden.astype(bool)
    found = np.zeros((rows, places, count), dtype=np.int32)
    for row in range(rows):
        real = np.flatnonzero(hidden[row])
        drawn = np.random.randint(0, len(real) - 1, size=(len(real), count))
        drawn[drawn >= np.arange(len(real))[:, None]] += 1  # anything but the place itself
        found[row, real] = real[drawn]
        found[row] += row * places
    return found
