"""Gives the comparisons of a group one test a case, and those of a module one run of the peer."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import pytest

from parity.architectures.comparing import Both


def pytest_generate_tests(metafunc: Any) -> None:
    """Parametrize ``case`` by the cases of the class's group."""
    if "case" in metafunc.fixturenames and hasattr(metafunc.cls, "group"):
        metafunc.parametrize("case", importlib.import_module(f"parity.architectures.{metafunc.cls.group}").CASES)


@pytest.fixture(scope="module")
def compared(request: Any, peer: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Both]:
    """Run the peer once for the groups of all classes of a module."""
    kinds = [kind for name, kind in vars(request.module).items() if name.startswith("Test")]
    theirs, ours = tmp_path_factory.mktemp("theirs"), tmp_path_factory.mktemp("ours")
    return Both.of([kind.group for kind in kinds if hasattr(kind, "group")], theirs, ours, peer)


@pytest.fixture(scope="class")
def both(request: Any, compared: dict[str, Both]) -> Both:
    """What the cases of the class's group are compared with."""
    return compared[request.cls.group]
