"""Texts, segments and words of long recordings from the windows that Whisper heard, against transformers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import recording_cases

pytestmark = pytest.mark.peer
CASES = Path(recording_cases.__file__)


def test_windows_are_joined_as_the_peer_joins_them(peer: Callable[..., Any], folders: Path) -> None:
    folder = folders / "bytes-whisper"
    command = [sys.executable, str(CASES), "enfold.transformers", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    ours, theirs = json.loads(done.stdout.splitlines()[-1]), peer(CASES, "transformers", folder)
    assert {case: made for case, made in ours.items() if made != theirs[case]} == {}
    assert len(ours) == len(theirs) == 900
    assert sum(bool(made[1].get("chunks")) for made in ours.values()) > 500
