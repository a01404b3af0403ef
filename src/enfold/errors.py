"""The root of every error that enfold raises on purpose, and the one way to suggest a nearer spelling."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

__all__ = ["EXTRAS", "EnfoldError", "MissingExtra", "nearest", "required"]


class EnfoldError(Exception):
    """An error that enfold raises on purpose: its text says what is wrong and what was expected."""


class MissingExtra(ImportError, EnfoldError):
    """A feature needs packages of an optional extra.

    Example:
        >>> raise MissingExtra("the Hub server", "server")
        Traceback (most recent call last):
            ...
        enfold.errors.MissingExtra: the Hub server needs an optional extra: pip install 'enfold[server]'
    """

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs an optional extra: pip install 'enfold[{extra}]'")


def required(module: str, feature: str, extra: str) -> Any:
    """Return a module that only an extra brings.

    Args:
        module: its name.
        feature: what needs it, in words.
        extra: that brings it.

    Raises:
        MissingExtra: it is not installed; what it imports itself and does not find is told as it is.

    Example:
        >>> required("json", "reading settings", "all").loads("[1]")
        [1]
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0] and error.name != module:
            raise
        raise MissingExtra(feature, extra) from None


# Module that may be absent → the extra that brings it.
EXTRAS = {
    "torch": "torch",
    "multipart": "server",
    "python_multipart": "server",
    "sqlalchemy": "server",
    "starlette": "server",
    "uvicorn": "server",
    "fastapi": "fastapi",
    "PIL": "vision",
    "soundfile": "audio",
    "av": "video",
    "pdfplumber": "pdf",
    "sacrebleu": "evaluate",
    "llguidance": "serving",
    "tensorflow": "tf",
    "keras": "tf",
    "h5py": "tf",
    "jax": "jax",
}


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the closest of ``known``, or an empty string when nothing is close.

    Example:
        >>> nearest("bert-base-uncase", ["bert-base-uncased", "gpt2"])
        "; did you mean 'bert-base-uncased'?"
    """
    from difflib import get_close_matches

    found = get_close_matches(name, list(known), n=1)
    return f"; did you mean {found[0]!r}?" if found else ""
