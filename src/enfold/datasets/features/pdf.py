"""Documents in PDF: stored as files, opened by pdfplumber."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from enfold.errors import required

from .media import MediaFile

__all__ = ["Pdf"]


@dataclass
class Pdf(MediaFile):
    """A column of PDF documents: paths, bytes, or dicts of them; rows give ``pdfplumber.pdf.PDF`` objects.

    Args:
        decode: give opened documents; else ``{"bytes": …, "path": …}``.
    """

    decode: bool = True
    id: str | None = field(default=None, repr=False, compare=False)

    dtype: ClassVar[str] = "pdfplumber.pdf.PDF"
    _noun: ClassVar[str] = "document"

    def _encode_object(self, value: Any) -> dict[str, Any] | None:
        if not (hasattr(value, "pages") and hasattr(value, "stream")):
            return None
        value.stream.seek(0)
        return {"bytes": value.stream.read(), "path": None}

    def decode_example(self, value: Any, token_per_repo_id: Mapping[str, Any] | None = None) -> Any:
        """Return the opened document of a stored value; an opened one is given back as it is.

        Raises:
            ValueError: neither bytes nor a path.
            enfold.errors.MissingExtra: pdfplumber is not installed.
        """
        self._must_decode()
        if value is None or not isinstance(value, Mapping):
            return value
        pdfplumber = required("pdfplumber", "reading PDF documents", "pdf")
        return pdfplumber.open(io.BytesIO(self._opened(value, token_per_repo_id)))
