"""A plugin of pytest that writes what became of each case, for `suites.py`: passed, failed or skipped."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

CASES: dict[str, str] = {}
WORST = ("passed", "skipped", "failed")


def pytest_runtest_logreport(report: Any) -> None:
    """Keep the worst of a case's setup, call and end."""
    was = CASES.get(report.nodeid, "passed")
    CASES[report.nodeid] = max(was, report.outcome, key=WORST.index)


def pytest_sessionfinish() -> None:
    """Write them, where a suite asks for it."""
    Path(os.environ["SUITE_CASES"]).write_text(json.dumps(CASES))
