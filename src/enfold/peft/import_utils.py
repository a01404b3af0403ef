"""Which packages are there, under the names that code around adapters asks with."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

# question → the package that answers it, where it is not the question's own word
_PACKAGES = {"te": "transformer_engine", "bnb": "bitsandbytes", "bnb_4bit": "bitsandbytes"}
# The libraries that enfold stands for, in the version whose surface it offers.
_OURS = ("accelerate", "datasets", "diffusers", "transformers")


def __getattr__(name: str) -> Callable[[], bool]:
    """Answer ``is_NAME_available`` and ``is_NAME_ge_v1_2_3`` for any package."""
    asked = re.fullmatch(r"is_(\w+?)_(?:available|ge_v(\d+(?:_\d+)*))", name)
    if asked is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    package = _PACKAGES.get(asked[1], asked[1])
    least = [int(part) for part in asked[2].split("_")] if asked[2] else []

    def answer() -> bool:
        if package in {"xpu", "npu", "mlu"}:
            return False  # devices for which there is nothing here
        found = _version(package)
        return found is not None and [int(part) for part in re.findall(r"\d+", found)][: len(least)] >= least

    answer.__name__ = answer.__qualname__ = name
    return answer


def _version(package: str) -> str | None:
    if package in _OURS:
        return str(importlib.import_module(f"enfold.{package}").__version__)
    if importlib.util.find_spec(package) is None:
        return None
    try:
        return version(package)
    except PackageNotFoundError:
        return "0"
