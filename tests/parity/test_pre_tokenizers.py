"""Our pre-tokenizers and regular expressions beside `tokenizers` 0.23.3: the same words at the same places."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from enfold import tokenizers
from enfold.tokenizers import decoders, models, normalizers, pre_tokenizers  # noqa: F401 - the cases reach them by name
from parity import pre_tokenizer_cases as cases

pytestmark = pytest.mark.peer

COUNT = 100
SAMPLE = 0x33FF  # the dense beginning; the rest is in the slow run

PEER = """
import importlib, json, sys
sys.path.insert(0, sys.argv[1])
import tokenizers
for name in ("models", "normalizers", "pre_tokenizers", "decoders"):
    importlib.import_module("tokenizers." + name)
from parity import pre_tokenizer_cases as cases
made = {name: dict(getattr(cases, name)(tokenizers, int(count))) for name, count in json.loads(sys.argv[2]).items()}
open(sys.argv[3], "w").write(json.dumps(made))
print("{}")
"""


def ask(peer: Callable[..., Any], folder: Path, wanted: dict[str, int]) -> dict[str, Any]:
    peer(PEER, Path(__file__).resolve().parents[1], json.dumps(wanted), folder / "theirs.json", timeout=1200)
    return json.loads((folder / "theirs.json").read_text())


@pytest.fixture(scope="module")
def theirs(peer: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    wanted = {"patterns": COUNT, "components": 4 * COUNT, "replacements": COUNT // 2, "code_points": SAMPLE}
    return ask(peer, tmp_path_factory.mktemp("pre_tokenizers"), wanted)


def assert_same(ours: Iterator[tuple[str, list[int]]], theirs: dict[str, list[int]]) -> None:
    names = []
    for name, rows in ours:
        wrong = [index for index, (mine, other) in enumerate(zip(rows, theirs[name], strict=True)) if mine != other]
        assert not wrong, f"{name}: texts {wrong[:5]} of {len(rows)} are cut differently"
        names.append(name)
    assert names == list(theirs)


def test_every_pattern_cuts_as_the_peer_does(theirs: dict[str, Any]) -> None:
    assert_same(cases.patterns(tokenizers, COUNT), theirs["patterns"])


def test_every_component_cuts_as_the_peer_does(theirs: dict[str, Any]) -> None:
    assert_same(cases.components(tokenizers, 4 * COUNT), theirs["components"])


def test_replacing_matches_gives_the_texts_and_offsets_of_the_peer(theirs: dict[str, Any]) -> None:
    assert_same(cases.replacements(tokenizers, COUNT // 2), theirs["replacements"])


def test_code_points_fall_into_the_classes_of_the_peer(theirs: dict[str, Any]) -> None:
    assert_same(cases.code_points(tokenizers, SAMPLE), theirs["code_points"])


@pytest.mark.slow
def test_every_code_point_and_thousands_of_texts(peer: Callable[..., Any], tmp_path: Path) -> None:
    wanted = {"patterns": 1000, "components": 2000, "replacements": 200, "code_points": 0x10FFFF}
    theirs = ask(peer, tmp_path, wanted)
    for name, count in wanted.items():
        assert_same(getattr(cases, name)(tokenizers, count), theirs[name])
