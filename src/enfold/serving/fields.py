"""Fields of a request's body, checked: a wrong one is refused by its name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from enfold.errors import nearest
from enfold.serving.errors import ServingError

__all__ = ["field", "one_of", "texts"]

_WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "an object",
}


def field(body: Mapping[str, Any], name: str, kind: type, default: Any = None) -> Any:
    """Return a field of a kind (bool, int, float, str, list, dict), or the default where it is missing or null.

    Raises:
        ServingError: 400, it is of another kind.

    Example:
        >>> field({"top_n": 3}, "top_n", int), field({}, "top_n", int, 1)
        (3, 1)
    """
    value = body.get(name)
    if value is None:
        return default
    fits = isinstance(value, (int, float) if kind is float else kind)
    if not fits or (isinstance(value, bool) and kind is not bool):
        raise ServingError(f"{name} must be {_WORDS[kind]}, not {_told(value)}", param=name)
    return value


def one_of(body: Mapping[str, Any], name: str, known: Iterable[str], default: str) -> str:
    """Return a field that is one of several words, or the default.

    Raises:
        ServingError: 400, with the nearest of them.
    """
    value = field(body, name, str, default)
    words = list(known)
    if value not in words:
        raise ServingError(f"{name}={value!r}{nearest(value, words)}; it is one of {', '.join(words)}", param=name)
    return str(value)


def texts(value: Any, name: str, most: int) -> list[str]:
    """Return texts: a list of strings, or of objects with ``"text"``.

    Raises:
        ServingError: 400 for anything else, an empty list or an empty text; 413 for too many.
    """
    if not isinstance(value, list):
        raise ServingError(f"{name} must be a list of strings, not {_told(value)}", param=name)
    if not value:
        raise ServingError(f"{name} is an empty list", param=name)
    if len(value) > most:
        raise ServingError(f"{name} has {len(value)} texts; at most {most} are accepted", 413, param=name)
    found = [each.get("text") if isinstance(each, dict) else each for each in value]
    for place, text in enumerate(found):
        if not isinstance(text, str):
            raise ServingError(f"{name}[{place}] must be a string, not {_told(value[place])}", param=name)
        if not text.strip():
            raise ServingError(f"{name}[{place}] is empty", param=name)
    return found


def _told(value: Any) -> str:
    return "null" if value is None else _WORDS.get(type(value), type(value).__name__)
