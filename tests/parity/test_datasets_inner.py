"""The inner modules of `datasets` that programs import from give the same here, through the drop-in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CASES = Path(__file__).with_name("inner_cases.py")


@pytest.mark.peer
def test_inner_modules_give_what_the_ecosystems_give(peer: Callable[..., Any], tmp_path: Path) -> None:
    folders = [tmp_path / "theirs", tmp_path / "ours"]
    for folder in folders:
        folder.mkdir()
    theirs = peer(CASES, str(folders[0]))
    done = subprocess.run(
        [sys.executable, "-m", "enfold.dropin", str(CASES), str(folders[1])],
        capture_output=True,
        text=True,
        env={**os.environ, "HF_DATASETS_CACHE": str(tmp_path / "cache")},
    )
    assert done.returncode == 0, done.stderr
    ours = json.loads(done.stdout.splitlines()[-1])
    assert len(theirs) > 20
    for name, value in theirs.items():
        # an error of ours may be a kind of theirs
        assert ours[name] == value, name
