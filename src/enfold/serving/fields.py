"""The fields of a request's body: OpenAI's, those that vLLM added, and TGI's and TEI's; each checked when asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from enfold.errors import nearest
from enfold.log import get_logger
from enfold.serving.errors import ServingError

__all__ = ["Fields", "texts"]

logger = get_logger(__name__)


class Fields:
    """The fields of a request's body, each checked when it is asked for.

    Args:
        body: the JSON object.
        known: names that are understood beside those asked for; a name close to one of them is taken for a slip.
        prefix: what stands before a name in errors, such as ``"parameters."``.
    """

    def __init__(self, body: Mapping[str, Any], known: Iterable[str] = (), prefix: str = "") -> None:
        self.body, self.prefix = body, prefix
        names = set(known)
        for name in body:
            if names and name not in names:
                close = get_close_matches(name, names, n=1, cutoff=0.82)
                if close:
                    raise ServingError(f"unknown field {prefix}{name!r}; did you mean {close[0]!r}?", param=name)
                logger.debug("a request's field %r is not known and changes nothing", name)

    def __contains__(self, name: str) -> bool:
        return self.body.get(name) is not None

    def number(self, name: str, least: float | None = None, most: float | None = None, default: Any = None) -> Any:
        """Return a number between two bounds, both included."""
        value = self.body.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
            raise self.wrong(name, f"must be a number, not {_told(value)}")
        if (least is not None and value < least) or (most is not None and value > most):
            span = f"at least {least}" if most is None else f"between {least} and {most}"
            raise self.wrong(name, f"is {value}; it must be {span}")
        return value

    def whole(self, name: str, least: int | None = None, most: int | None = None, default: Any = None) -> Any:
        """Return a whole number between two bounds, both included."""
        value = self.number(name, least, most, default)
        if value is not None and not isinstance(value, int):
            raise self.wrong(name, f"must be a whole number, not {value}")
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        """Return true or false."""
        value = self.body.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.wrong(name, f"must be true or false, not {_told(value)}")
        return value

    def text(self, name: str, default: str | None = None) -> Any:
        """Return a text."""
        return self._of(name, str, "a text", default)

    def one_of(self, name: str, known: Iterable[str], default: str) -> str:
        """Return one of several words; the error names the nearest."""
        value, words = self.text(name, default), list(known)
        if value not in words:
            raise ServingError(f"{name}={value!r}{nearest(value, words)}; it is one of {', '.join(words)}", param=name)
        return str(value)

    def object(self, name: str) -> Any:
        """Return an object, or None."""
        return self._of(name, dict, "an object", None)

    def array(self, name: str) -> Any:
        """Return an array, or None."""
        return self._of(name, list, "an array", None)

    def texts(self, name: str, most: int) -> list[str]:
        """Return several texts, of which there may be one without an array."""
        value = self.body.get(name)
        found = [] if value is None else [value] if isinstance(value, str) else value
        if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
            raise self.wrong(name, "must be a text or an array of texts")
        if len(found) > most:
            raise self.wrong(name, f"has {len(found)} texts; at most {most} are accepted")
        return found

    def tokens(self, name: str, width: int) -> list[int]:
        """Return token ids."""
        found = self.array(name) or []
        if not all(isinstance(token, int) and 0 <= token < width for token in found):
            raise self.wrong(name, f"must be an array of token ids below {width}")
        return found

    def wrong(self, name: str, what: str) -> ServingError:
        """Return an error about a field."""
        return ServingError(f"{self.prefix}{name} {what}", param=f"{self.prefix}{name}")

    def _of(self, name: str, kind: type, called: str, default: Any) -> Any:
        value = self.body.get(name)
        if value is None:
            return default
        if not isinstance(value, kind):
            raise self.wrong(name, f"must be {called}, not {_told(value)}")
        return value


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


def _told(value: Any) -> str:
    names = {str: "a text", bool: "true or false", int: "a number", float: "a number", list: "an array"}
    return names.get(type(value), "an object" if isinstance(value, dict) else "null")
