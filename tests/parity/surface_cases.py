"""The public surface of a module as JSON: names, the members of classes, the arguments of functions and their defaults.

Run as ``python surface_cases.py MODULE``; the last line printed is name → member → [[argument, kind, default], …].
"""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from typing import Any

OPERATORS = ("__arrow_c_stream__", "__call__", "__contains__", "__getitem__", "__getitems__", "__iter__", "__len__")


def arguments(function: Any) -> list[list[Any]] | None:
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    return [[p.name, p.kind.name, None if p.default is p.empty else str(p.default)] for p in found if p.name != "self"]


def members(kind: type) -> dict[str, Any]:
    names = [name for name in dir(kind) if not name.startswith("_") or name in OPERATORS]
    out: dict[str, Any] = {"": arguments(kind)}
    for name in names:
        value = getattr(kind, name, None)
        out[name] = arguments(value) if callable(value) and not inspect.isclass(value) else None
    return out


def surface(module: str) -> dict[str, Any]:
    root = importlib.import_module(module)
    out: dict[str, Any] = {}
    for name in [name for name in dir(root) if not name.startswith("_")]:
        value = getattr(root, name)
        if inspect.isclass(value):
            out[name] = members(value)
        elif callable(value):
            out[name] = {"": arguments(value)}
        elif not inspect.ismodule(value):
            out[name] = {}
    return out


if __name__ == "__main__":
    print(json.dumps(surface(sys.argv[1])))
