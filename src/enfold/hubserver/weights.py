"""How many parameters a model has, as the headers of its safetensors files say."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from sqlalchemy import Row

from enfold.hubserver.files import open_content
from enfold.hubserver.store.contents import Contents
from enfold.hubserver.tensors import read_header

__all__ = ["Weights"]

_WHOLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_SHARDS = 256  # of a model, whose headers are read
_KEPT = 1_024  # files whose counts are kept in memory


class Weights:
    """Counts parameters.

    Args:
        contents: where files are.
    """

    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        self._known: dict[str, dict[str, int]] = {}

    def count(
        self, find: Callable[[str], Row[Any] | None], small: Callable[[str], bytes | None]
    ) -> dict[str, Any] | None:
        """Return ``{"parameters": {type: numbers}, "total": numbers}``; None where no header says it.

        Args:
            find: returns the row of a file's content by its path.
            small: returns a small file's content by its path.
        """
        names = [_WHOLE]
        if find(_WHOLE) is None:
            try:
                listed = json.loads(small(_INDEX) or b"{}")["weight_map"].values()
                names = sorted({name for name in listed if isinstance(name, str)})
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                return None
        counts: Counter[str] = Counter()
        for name in names if len(names) <= _SHARDS else ():
            row = find(name)
            found = None if row is None else self._of_file(row)
            if found is None:
                return None
            counts.update(found)
        total = sum(counts.values())
        return {"parameters": dict(counts), "total": total} if 0 < total < 1 << 62 else None

    def _of_file(self, row: Row[Any]) -> dict[str, int] | None:
        if row.sha256 in self._known:
            return self._known[row.sha256]
        chunked = None if row.data is not None else self._contents.xet.find(sha256=row.sha256)
        if row.data is None and chunked is None and not self._contents.blobs.has(row.sha256):
            return None  # an upstream has it
        source = bytes(row.data) if row.data is not None else self._contents.opened(row.sha256, chunked)
        try:
            with open_content(source) as reader:
                found = read_header(reader, row.size).parameters
        except (OSError, ValueError):
            return None
        if len(self._known) >= _KEPT:
            self._known.clear()
        self._known[row.sha256] = found
        return found
