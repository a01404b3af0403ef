"""Text: a row a line, a paragraph, or a document."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pyarrow as pa

from .base import DatasetBuilder
from .opened import read_texts

__all__ = ["Builder"]

# Bytes that are read at a time.
_BLOCK = 4 << 20


class Builder(DatasetBuilder):
    """Reads text files into one column, ``text``."""

    name = "text"
    #: the column's name where no features say it
    column = "text"

    @dataclasses.dataclass
    class Options:
        """What can be said about text files.

        Args:
            encoding: how the text is coded.
            encoding_errors: what to do with bytes that are not text: ``"strict"``, ``"ignore"``, ``"replace"``.
            keep_linebreaks: leave the line ends in the rows.
            sample_by: ``"line"``, ``"paragraph"`` (parts between empty lines) or ``"document"`` (the file).
            chunksize: accepted for compatibility.
        """

        encoding: str = "utf-8"
        encoding_errors: str | None = None
        chunksize: int = 10 << 20
        keep_linebreaks: bool = False
        sample_by: str = "line"

    def tables(self, path: str, name: str) -> Iterator[pa.Table]:
        options = self.options
        texts = read_texts(path, options.encoding, options.encoding_errors, _BLOCK)
        if options.sample_by == "line":
            found = _lines(texts, options.keep_linebreaks)
        elif options.sample_by == "paragraph":
            found = _paragraphs(texts)
        elif options.sample_by == "document":
            found = iter([["".join(texts)]])
        else:
            raise ValueError(f"sample_by must be 'line', 'paragraph' or 'document', not {options.sample_by!r}")
        column = (self.info.features and next(iter(self.info.features))) or self.column
        empty = True
        for rows in found:
            empty = False
            yield pa.table({column: pa.array(rows, pa.string())})
        if empty:
            yield pa.table({column: pa.array([], pa.string())})


def _lines(texts: Iterator[str], keep_ends: bool) -> Iterator[list[str]]:
    rest = ""
    for text in texts:
        *rows, rest = (rest + text).split("\n")
        if rows:
            yield [row + "\n" for row in rows] if keep_ends else rows
    if rest:
        yield [rest]


def _paragraphs(texts: Iterator[str]) -> Iterator[list[str]]:
    rest = ""
    for text in texts:
        *parts, rest = (rest + text).split("\n\n")
        if any(parts):
            yield [part for part in parts if part]
    if rest:
        yield [rest]
