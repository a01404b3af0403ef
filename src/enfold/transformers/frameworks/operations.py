"""What every framework's versions of ATen's operations share: the table they are in, and torch's rules for arguments.

``jax_ops`` and ``tensorflow_ops`` have a file for each family of operations, of the same name in both, so that who
reads one finds the other:

=================  ===========================================================================
``arithmetic``     sums, products, comparisons, truth, choosing
``activations``    GELU and its kin, softmax
``reductions``     sums, means and extremes over dimensions, sorting, running totals
``shapes``         views, orders of dimensions, joining and splitting, padding
``indexing``       slices, rows, looking up and writing at places, triangles
``making``         new tensors, and tensors of another type
``products``       products of matrices
``norms``          layer, root mean square, group and batch norms
``convolutions``   convolutions, forwards and transposed
``images``         pools, resizing, shuffled pixels
``attention``      attention and dropout: all that draws random numbers
``losses``         losses
=================  ===========================================================================

**To add an operation** say it in its family's file, in each framework that is to have it: one line where the framework
has the function, ``OPS.add(cosh=tf.cosh)``, else a function that takes what ATen declares, in its order::

    @OPS.op("narrow")
    def narrow(x, dim, start, length): ...

A name stands for all overloads of an operation (``"add"`` for ``aten.add.Tensor`` and ``aten.add.Scalar``); with a dot
it is one of them, or not ATen's (``"torch.sym_max"``). What ``graph.rewriting`` says in other words (``reshape``,
``flatten``, ``to``, copies of the same values) needs no function. A call of it goes into
``tests/transformers/frameworks/operation_cases.py``, on which each framework is compared with torch.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

from enfold.transformers.frameworks.graph.program import DType

__all__ = [
    "FAMILIES",
    "Table",
    "correction",
    "each",
    "is_open",
    "joined",
    "pads_by_dimension",
    "pieces",
    "sides",
    "softmax_type",
    "whole",
    "windows",
]

FAMILIES = (
    "arithmetic",
    "activations",
    "reductions",
    "shapes",
    "indexing",
    "making",
    "products",
    "norms",
    "convolutions",
    "images",
    "attention",
    "losses",
)
Function = Callable[..., Any]
_END = 2**31  # an open slice ends at a larger number than any size; torch's is 2**63 - 1
_FOREIGN = ("torch.", "prims.")


class Table(dict[str, Function]):
    """A family's operations: name in a program → function."""

    def op(self, *names: str) -> Callable[[Function], Function]:
        """Return a decorator that enters a function under names."""

        def take(function: Function) -> Function:
            self.add(**dict.fromkeys(names, function))
            return function

        return take

    def add(self, **functions: Function) -> None:
        """Enter functions, each under its keyword's name.

        Raises:
            ValueError: a name that is taken.
        """
        for name, function in functions.items():
            full = name if name.startswith(_FOREIGN) else f"aten.{name}"
            if full in self:
                raise ValueError(f"{full} has a function already")
            self[full] = function


def joined(*tables: Table) -> dict[str, Function]:
    """Return families as one table.

    Raises:
        ValueError: two families with one operation.
    """
    found: dict[str, Function] = {}
    for table in tables:
        if taken := sorted(found.keys() & table.keys()):
            raise ValueError(f"two families have {', '.join(taken)}")
        found |= table
    return found


def whole(package: str) -> dict[str, Function]:
    """Return the families of a framework's package as one table."""
    return joined(*(importlib.import_module(f"{package}.{family}").OPS for family in FAMILIES))


# --- arguments


def each(given: Any, count: int) -> list[Any]:
    """Return an argument as one value for each dimension, which torch lets be said once.

    Example:
        >>> each(3, 2), each([3], 2), each([1, 2], 2)
        ([3, 3], [3, 3], [1, 2])
    """
    if not isinstance(given, list | tuple):
        return [given] * count
    return list(given) * count if len(given) == 1 else list(given)


def is_open(end: Any) -> bool:
    """Return whether a slice's end, a number or None, is no end."""
    return end is None or end >= _END


def pads_by_dimension(pads: Sequence[Any], rank: int) -> list[tuple[Any, Any]]:
    """Return torch's padding, which begins at the last dimension, as (before, after) of every dimension.

    Example:
        >>> pads_by_dimension([1, 2, 3, 4], 3)
        [(0, 0), (3, 4), (1, 2)]
    """
    pairs = [(pads[at], pads[at + 1]) for at in range(len(pads) - 2, -1, -2)]
    return [(0, 0)] * (rank - len(pairs)) + pairs


def pieces(whole: int, length: int) -> list[int]:
    """Return the lengths of what a dimension is split into.

    Example:
        >>> pieces(7, 3)
        [3, 3, 1]
    """
    count, rest = divmod(whole, length)
    return [length] * count + ([rest] if rest else [])


def windows(have: int, wanted: int) -> list[tuple[int, int]]:
    """Return where the windows of an adaptive pool begin and end.

    Example:
        >>> windows(5, 2)
        [(0, 3), (2, 5)]
    """
    return [(at * have // wanted, -(-(at + 1) * have // wanted)) for at in range(wanted)]


def sides(padding: Any, kernel: Sequence[int], dilation: Sequence[int]) -> list[tuple[int, int]]:
    """Return a convolution's padding, numbers or ``"same"`` or ``"valid"``, as (before, after) of every place."""
    if not isinstance(padding, str):
        return [(one, one) for one in each(padding, len(kernel))]
    if padding == "valid":
        return [(0, 0)] * len(kernel)
    reach = [step * (width - 1) for step, width in zip(dilation, kernel, strict=True)]
    return [(one // 2, one - one // 2) for one in reach]


def softmax_type(*given: Any) -> DType | None:
    """Return the type that a softmax computes in: overloads have it, or a flag, in third place."""
    return next((one for one in given if isinstance(one, DType)), None)


def correction(dim: Any, given: Any, unbiased: bool | None) -> tuple[Any, Any]:
    """Return a variance's dimensions and what its count is lessened by.

    Args:
        dim: dimensions, or the ``unbiased`` of the overload without any.
        given: a number, None for 1, or the ``unbiased`` that older overloads have in its place.
        unbiased: by name.
    """
    if isinstance(dim, bool):
        dim, given = None, dim
    if unbiased is not None:
        given = unbiased
    return dim, 1 if given is None else int(given) if isinstance(given, bool) else given
