"""Our training beside `tokenizers` 0.23.3: the same vocabulary, ids, merges and files."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from enfold import tokenizers
from parity import training_cases as cases

pytestmark = pytest.mark.peer

PARTS = ("models", "normalizers", "pre_tokenizers", "trainers")
PEER = """
import importlib, json, sys
sys.path.insert(0, sys.argv[1])
import tokenizers
for name in ("models", "normalizers", "pre_tokenizers", "trainers"):
    importlib.import_module("tokenizers." + name)
from parity import training_cases as cases
made = {"bpe": cases.bpe(tokenizers), "wordpiece": cases.wordpiece(tokenizers, None)}
made |= {"others": cases.others(tokenizers), "file": cases.file(tokenizers, sys.argv[2])}
made |= {"unigram": cases.unigram(tokenizers), "parity": cases.parity(tokenizers)}
open(sys.argv[3], "w").write(json.dumps(made))
print("{}")
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "text.txt"
    lines = [text for texts in cases.texts().values() for text in texts]
    path.write_bytes("\n".join(lines).encode() + b"\r\nlast line without an end")
    return path


@pytest.fixture(scope="module")
def theirs(peer: Callable[..., Any], corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    tests, made = Path(__file__).resolve().parents[1], tmp_path_factory.mktemp("training") / "theirs.json"
    peer(PEER, tests, corpus, made)
    return json.loads(made.read_text())


@pytest.fixture(scope="module", autouse=True)
def parts() -> None:
    for name in PARTS:
        importlib.import_module(f"enfold.tokenizers.{name}")


def assert_same(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    ours = json.loads(json.dumps(ours))
    assert ours.keys() == theirs.keys()
    wrong = [name for name in theirs if ours[name] != theirs[name]]
    assert not wrong, f"{len(wrong)} of {len(theirs)} differ: {wrong[:20]}\n{ours[wrong[0]]}\n{theirs[wrong[0]]}"


def test_bpe_learns_the_same_merges_with_every_option(theirs: dict[str, Any]) -> None:
    assert_same(cases.bpe(tokenizers), theirs["bpe"])


def test_prefixes_and_suffixes_give_the_same_once_the_first_ids_are(theirs: dict[str, Any]) -> None:
    ours = cases.wordpiece(tokenizers, theirs["wordpiece"]["starts"])
    assert_same(ours["trained"], theirs["wordpiece"]["trained"])


def test_our_first_tokens_are_the_peers_in_a_fixed_order(theirs: dict[str, Any]) -> None:
    ours = cases.wordpiece(tokenizers, None)["starts"]
    for name, start in theirs["wordpiece"]["starts"].items():
        assert sorted(ours[name]) == sorted(start), name
    assert ours == cases.wordpiece(tokenizers, None)["starts"]


def test_word_level_options_and_added_tokens(theirs: dict[str, Any]) -> None:
    assert_same(cases.others(tokenizers), theirs["others"])


def test_files_are_read_line_by_line(theirs: dict[str, Any], corpus: Path) -> None:
    assert cases.file(tokenizers, str(corpus)) == theirs["file"]


def test_unigram_pieces_and_scores_are_the_same(theirs: dict[str, Any]) -> None:
    # The peer sums in the order of a hash map that differs from run to run, and so do the scores that it gives to
    # characters whose pieces were dropped: they are compared as a whole.
    ours = cases.unigram(tokenizers)
    assert ours.keys() == theirs["unigram"].keys()
    for name, (unk_id, pieces) in theirs["unigram"].items():
        assert ours[name][0] == unk_id, name
        mine, other = ours[name][1], pieces
        assert sorted(piece for piece, _ in mine) == sorted(piece for piece, _ in other), name
        assert [score for _, score in mine] == pytest.approx([score for _, score in other], abs=1e-9), name
        scores = dict(map(tuple, other))
        for piece, score in mine:
            if len(piece) > 1:
                assert score == pytest.approx(scores[piece], abs=1e-9), (name, piece)


def test_merges_for_several_languages_are_the_peers(theirs: dict[str, Any]) -> None:
    assert_same(cases.parity(tokenizers), theirs["parity"])
