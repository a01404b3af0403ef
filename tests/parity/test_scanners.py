"""The words of the known patterns beside those of `tokenizers` 0.23.3's regular expressions."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from enfold import _native
from parity import scanner_cases as cases

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tokenizers"))
from test_flat import PATTERNS, texts

pytestmark = pytest.mark.peer

PEER = """
import json, sys
sys.path.insert(0, sys.argv[1])
import tokenizers
import tokenizers.pre_tokenizers
from parity import scanner_cases as cases
given = json.loads(open(sys.argv[2]).read())
fuzz, points = given["texts"], cases.code_points(given["every"])
print(json.dumps({name: [cases.theirs(tokenizers, pattern, fuzz), cases.theirs(tokenizers, pattern, points)]
                  for name, pattern in given["patterns"].items()}))
"""


COUNT = 2000


def run(peer: Callable[..., Any], folder: Path, every: bool) -> dict[str, Any]:
    given = {"patterns": PATTERNS, "texts": texts(COUNT, 5), "every": every}
    (folder / "given.json").write_text(json.dumps(given))
    return peer(PEER, Path(__file__).resolve().parents[1], folder / "given.json", timeout=3600 if every else 300)


def compare(made: dict[str, Any], every: bool) -> None:
    for name, pattern in PATTERNS.items():
        for given, found in zip((texts(COUNT, 5), cases.code_points(every)), made[name], strict=True):
            own = cases.ours(_native, pattern, given)
            assert [text[:200] for text, a, b in zip(given, own, found, strict=True) if a != b] == [], name


def test_words_are_those_of_the_regular_expressions(peer: Callable[..., Any], tmp_path: Path) -> None:
    compare(run(peer, tmp_path, False), False)


@pytest.mark.slow
def test_every_code_point_is_cut_as_the_peer_cuts_it(peer: Callable[..., Any], tmp_path: Path) -> None:
    compare(run(peer, tmp_path, True), True)
