"""Unigram models and SentencePiece's character maps beside `tokenizers` 0.23.3."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import real_vocabularies
from enfold import tokenizers
from parity import tokenizer_cases
from parity import unigram_cases as cases

pytestmark = pytest.mark.peer

NAMES = ["t5", "xlmr", "deberta-v3"]
# How many texts: of many scripts, full of blanks, and for the small models.
SIZES = {"some": (300, 200, 500), "many": (1500, 1000, 3000)}
Size = tuple[int, int, int]

PEER = """
import base64, importlib, json, sys
sys.path.insert(0, sys.argv[1])
import tokenizers
for name in ("models", "normalizers", "pre_tokenizers"):
    importlib.import_module("tokenizers." + name)
from parity import unigram_cases as cases
count, blanks, short = json.loads(sys.argv[3])
made = {name: cases.real(tokenizers.Tokenizer.from_file(path), count) for name, path in json.loads(sys.argv[2]).items()}
real = open(sys.argv[4]).read()
made["normalized"] = cases.normalized(tokenizers, base64.b64decode(real))
made["whole"] = cases.whole(tokenizers, cases.pipelines(real), blanks)
made["small"] = cases.small_models(tokenizers, short)
made["errors"] = cases.errors(tokenizers)
made["numbers"] = cases.numbers(tokenizers)
open(sys.argv[5], "w").write(json.dumps(made))
print("{}")
"""


@pytest.fixture(scope="module", params=["some", pytest.param("many", marks=pytest.mark.slow)])
def size(request: pytest.FixtureRequest) -> Size:
    return SIZES[request.param]


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    return {name: str(real_vocabularies.folder(name) / "tokenizer.json") for name in NAMES}


@pytest.fixture(scope="module")
def charsmap(files: dict[str, str]) -> str:
    normalizer = json.loads(Path(files["t5"]).read_text(encoding="utf-8"))["normalizer"]
    return normalizer["normalizers"][0]["precompiled_charsmap"]


@pytest.fixture(scope="module")
def theirs(
    peer: Callable[..., Any],
    files: dict[str, str],
    charsmap: str,
    size: Size,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("unigram")
    (folder / "map").write_text(charsmap)
    peer(PEER, Path(__file__).parents[1], json.dumps(files), json.dumps(size), folder / "map", folder / "theirs.json")
    return json.loads((folder / "theirs.json").read_text())


def differences(ours: Any, theirs: Any) -> list[Any]:
    ours = json.loads(json.dumps(ours))
    if not isinstance(theirs, list):
        return [] if ours == theirs else [(ours, theirs)]
    return [(index, mine, other) for index, (mine, other) in enumerate(zip(ours, theirs, strict=True)) if mine != other]


@pytest.mark.parametrize("name", NAMES)
def test_real_vocabularies_give_the_same(name: str, files: dict[str, str], size: Size, theirs: dict[str, Any]) -> None:
    mine = cases.real(tokenizers.Tokenizer.from_file(files[name]), size[0])
    for part, rows in theirs[name].items():
        wrong = differences(mine[part], rows)
        assert not wrong, f"{part}: {len(wrong)} of {len(rows)} differ, such as {wrong[0]}"


@pytest.mark.parametrize("name", NAMES)
def test_the_flat_path_gives_the_same(name: str, files: dict[str, str], size: Size, theirs: dict[str, Any]) -> None:
    tokenizer = tokenizers.Tokenizer.from_file(files[name])
    tokenizer.no_padding()
    tokenizer.no_truncation()
    texts = tokenizer_cases.texts(size[0]) + cases.clusters(size[0] // 2, 11)
    for _ in range(2):  # the second time from the caches
        wrong = differences(
            tokenizer.encode_arrow(texts)["input_ids"].tolist(), [row[0] for row in theirs[name]["rows"]]
        )
        assert not wrong, f"{len(wrong)} differ, such as {texts[wrong[0][0]]!r}: {wrong[0]}"


def test_pipelines_of_families_give_the_same(charsmap: str, size: Size, theirs: dict[str, Any]) -> None:
    files = cases.pipelines(charsmap)
    mine = cases.whole(tokenizers, files, size[1])
    texts = cases.blank_texts(size[1])
    for name, rows in theirs["whole"].items():
        wrong = differences(mine[name], rows)
        assert not wrong, f"{name}: {len(wrong)} differ, such as {texts[wrong[0][0]]!r}: {wrong[0]}"
        tokenizer = tokenizers.Tokenizer.from_str(files[name])
        for _ in range(2):
            wrong = differences(tokenizer.encode_arrow(texts)["input_ids"].tolist(), [row[0] for row in rows])
            assert not wrong, f"{name}, flat: {len(wrong)} differ, such as {texts[wrong[0][0]]!r}: {wrong[0]}"


def test_every_character_and_many_clusters_normalize_the_same(charsmap: str, theirs: dict[str, Any]) -> None:
    mine = cases.normalized(tokenizers, base64.b64decode(charsmap))
    for name, rows in theirs["normalized"].items():
        wrong = differences(mine[name], rows)
        assert not wrong, f"{name}: {len(wrong)} of {len(rows)} differ, the first at {wrong[0]}"


def test_small_models_give_the_same(size: Size, theirs: dict[str, Any]) -> None:
    mine = cases.small_models(tokenizers, size[2])
    for name, rows in theirs["small"].items():
        wrong = differences(mine[name], rows)
        assert not wrong, f"{name}: {len(wrong)} of {len(rows)} differ, such as {wrong[0]}"


def test_the_same_is_refused(theirs: dict[str, Any]) -> None:
    assert cases.errors(tokenizers) == theirs["errors"]


def test_scores_are_read_and_written_the_same(theirs: dict[str, Any]) -> None:
    assert cases.numbers(tokenizers) == theirs["numbers"]
