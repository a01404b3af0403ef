"""A plugin of pytest for `suites.py`: it writes what became of each case, and lets files with absent names be read."""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

CASES: dict[str, str] = {}
WORST = ("passed", "skipped", "failed")
RUNNING: list[str] = []  # cases that began


def pytest_configure() -> None:
    """Put something in the place of names that enfold has not, so that a file's other cases are still collected."""
    for module, names in json.loads(os.environ.get("SUITE_ABSENT", "{}")).items():
        try:
            found = importlib.import_module(module)
        except ModuleNotFoundError:
            found = sys.modules[module] = ModuleType(module)
        for name in names:
            setattr(found, name, type(name, (), {"__init__": _refuse, "__module__": module}))


def _refuse(self: Any, *_: Any, **__: Any) -> None:
    if not RUNNING:
        return  # the arguments of cases are made while they are collected
    raise NotImplementedError(f"enfold has no {type(self).__module__}.{type(self).__name__}")


def pytest_runtest_setup(item: Any) -> None:
    """Note that cases run now."""
    RUNNING.append(item.nodeid)


def pytest_runtest_logreport(report: Any) -> None:
    """Keep the worst of a case's setup, call and end."""
    was = CASES.get(report.nodeid, "passed")
    CASES[report.nodeid] = max(was, report.outcome, key=WORST.index)


def pytest_sessionfinish() -> None:
    """Write them, where a suite asks for it."""
    Path(os.environ["SUITE_CASES"]).write_text(json.dumps(CASES))
