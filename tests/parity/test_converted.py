"""Tokenizers made from SentencePiece and tekken files beside sentencepiece and tiktoken themselves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import real_vocabularies
from enfold import tokenizers
from enfold.tokenizers.sentencepiece import from_sentencepiece, read_model
from enfold.tokenizers.tiktoken import from_tekken
from parity import converted_cases as cases

pytestmark = pytest.mark.peer

COUNT = 1500
MODELS = ["mistral-spm", "mistral-v7-spm"]


@pytest.fixture(scope="module")
def paths() -> dict[str, str]:
    found = {name: str(real_vocabularies.folder(name) / "tokenizer.model") for name in MODELS}
    return found | {"tekken": str(real_vocabularies.folder("tekken") / "tekken.json")}


@pytest.fixture(scope="module")
def theirs(
    peer: Callable[..., Any], paths: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[Any]]:
    jobs = {name: ["sentencepiece" if name in MODELS else "tekken", path, COUNT] for name, path in paths.items()}
    out = tmp_path_factory.mktemp("converted") / "theirs.json"
    peer(Path(cases.__file__), Path(__file__).parents[1], json.dumps(jobs), out)
    return json.loads(out.read_text())


def assert_same(tokenizer: tokenizers.Tokenizer, expected: list[Any]) -> None:
    texts = cases.texts(COUNT)
    flat = tokenizer.encode_arrow(texts, add_special_tokens=False)["input_ids"].tolist()
    for text, ids, (wanted, decoded) in zip(texts, flat, expected, strict=True):
        assert ids == wanted, text
        assert tokenizer.encode(text, add_special_tokens=False).ids == wanted, text
        assert tokenizer.decode(ids, skip_special_tokens=False) == decoded, text


@pytest.mark.parametrize("name", MODELS)
def test_bpe_models_give_what_sentencepiece_gives(
    name: str, paths: dict[str, str], theirs: dict[str, list[Any]]
) -> None:
    assert_same(from_sentencepiece(paths[name]), theirs[name])


def test_tekken_gives_what_tiktoken_gives(paths: dict[str, str], theirs: dict[str, list[Any]]) -> None:
    assert_same(from_tekken(paths["tekken"]), theirs["tekken"])


def test_a_unigram_model_gives_what_its_tokenizer_json_gives() -> None:
    folder = real_vocabularies.folder("deberta-v3")
    model = read_model(folder / "spm.model")
    model = model._replace(byte_fallback=False)  # as in that file
    mine = from_sentencepiece(model)
    other = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    other.no_padding()
    other.no_truncation()
    # That file trims a text before its characters are mapped, SentencePiece afterwards.
    texts = [text for text in cases.texts(COUNT) if text.isprintable() and text.isascii() and text == text.strip()]
    assert len(texts) > 5
    for ours, wanted in zip(mine.encode_batch(texts), other.encode_batch(texts, add_special_tokens=False), strict=True):
        assert ours.ids == wanted.ids
