"""JSON as it travels: compact, without NaN, and with scalars and arrays of number libraries turned into plain ones."""

from __future__ import annotations

import json
import math
from pathlib import PurePath
from typing import Any

__all__ = ["encode", "plain"]


def encode(message: Any) -> bytes:
    """Return a value as JSON bytes; NaN and infinities become null, for browsers refuse them.

    Example:
        >>> encode({"score": float("nan")})
        b'{"score":null}'
    """
    try:
        text = json.dumps(message, separators=(",", ":"), ensure_ascii=False, default=_default, allow_nan=False)
    except ValueError:
        text = json.dumps(plain(message), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "replace")


def plain(value: Any) -> Any:
    """Return a value made only of what JSON knows."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    return plain(_default(value))


def _default(value: Any) -> Any:
    for name in ("tolist", "item", "isoformat"):  # arrays and scalars of numpy and torch; dates
        method = getattr(value, name, None)
        if callable(method):
            return method()
    if isinstance(value, (set, frozenset)):
        return list(value)
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"a {type(value).__name__} cannot be sent to the page; return text, numbers, lists or dicts")
