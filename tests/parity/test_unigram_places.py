"""Where Unigram tokens come from, under every order of normalizing steps that SentencePiece conversions write."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import real_vocabularies
from enfold.tokenizers import Tokenizer
from parity import fuzzing

pytestmark = pytest.mark.peer

COUNT = 1500
ONE_BLANK = {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}
ONE_MARK = {**ONE_BLANK, "content": "▁"}
LEFT, RIGHT, BOTH = (
    {"type": "Strip", "strip_left": left, "strip_right": right}
    for left, right in ((True, False), (False, True), (True, True))
)
SHAPES: dict[str, tuple[list[Any], str]] = {
    "trimmed at the right": (["map", RIGHT, ONE_MARK], "always"),
    "trimmed at both sides": (["map", BOTH, ONE_BLANK], "always"),
    "trimmed at the end": (["map", ONE_BLANK, RIGHT], "always"),
    "trimmed first": ([LEFT, "map", ONE_BLANK], "first"),
    "runs of blanks kept": (["map"], "always"),
    "no map": ([ONE_BLANK], "always"),
    "no mark put": (["map", ONE_MARK], "never"),
}

PEER = """
import json, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from tokenizers import Tokenizer
from parity import fuzzing
files = sorted(Path(sys.argv[2]).glob("*.json"))
made = {file.stem: fuzzing.digests(Tokenizer.from_file(str(file)), int(sys.argv[3]), 1) for file in files}
print(json.dumps(made))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("shapes")
    spec = json.loads((real_vocabularies.folder("t5") / "tokenizer.json").read_text())
    kept = next(step for step in spec["normalizer"]["normalizers"] if step["type"] == "Precompiled")
    spec |= {"truncation": None, "padding": None}
    for name, (steps, scheme) in SHAPES.items():
        spec["normalizer"] = {"type": "Sequence", "normalizers": [kept if step == "map" else step for step in steps]}
        mark = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": True}
        (made / f"{name}.json").write_text(json.dumps(spec | {"pre_tokenizer": mark}))
    return made


@pytest.fixture(scope="module")
def theirs(peer: Callable[..., Any], folder: Path) -> dict[str, list[str]]:
    tests = Path(__file__).resolve().parents[1]
    return peer(PEER, tests, folder, COUNT, variables={"TOKENIZERS_PARALLELISM": "true"})


@pytest.mark.parametrize("name", SHAPES)
def test_places_of_unigram_tokens_are_the_peers(name: str, folder: Path, theirs: dict[str, list[str]]) -> None:
    tokenizer = Tokenizer.from_file(str(folder / f"{name}.json"))
    given = list(fuzzing.texts(COUNT, 1, fuzzing.special_strings(tokenizer)))
    found = fuzzing.digests(tokenizer, COUNT, 1)
    wrong = [text for text, mine, other in zip(given, found, theirs[name], strict=True) if mine != other]
    assert not wrong, f"{name}: {len(wrong)} of {COUNT} differ, such as {min(wrong, key=len)!r}"
