"""Arguments under older names."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["renamed"]

F = TypeVar("F", bound=Callable[..., Any])


def renamed(**names: str) -> Callable[[F], F]:
    """Let a function take arguments under older names, too: ``@renamed(old="new")``.

    Raises:
        TypeError: at a call that gives both names.

    Example:
        >>> @renamed(max_length="length")
        ... def pad(length=None):
        ...     return length
        >>> pad(max_length=3)
        3
    """

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            for old in names.keys() & kwargs.keys():
                if names[old] in kwargs:
                    raise TypeError(f"{function.__qualname__}() got {names[old]!r} twice: {old!r} is its older name")
                kwargs[names[old]] = kwargs.pop(old)
            return function(*args, **kwargs)

        return call  # type: ignore[return-value]

    return decorate
