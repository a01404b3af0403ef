"""XML: a file a row, as text."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from . import text_files

__all__ = ["Builder"]


class Builder(text_files.Builder):
    """Reads XML files into one column, ``xml``; what they hold is left to the program."""

    name = "xml"
    column = "xml"

    @dataclasses.dataclass
    class Options:
        """What can be said about XML files.

        Args:
            encoding: how the text is coded.
            encoding_errors: what to do with bytes that are not text: ``"strict"``, ``"ignore"``, ``"replace"``.
        """

        sample_by: ClassVar[str] = "document"
        encoding: str = "utf-8"
        encoding_errors: str | None = None
