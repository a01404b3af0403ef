"""The Python surface beside that of `tokenizers` 0.23.3: names, texts, custom components, odd inputs, broken files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from parity import tokenizers_api_cases as cases

pytestmark = pytest.mark.peer

PEER = """
import json, sys
sys.path.insert(0, sys.argv[1])
from parity import tokenizers_api_cases as cases
open(sys.argv[2], "w").write(json.dumps(cases.everything("tokenizers")))
print("{}")
"""


@pytest.fixture(scope="module")
def theirs(peer: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    made = tmp_path_factory.mktemp("api") / "theirs.json"
    peer(PEER, Path(__file__).resolve().parents[1], made)
    return json.loads(made.read_text())


@pytest.fixture(scope="module")
def ours() -> dict[str, Any]:
    return json.loads(json.dumps(cases.everything("enfold.tokenizers")))


def test_every_name_is_there(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    missing = []
    for name, members in theirs["surface"].items():
        if name.split(".")[1] in ABSENT:
            continue
        if name not in ours["surface"]:
            missing.append(name)
        else:
            missing += [f"{name}.{member}" for member in members if member not in ours["surface"][name]]
    assert missing == []


# A typing helper that is no part of the surface.
ABSENT = {"Enum"}


@pytest.mark.parametrize("part", ["strings", "custom", "ready made", "odd inputs", "files"])
def test_results_are_the_same(part: str, ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert {
        name: (value, ours[part].get(name)) for name, value in theirs[part].items() if ours[part].get(name) != value
    } == {}
