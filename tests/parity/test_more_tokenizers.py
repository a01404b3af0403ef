"""Tokenizers with arguments or arrangements of their own: readers, infilling, bytes, characters."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import more_cases
import pytest
from test_tokenizer_families import differences, without

pytestmark = pytest.mark.peer
CASES = Path(more_cases.__file__)
NAMES = ("byt5", "canine", "siglip", "dpr", "code_llama", "roformer", "seamless", "older", "newest", "basic", "small")
NOT_5 = {
    "canine": ["token_type_ids"],  # it says that all of a pair is the first text
    "siglip": ["offsets", "decode", "decode skip"],  # written in Python; other spaces around unknown pieces
    "code_llama": ["joined False", "joined True", "bare False", "bare True"],  # a space before what is joined on
}


@pytest.fixture(scope="module")
def ours(folders: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    saved = tmp_path_factory.mktemp("saved")
    command = [sys.executable, str(CASES), "enfold.transformers", str(folders), str(saved)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def five(peer: Callable[..., Any], folders: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return peer(CASES, "transformers", folders, tmp_path_factory.mktemp("saved_by_5"))


@pytest.fixture(scope="module")
def four(peer: Callable[..., Any], folders: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return peer(CASES, "transformers", folders, tmp_path_factory.mktemp("saved_by_4"), environment="transformers4")


def compared(mine: Any, theirs: Any, skipped: list[str]) -> list[str]:
    found = differences(without(mine, skipped), without(theirs, skipped))
    # where a special token stands in SigLIP's text, the piece after it gets a blank
    return [line for line in found if "siglip" not in skipped or "[3]" not in line]


# There RoFormer asks rjieba for nothing.
@pytest.mark.parametrize("name", [name for name in NAMES if name != "roformer"])
def test_results_are_transformers_5s(ours: Any, five: Any, name: str) -> None:
    assert not isinstance(ours[name], str), ours[name]
    skipped = [*NOT_5.get(name, ()), name]
    assert compared(ours[name], five[name], skipped) == []


# There SeamlessM4T pads every call to an even length, and some classes are missing.
@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("seamless", "newest", "basic")])
def test_results_are_transformers_4s(ours: Any, four: Any, name: str) -> None:
    skipped = [*NOT_5["siglip"], "siglip"] if name == "siglip" else []
    skipped += ["token_type_ids", "names"] if name == "small" else []  # MGP-STR's, of no use to the model
    assert compared(ours[name], four[name], skipped) == []
