"""Our tokenizers beside `tokenizers` 0.23.3: the same ids, offsets, words, texts and files."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from enfold import tokenizers
from parity import tokenizer_cases as cases

pytestmark = pytest.mark.peer

VOCABULARIES = ["google-bert/bert-base-uncased", "openai-community/gpt2", "meta-llama/Llama-2-7b-hf"]
COUNT = 1500

PEER = """
import importlib, json, sys
sys.path.insert(0, sys.argv[1])
import tokenizers
for name in ("models", "normalizers", "pre_tokenizers", "processors", "decoders"):
    importlib.import_module("tokenizers." + name)
from parity import tokenizer_cases as cases
made = {"components": cases.components(tokenizers)}
for name, path in json.loads(sys.argv[2]).items():
    made[name] = cases.vocabulary(tokenizers.Tokenizer.from_file(path), int(sys.argv[3]))
made["code points"] = cases.code_points(tokenizers)
again = {}
for name, text in json.loads(open(sys.argv[4]).read()).items():
    tokenizer = tokenizers.Tokenizer.from_str(text)
    again[name] = [tokenizer.encode(text).ids for text in cases.texts(200, 9)]
made["ours"] = again
open(sys.argv[5], "w").write(json.dumps(made))
print("{}")
"""


def paths(root: Path) -> dict[str, str]:
    found = {name: root / "models" / name / "tokenizer.json" for name in VOCABULARIES}
    return {name: str(path) for name, path in found.items() if path.exists()}


@pytest.fixture(scope="module")
def files(fixture_repositories: Path) -> dict[str, str]:
    return paths(fixture_repositories)


@pytest.fixture(scope="module")
def theirs(peer: Callable[..., Any], files: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("tokenizers")
    ours = {name: tokenizers.Tokenizer.from_file(path).to_str() for name, path in files.items()}
    (folder / "ours.json").write_text(json.dumps(ours))
    tests = Path(__file__).resolve().parents[1]
    peer(PEER, tests, json.dumps(files), COUNT, folder / "ours.json", folder / "theirs.json")
    return json.loads((folder / "theirs.json").read_text())


def assert_same(ours: Any, theirs: Any) -> None:
    ours = json.loads(json.dumps(ours))
    assert ours.keys() == theirs.keys()
    for name in theirs:
        rows = (
            zip(ours[name], theirs[name], strict=True)
            if isinstance(theirs[name], list)
            else [(ours[name], theirs[name])]
        )
        wrong = [(index, mine, other) for index, (mine, other) in enumerate(rows) if mine != other]
        assert not wrong, f"{name}: {len(wrong)} of {len(theirs[name])} differ, such as {wrong[0]}"


def test_every_component_gives_the_same(theirs: dict[str, Any]) -> None:
    assert_same(cases.components(tokenizers), theirs["components"])


@pytest.mark.parametrize("name", VOCABULARIES)
def test_real_vocabularies_give_the_same(name: str, files: dict[str, str], theirs: dict[str, Any]) -> None:
    if name not in files:
        pytest.skip(f"the fixture has no tokenizer.json of {name}")
    assert_same(cases.vocabulary(tokenizers.Tokenizer.from_file(files[name]), COUNT), theirs[name])


@pytest.mark.parametrize("name", VOCABULARIES)
def test_the_flat_path_gives_what_single_encodings_give(
    name: str, files: dict[str, str], theirs: dict[str, Any]
) -> None:
    if name not in files:
        pytest.skip(f"the fixture has no tokenizer.json of {name}")
    tokenizer = tokenizers.Tokenizer.from_file(files[name])
    given = cases.texts(COUNT)
    for _ in range(2):  # the second time from the caches
        made = tokenizer.encode_arrow(given, fields=["input_ids", "token_type_ids", "special_tokens_mask"])
        assert made["input_ids"].tolist() == [row[0] for row in theirs[name]["single"]]
        assert made["special_tokens_mask"].tolist() == [row[3] for row in theirs[name]["single"]]
    made = tokenizer.encode_arrow(given[:200], given[200:400])
    assert made["input_ids"].tolist() == [row[0] for row in theirs[name]["pairs"]]
    assert made["token_type_ids"].tolist() == [row[4] for row in theirs[name]["pairs"]]


def test_every_code_point_is_normalized_and_cut_the_same(theirs: dict[str, Any]) -> None:
    assert_same(cases.code_points(tokenizers), theirs["code points"])


def test_the_peer_reads_the_files_that_we_write(files: dict[str, str], theirs: dict[str, Any]) -> None:
    given = cases.texts(200, 9)
    for name, path in files.items():
        mine = [encoding.ids for encoding in tokenizers.Tokenizer.from_file(path).encode_batch(given)]
        assert mine == theirs["ours"][name], name


def test_streaming_gives_the_decoded_text(files: dict[str, str]) -> None:
    for path in files.values():
        tokenizer = tokenizers.Tokenizer.from_file(path)
        for text in random.Random(1).sample(cases.texts(300), 40):
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            stream = tokenizers.decoders.DecodeStream()
            given = "".join(filter(None, (stream.step(tokenizer, id) for id in ids)))
            whole = tokenizer.decode(ids, skip_special_tokens=False)
            assert whole.startswith(given)
            if not whole.endswith("\ufffd"):
                assert given == whole
