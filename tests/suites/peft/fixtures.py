"""What the files of this suite import that only tests need: a part of accelerate, a decorator of `parameterized`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from types import ModuleType, SimpleNamespace
from typing import Any


def get_backend() -> tuple[str, int, None]:
    """Return the device that tests compute on, how many there are, and what tells its memory."""
    return "cpu", 1, None


if "enfold.dropin" in sys.modules:
    testing = ModuleType("accelerate.test_utils.testing")
    testing.get_backend = get_backend  # type: ignore[attr-defined]
    sys.modules.setdefault("accelerate.test_utils", ModuleType("accelerate.test_utils"))
    sys.modules.setdefault(testing.__name__, testing)


def _bound(method: Callable[..., None], case: tuple[Any, ...]) -> Callable[[Any], None]:
    return lambda self: method(self, *case)


def expand(cases: Iterable[Any], name_func: Callable[..., str] | None = None) -> Callable[..., None]:
    """Make a method of a test class into one for each case."""
    made = [case if isinstance(case, tuple) else (case,) for case in cases]
    space = sys._getframe(1).f_locals

    def decorate(method: Callable[..., None]) -> None:
        for number, case in enumerate(made):
            name = name_func(method, number, (case, {})) if name_func else f"{method.__name__}_{number}"
            space[name] = _bound(method, case)

    return decorate


if "parameterized" not in sys.modules:
    module = sys.modules["parameterized"] = ModuleType("parameterized")
    module.parameterized = SimpleNamespace(expand=expand)  # type: ignore[attr-defined]
