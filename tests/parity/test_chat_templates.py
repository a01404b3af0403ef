"""Conversations through chat templates, ours and those of real models, against transformers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import chat_cases
import pytest

import real_vocabularies

pytestmark = pytest.mark.peer
CASES = Path(chat_cases.__file__)
NAMES = ("smollm2", "bert", "qwen3")


@pytest.fixture(scope="module")
def both(peer: Callable[..., Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Our results and the peer's."""
    folders = {name: str(real_vocabularies.folder(name)) for name in NAMES}
    command = [sys.executable, str(CASES), "enfold.transformers", json.dumps(folders)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1]), peer(CASES, "transformers", folders)


@pytest.mark.parametrize("name", ["schemas", *NAMES])
def test_conversations_and_tools_become_what_the_peer_makes_of_them(both: Any, name: str) -> None:
    ours, theirs = both[0][name], both[1][name]
    assert list(ours) == list(theirs)
    assert {key: value for key, value in ours.items() if value != theirs[key]} == {
        key: value for key, value in theirs.items() if value != ours[key]
    }


def test_real_templates_were_compared(both: Any) -> None:
    texts = [value for name in NAMES for key, value in both[0][name].items() if key.endswith(" text")]
    assert sum(isinstance(text, str) and text != "error" for text in texts) > 15
