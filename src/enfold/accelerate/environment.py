"""Environment variables that say yes, count, or name one of several choices."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

__all__ = [
    "clear_environment",
    "convert_dict_to_env_variables",
    "get_int_from_env",
    "parse_choice_from_env",
    "parse_flag_from_env",
    "purge_accelerate_environment",
    "str_to_bool",
]

_WORDS = dict.fromkeys(("y", "yes", "t", "true", "on", "1"), 1)
_WORDS |= dict.fromkeys(("n", "no", "f", "false", "off", "0"), 0)


def str_to_bool(value: str) -> int:
    """Return 1 for a word that says yes and 0 for one that says no.

    Example:
        >>> str_to_bool("Yes"), str_to_bool("off")
        (1, 0)
    """
    if value.lower() not in _WORDS:
        raise ValueError(f"{value!r} says neither yes nor no; expected one of {', '.join(_WORDS)}")
    return _WORDS[value.lower()]


def parse_flag_from_env(key: str, default: bool = False) -> bool:
    """Return whether a variable says yes."""
    return bool(str_to_bool(os.environ.get(key, str(default))))


def parse_choice_from_env(key: str, default: str = "no") -> str:
    """Return a variable, or the default."""
    return os.environ.get(key, str(default))


def get_int_from_env(env_keys: Iterable[str], default: int) -> int:
    """Return the first of several variables that is a number and not negative, or the default."""
    found = (int(os.environ.get(key, -1)) for key in env_keys)
    return next((value for value in found if value >= 0), default)


def convert_dict_to_env_variables(current_env: Mapping[str, Any]) -> list[str]:
    """Return ``NAME=value`` lines, without those that could not stand in a file of variables."""
    bad = set(";\n<>| ")
    return [f"{name}={value}\n" for name, value in current_env.items() if not bad & {*str(name), *str(value)}]


@contextlib.contextmanager
def clear_environment() -> Iterator[None]:
    """Have no environment variables for the length of a ``with`` block."""
    before = dict(os.environ)
    os.environ.clear()
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def purge_accelerate_environment(function: Any) -> Any:
    """Let a function, or the tests of a class and of its subclasses, leave the launcher's variables as they were.

    Args:
        function: the function, or a class whose methods ``test…`` are treated so.
    """
    if not isinstance(function, type):
        return _purging(function)
    _purge_tests(function)
    function.__init_subclass__ = classmethod(lambda cls, **_: _purge_tests(cls))  # type: ignore[assignment]
    return function


def _purge_tests(owner: type) -> None:
    for name in dir(owner):
        method = getattr(owner, name)
        if name.startswith("test") and callable(method) and not hasattr(method, "_purges_environment"):
            setattr(owner, name, _purging(method))


def _purging(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        before = {name: value for name, value in os.environ.items() if name.startswith("ACCELERATE_")}
        try:
            return function(*args, **kwargs)
        finally:
            for name in [name for name in os.environ if name.startswith("ACCELERATE_") and name not in before]:
                del os.environ[name]
            os.environ.update(before)

    run._purges_environment = True  # type: ignore[attr-defined]
    return run
