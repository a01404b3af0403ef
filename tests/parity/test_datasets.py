"""The ecosystem's `datasets` and ours on the same files, seeds and functions."""

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
CASES = Path(__file__).with_name("dataset_cases.py")


@pytest.fixture(scope="module")
def both(peer: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    """What we and the peer saw: we save first, the peer reads that and saves, then we read the peer's."""
    from dataset_cases import write

    folder = tmp_path_factory.mktemp("cases")
    mine, theirs = tmp_path_factory.mktemp("ours"), tmp_path_factory.mktemp("peers")
    write(str(folder))

    def ours() -> dict[str, Any]:
        environment = {**os.environ, "HF_HOME": str(mine / "home")}
        command = [sys.executable, str(CASES), "enfold.datasets", str(folder), str(mine), str(theirs)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-4000:]
        return json.loads(done.stdout.splitlines()[-1]) if done.stdout else {}

    ours()
    peers = peer(CASES, "datasets", folder, theirs, mine)
    return ours(), peers


def test_files_are_read_with_the_same_features_and_rows(both: Any) -> None:
    from dataset_cases import CSV, FIELD, JSON

    ours, peers = both
    for name in [*CSV, *JSON, FIELD[0]]:
        assert ours[name] == peers[name], name


def test_everything_else_that_both_were_asked_is_equal(both: Any) -> None:
    ours, peers = both
    assert set(ours) == set(peers) and len(ours) > 60
    differing = [name for name in peers if name != "read" and ours[name] != peers[name]]
    assert not differing, [(name, ours[name], peers[name]) for name in differing][:3]


def test_each_reads_what_the_other_saved(both: Any) -> None:
    ours, peers = both
    for name in ("train", "test"):
        assert ours["read"][name][:2] == peers["read"][name][:2], name
        assert ours["read"][name][2] and peers["read"][name][2], "the fingerprints are kept"
    assert ours["read"]["parquet"] == peers["read"]["parquet"]
