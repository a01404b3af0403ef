"""How torch resizes: which old places a new one takes of, and how much, in numpy for every framework.

Source: aten/src/ATen/native/UpSample.h (torch): where a new place lies, and cubic weights with a = -0.75.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Request", "nearest", "requested", "weights"]


class Request(NamedTuple):
    """What a call of ``aten.upsample_…`` asks for: sizes or, where they are None, scales, one for each dimension."""

    sizes: Sequence[Any] | None
    corners: bool
    scales: Sequence[float] | None

    def of(self, at: int, old: int) -> tuple[int, float | None]:
        """Return a dimension's new size, and the scale that it was asked for with."""
        scale = self.scales[at] if self.scales and len(self.scales) > at else None
        if self.sizes is not None:
            return int(self.sizes[at]), scale
        return math.floor(old * (scale or 1)), scale


def requested(kind: str, sizes: Any, rest: Sequence[Any], named: Mapping[str, Any]) -> Request:
    """Return what a call asks for.

    Args:
        kind: ``"nearest"``, ``"linear"`` or ``"cubic"``; the first has no ``align_corners``.
        sizes: of the overload, or None.
        rest: the arguments after it: ``align_corners``, then scales as a list or one by one.
        named: the same by name.
    """
    corners, rest = named.get("align_corners", False), list(rest)
    if kind != "nearest" and rest:
        corners = rest.pop(0)
    one_by_one = [named.get(name) for name in ("scales", "scales_h", "scales_w")]
    scales = named.get("scale_factors")
    if rest and isinstance(rest[0], list | tuple):
        scales = rest[0]
    elif scales is None:
        scales = [one for one in [*rest, *one_by_one] if one is not None] or None
    return Request(sizes, bool(corners), scales)


def nearest(old: int, new: int, scale: float | None) -> np.ndarray:
    """Return the old place that each new place is: (new,)."""
    step = 1 / scale if scale else old / new
    return np.minimum(np.floor(np.arange(new, dtype=np.float64) * step).astype(int), old - 1)


def weights(old: int, new: int, kind: str, corners: bool, scale: float | None) -> np.ndarray:
    """Return what every new place takes of the old ones: (new, old).

    Args:
        old: size before.
        new: size after.
        kind: ``"nearest"``, ``"linear"`` or ``"cubic"``.
        corners: the outermost places stay where they are.
        scale: that was asked for; by default new / old.
    """
    places, rows = np.arange(new, dtype=np.float64), np.arange(new)
    matrix = np.zeros((new, old))
    if kind == "nearest":
        matrix[rows, nearest(old, new, scale)] = 1
        return matrix.astype(np.float32)
    if corners:
        at = places * ((old - 1) / (new - 1) if new > 1 else 0.0)
    else:
        at = (places + 0.5) * (1 / scale if scale else old / new) - 0.5
    if kind == "linear":
        at = np.maximum(at, 0)
        low = np.minimum(np.floor(at).astype(int), old - 1)
        share = at - low
        np.add.at(matrix, (rows, low), 1 - share)
        np.add.at(matrix, (rows, np.minimum(low + 1, old - 1)), share)
    else:
        low = np.floor(at).astype(int)
        for step in range(-1, 3):
            far = np.abs(at - (low + step))
            near = (1.25 * far - 2.25) * far * far + 1
            wide = ((-0.75 * far + 3.75) * far - 6) * far + 3
            np.add.at(matrix, (rows, np.clip(low + step, 0, old - 1)), np.where(far <= 1, near, wide))
    return matrix.astype(np.float32)
