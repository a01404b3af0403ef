"""Lazy faces: a package's ``__init__`` names what it exports and loads nothing until a name is asked for (PEP 562)."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from enfold.errors import EXTRAS, MissingExtra, nearest

__all__ = ["face"]


def face(
    package: str, exports: Mapping[str, Iterable[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Build ``__getattr__``, ``__dir__`` and ``__all__`` for a package from a table of what it exports.

    Args:
        package: the package's ``__name__``.
        exports: module → the names it provides. A module that begins with a dot is relative to ``package``. A name
            written ``"new=old"`` is exported as ``new`` and read from the module as ``old``.

    Returns:
        ``(__getattr__, __dir__, __all__)``, to be assigned at module level.

    Raises:
        AttributeError: from ``__getattr__``, for a name that is neither exported nor a submodule; it names the
            closest exported spelling.
        MissingExtra: from ``__getattr__``, for a name whose module needs a package that only an extra brings.

    Example:
        >>> getter, lister, names = face("enfold", {"json": ["dumps", "to_text=dumps"]})
        >>> getter("to_text")([1])
        '[1]'
        >>> names
        ['dumps', 'to_text']
    """
    homes: dict[str, tuple[str, str]] = {}
    for module, names in exports.items():
        for name in names:
            public, _, source = name.partition("=")
            homes[public] = (module, source or public)

    def __getattr__(name: str) -> Any:
        if name in homes:
            module, source = homes[name]
            try:
                value = getattr(importlib.import_module(module, package), source)
            except ModuleNotFoundError as error:
                if error.name in EXTRAS:
                    raise MissingExtra(f"{package}.{name}", EXTRAS[error.name]) from None
                raise
        elif name.startswith("__") or not _is_submodule(package, name):
            raise AttributeError(f"module {package!r} has no attribute {name!r}{nearest(name, homes)}")
        else:
            value = importlib.import_module(f"{package}.{name}")
        setattr(sys.modules[package], name, value)
        return value

    def __dir__() -> list[str]:
        return sorted({*homes, *vars(sys.modules[package])})

    return __getattr__, __dir__, sorted(homes)


def _is_submodule(package: str, name: str) -> bool:
    # a plain module may have a face too: it has no submodules, and asking for the spec of one raises
    return hasattr(sys.modules[package], "__path__") and importlib.util.find_spec(f"{package}.{name}") is not None
