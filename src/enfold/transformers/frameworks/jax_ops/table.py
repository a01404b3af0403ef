"""All families as one table, and the table for a call that draws random numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from enfold.transformers.frameworks.jax_ops.attention import drawing_from
from enfold.transformers.frameworks.operations import whole

__all__ = ["TABLE", "with_key"]

TABLE = whole("enfold.transformers.frameworks.jax_ops")


def with_key(key: Any) -> dict[str, Callable[..., Any]]:
    """Return the table with functions that draw from a key: each draw takes a key of its own, in the program's order.

    Args:
        key: of ``jax.random.key``, or None, where a program that draws is an error.
    """
    return TABLE if key is None else {**TABLE, **drawing_from(key)}
