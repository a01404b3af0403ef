"""JSON files that are one value: their rows are decoded one after the other, without the whole file in memory."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from enfold.errors import nearest

from ..errors import DatasetGenerationError

__all__ = ["json_rows"]

# More characters than any word or escape of JSON has.
_LONGEST = 16
_SPACE = re.compile(r"[ \t\n\r]*")
_decode = json.JSONDecoder().raw_decode


def json_rows(texts: Iterator[str], field: str | None, name: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of an array of rows, of an object of columns, or of objects that follow each other.

    Args:
        texts: the file's text, in pieces.
        field: the member of the file's object that holds the rows.
        name: the file's name, for messages.

    Raises:
        DatasetGenerationError: no JSON; the message names the line. Or there is no such member.

    Example:
        >>> list(json_rows(iter(['{"version": 1, "data": [{"a', '": 1}, {"a": 2}]}']), "data", "a.json"))
        [{'a': 1}, {'a': 2}]
    """
    reader = _Reader(texts, name)
    if field is None:
        while reader.peek():
            yield from reader.rows()
        return
    known: list[str] = []
    found = False
    if reader.peek() != "{":
        reader.value()
        raise DatasetGenerationError(f"{name}: there is no field {field!r}: the file is no object")
    for member in reader.members():
        known.append(member)
        if member == field and not found:
            found = True
            yield from reader.rows(columns=True)
        else:
            reader.skip()
    reader.end()
    if not found:
        raise DatasetGenerationError(f"{name}: there is no field {field!r}{nearest(field, known)}; it has {known}")


class _Reader:
    """A place in a text that comes in pieces."""

    def __init__(self, texts: Iterator[str], name: str) -> None:
        self._texts, self._name = texts, name
        self._text, self._at = "", 0
        self._gone = 1  # the number of the line that the text begins in

    def _more(self) -> bool:
        """Put the next pieces behind what is left: at least as much again, so that long values are not read often."""
        left = self._text[self._at :]
        parts: list[str] = []
        size = 0
        while size < max(len(left), 1) and (piece := next(self._texts, None)) is not None:
            parts.append(piece)
            size += len(piece)
        if not parts:
            return False
        self._gone += self._text.count("\n", 0, self._at)
        self._text, self._at = "".join([left, *parts]), 0
        return True

    def peek(self) -> str:
        """Return the next character that is no space; nothing at the end."""
        while True:
            found = _SPACE.match(self._text, self._at)
            assert found is not None
            self._at = found.end()
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def value(self) -> Any:
        """Return the next value."""
        self.peek()
        while True:
            try:
                value, end = _decode(self._text, self._at)
            except json.JSONDecodeError as error:
                # only what is wrong where the text ends may be right when more of it is there
                cut = error.msg.startswith("Unterminated") or error.pos >= len(self._text) - _LONGEST
                if cut and self._more():
                    continue
                self._wrong(error.msg, error.pos)
            if end >= len(self._text) - _LONGEST and self._more():
                continue  # a number may go on in the next piece
            self._at = end
            return value

    def _wrong(self, message: str, position: int | None = None) -> None:
        line = self._gone + self._text.count("\n", 0, self._at if position is None else position)
        raise DatasetGenerationError(f"{self._name}, line {line}: no JSON: {message}")

    def _take(self, wanted: str) -> str:
        found = self.peek()
        if not found or found not in wanted:
            shown = repr(found) if found else "the end"
            self._wrong(f"expecting {' or '.join(map(repr, wanted))}, found {shown}")
        self._at += 1
        return found

    def items(self) -> Iterator[None]:
        """Stand before every item of the array that comes."""
        self._take("[")
        if self.peek() == "]":
            self._at += 1
            return
        while True:
            yield None
            if self._take(",]") == "]":
                return

    def members(self) -> Iterator[str]:
        """Stand before every value of the object that comes, and give its name."""
        self._take("{")
        if self.peek() == "}":
            self._at += 1
            return
        while True:
            if self.peek() != '"':
                self._take('"')
            member = self.value()
            self._take(":")
            yield member
            if self._take(",}") == "}":
                return

    def skip(self) -> None:
        """Go behind the next value, one item of it at a time."""
        kind = self.peek()
        if kind == "[":
            for _ in self.items():
                self.skip()
        elif kind == "{":
            for _ in self.members():
                self.skip()
        else:
            self.value()

    def end(self) -> None:
        """Make sure that nothing follows."""
        if self.peek():
            self._wrong("something follows the value")

    def rows(self, columns: bool = False) -> Iterator[dict[str, Any]]:
        """Yield the rows that the next value holds; ``columns``: an object is one of columns, and not a row."""
        if self.peek() == "[":
            for _ in self.items():
                row = self.value()
                yield row if isinstance(row, dict) else {"text": row}
            return
        value = self.value()
        if isinstance(value, dict) and columns:
            for values in zip(*value.values(), strict=False):
                yield dict(zip(value, values, strict=False))
        elif isinstance(value, dict):
            yield value
        else:
            self._wrong(f"a row is an object, not {type(value).__name__}")
