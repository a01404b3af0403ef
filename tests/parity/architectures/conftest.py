"""Gives the comparisons of a group one test a case, and one run of the peer."""

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


@pytest.fixture(scope="class")
def both(request: Any, peer: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Both:
    """Run the peer once for all cases of the class's group."""
    theirs, ours = tmp_path_factory.mktemp("theirs"), tmp_path_factory.mktemp("ours")
    return Both(request.cls.group, theirs, ours, peer)
