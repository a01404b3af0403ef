"""Text: a row a line, a paragraph, or a document."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pyarrow as pa

from .base import DatasetBuilder
from .opened import read_text

__all__ = ["Builder"]


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
        text = read_text(path, options.encoding, options.encoding_errors)
        if options.sample_by == "line":
            rows = text.split("\n")
            if options.keep_linebreaks:
                rows = [row + "\n" for row in rows[:-1]] + rows[-1:]
            if rows[-1] == "":
                rows.pop()
        elif options.sample_by == "paragraph":
            rows = [part for part in text.split("\n\n") if part]
        elif options.sample_by == "document":
            rows = [text]
        else:
            raise ValueError(f"sample_by must be 'line', 'paragraph' or 'document', not {options.sample_by!r}")
        column = (self.info.features and next(iter(self.info.features))) or self.column
        for start in range(0, len(rows), 1 << 18):
            yield pa.table({column: pa.array(rows[start : start + (1 << 18)], pa.string())})
        if not rows:
            yield pa.table({column: pa.array([], pa.string())})
