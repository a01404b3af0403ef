"""Docstrings put together from parts, as scripts of metrics do it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["add_end_docstrings", "add_start_docstrings"]

T = TypeVar("T", bound=Callable[..., Any])


def add_start_docstrings(*parts: str) -> Callable[[T], T]:
    """Return a decorator that puts texts and an empty line before the docstring of a class or function.

    Example:
        >>> @add_start_docstrings("Twice ", "the number.")
        ... def twice(number):
        ...     '''See half.'''
        >>> twice.__doc__
        'Twice the number.\\n\\nSee half.'
    """

    def decorate(made: T) -> T:
        made.__doc__ = "".join(parts) + "\n\n" + (made.__doc__ or "")
        return made

    return decorate


def add_end_docstrings(*parts: str) -> Callable[[T], T]:
    """Return a decorator that puts an empty line and texts after the docstring of a class or function."""

    def decorate(made: T) -> T:
        made.__doc__ = (made.__doc__ or "") + "\n\n" + "".join(parts)
        return made

    return decorate
