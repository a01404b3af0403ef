"""Real vocabularies beside `tokenizers` 0.23.3 on random texts: ids, offsets, word ids, special masks and type ids."""

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

COUNT = 10_000
SLOW_SEEDS = range(1, 101)  # a million texts each

PEER = """
import json, sys
sys.path.insert(0, sys.argv[1])
from tokenizers import Tokenizer
from parity import fuzzing
names, count, seeds, target = json.loads(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4]), sys.argv[5]
made = {}
for name, path in names.items():
    tokenizer = Tokenizer.from_file(path)
    made[name] = [fuzzing.digests(tokenizer, count, seed) for seed in seeds]
open(target, "w").write(json.dumps(made))
print("{}")
"""


def names() -> list[str]:
    return [name for name in real_vocabularies.NAMES if not name.endswith("-spm") and name != "tekken"]


def theirs(peer: Callable[..., Any], target: Path, chosen: list[str], seeds: list[int]) -> dict[str, list[list[str]]]:
    paths = {name: str(real_vocabularies.folder(name) / "tokenizer.json") for name in chosen}
    tests = Path(__file__).resolve().parents[1]
    parallel = {"TOKENIZERS_PARALLELISM": "true"}
    peer(PEER, tests, paths, COUNT, seeds, target, timeout=3000, variables=parallel)
    return json.loads(target.read_text())


@pytest.fixture(scope="module")
def expected(peer: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[list[str]]]:
    return theirs(peer, tmp_path_factory.mktemp("fuzzed") / "digests.json", names(), [0])


def assert_same(name: str, seed: int, expected: list[str]) -> None:
    tokenizer = Tokenizer.from_file(str(real_vocabularies.folder(name) / "tokenizer.json"))
    found = fuzzing.digests(tokenizer, COUNT, seed)
    given = list(fuzzing.texts(COUNT, seed, fuzzing.special_strings(tokenizer)))
    wrong = [text for text, mine, other in zip(given, found, expected, strict=True) if mine != other]
    assert not wrong, f"{name}: {len(wrong)} of {COUNT} differ, such as {min(wrong, key=len)!r}"
    flat = tokenizer.encode_arrow(given, fields=["input_ids"])["input_ids"].tolist()
    objects = tokenizer.encode_batch(given)
    for text, ids, encoding in zip(given, flat, objects, strict=True):
        assert ids == encoding.ids, f"{name}: the flat path differs on {text!r}"


@pytest.mark.parametrize("name", names())
def test_random_texts_give_the_same(name: str, expected: dict[str, list[list[str]]]) -> None:
    assert_same(name, 0, expected[name][0])


@pytest.mark.slow
@pytest.mark.timeout(4000)
@pytest.mark.parametrize("name", names())
def test_a_million_random_texts_give_the_same(name: str, peer: Callable[..., Any], tmp_path: Path) -> None:
    for seed, expected in zip(
        SLOW_SEEDS, theirs(peer, tmp_path / "digests.json", [name], list(SLOW_SEEDS))[name], strict=True
    ):
        assert_same(name, seed, expected)
