"""The ecosystem's `datasets` and ours on features of every kind, folders of images, archives and each other's files."""

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
CASES = Path(__file__).with_name("feature_cases.py")


@pytest.fixture(scope="module")
def both(peer: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    """What we and the peer saw: we save first, the peer reads that and saves, then we read the peer's."""
    from feature_cases import write

    folder = tmp_path_factory.mktemp("cases")
    mine, theirs = tmp_path_factory.mktemp("ours"), tmp_path_factory.mktemp("peers")
    write(str(folder))

    def ours() -> dict[str, Any]:
        environment = {**os.environ, "HF_HOME": str(mine / "home"), "HF_DATASETS_CACHE": str(mine / "cache")}
        command = [sys.executable, str(CASES), "enfold.datasets", str(folder), str(mine), str(theirs)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-4000:]
        return json.loads(done.stdout.splitlines()[-1])

    ours()
    peers = peer(CASES, "datasets", folder, theirs, mine)
    return ours(), peers


def test_all_that_both_were_asked_is_equal(both: Any) -> None:
    ours, peers = both
    assert set(ours) == set(peers) and len(ours) > 30
    differing = {name: (ours[name], peers[name]) for name in peers if ours[name] != peers[name]}
    assert not differing, differing


def test_each_reads_what_the_other_saved(both: Any) -> None:
    ours, peers = both
    names = [name for name in peers if name.startswith("exchanged")]
    assert len(names) == 5
    for name in names:
        assert ours[name] == peers[name] != "error", name
