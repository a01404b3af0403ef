"""The ecosystem's `datasets` and ours on the same streams: files of every kind, steps, mixtures, formats."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.peer
CASES = Path(__file__).with_name("stream_cases.py")


def test_both_give_the_same_rows_batches_and_columns(peer: Callable[..., Any], tmp_path: Path) -> None:
    from stream_cases import write

    write(str(tmp_path))
    command = [sys.executable, str(CASES), "enfold.datasets", str(tmp_path)]
    environment = {**os.environ, "HF_HOME": str(tmp_path / "home")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    ours, peers = json.loads(done.stdout.splitlines()[-1]), peer(CASES, "datasets", tmp_path)
    assert set(ours) == set(peers) and len(ours) > 200
    differing = {name: (ours[name], peers[name]) for name in peers if ours[name] != peers[name]}
    assert not differing, str(list(differing.items())[:3])[:3000]
    assert not [name for name, found in ours.items() if isinstance(found, str) and "Error" in found]
    assert not list((tmp_path / "home").rglob("*.arrow.incomplete"))
