"""Two more kinds of fields of a request's body: one of several words, and a list of texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from enfold.errors import nearest
from enfold.serving.errors import ServingError
from enfold.serving.sampling import Fields

__all__ = ["one_of", "texts"]


def one_of(body: Mapping[str, Any], name: str, known: Iterable[str], default: str) -> str:
    """Return a field that is one of several words, or the default.

    Raises:
        ServingError: 400, with the nearest of them.
    """
    value = Fields(body).text(name, default)
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
        raise ServingError(f"{name} must be a list of texts", param=name)
    if not value:
        raise ServingError(f"{name} is an empty list", param=name)
    if len(value) > most:
        raise ServingError(f"{name} has {len(value)} texts; at most {most} are accepted", 413, param=name)
    found: list[Any] = [each.get("text") if isinstance(each, dict) else each for each in value]
    for place, text in enumerate(found):
        if not isinstance(text, str):
            raise ServingError(f"{name}[{place}] must be a text", param=name)
        if not text.strip():
            raise ServingError(f"{name}[{place}] is empty", param=name)
    return found
