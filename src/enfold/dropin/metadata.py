"""What ``importlib.metadata`` says of the ecosystem's distributions while the drop-in is on."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from importlib.metadata import Distribution
from os import PathLike
from pathlib import Path

from enfold.addresses import LIBRARIES

__all__ = ["distributions"]


def distributions(name: str | None) -> Iterator[Distribution]:
    """Yield the distribution called ``name`` (any spelling), or all eleven when ``name`` is None."""
    wanted = None if name is None else re.sub(r"[-_.]+", "_", name).lower()
    for library, package in LIBRARIES.items():
        if wanted in (None, library):
            yield _Offered(library, package)


class _Offered(Distribution):
    """A library that enfold stands in for; its version is the one whose surface we offer."""

    def __init__(self, library: str, package: str) -> None:
        self._library, self._package = library, package

    def read_text(self, filename: str) -> str | None:
        if filename != "METADATA":
            return None
        version = importlib.import_module(self._package).__version__
        name = self._library.replace("_", "-")
        return f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: Provided by enfold.\n"

    def locate_file(self, path: str | PathLike[str]) -> Path:  # type: ignore[override]
        import enfold

        return Path(enfold.__path__[0]).parent / path
