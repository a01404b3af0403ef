"""Encodings and decodings of real vocabularies beside `tokenizers` 0.23.3: every field, every method, every step."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import real_vocabularies
from enfold.tokenizers import Encoding, Tokenizer
from enfold.tokenizers.decoders import DecodeStream
from parity import encoding_cases as cases

pytestmark = pytest.mark.peer

COUNT = 250
WANTED = ["bert", "gpt2", "qwen3", "o200k", "mistral", "whisper", "smollm2", "t5", "xlmr", "deberta-v3"]
VOCABULARIES = [name for name in WANTED if name in real_vocabularies.NAMES]

PEER = """
import json, sys
sys.path.insert(0, sys.argv[1])
from tokenizers import Encoding, Tokenizer
from tokenizers.decoders import DecodeStream
from parity import encoding_cases as cases
for name, path in json.loads(sys.argv[2]).items():
    tokenizer = Tokenizer.from_file(path)
    made = cases.encodings(tokenizer, Encoding.merge, int(sys.argv[3]))
    made |= cases.decodings(tokenizer, DecodeStream, int(sys.argv[3]))
    open(f"{sys.argv[4]}/{name}.json", "w").write(json.dumps(made))
print("{}")
"""


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    return {name: str(real_vocabularies.folder(name) / "tokenizer.json") for name in VOCABULARIES}


@pytest.fixture(scope="module")
def theirs(peer: Callable[..., Any], files: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encodings")
    peer(PEER, Path(__file__).resolve().parents[1], json.dumps(files), COUNT, folder)
    return folder


@pytest.mark.parametrize("name", VOCABULARIES)
def test_every_field_method_and_step_is_the_peers(name: str, files: dict[str, str], theirs: Path) -> None:
    tokenizer = Tokenizer.from_file(files[name])
    ours = cases.encodings(tokenizer, Encoding.merge, COUNT) | cases.decodings(tokenizer, DecodeStream, COUNT)
    ours = json.loads(json.dumps(ours))
    expected = json.loads((theirs / f"{name}.json").read_text())
    for part, rows in expected.items():
        wrong = [(i, a, b) for i, (a, b) in enumerate(zip(ours[part], rows, strict=True)) if a != b]
        assert not wrong, f"{name}, {part}: {len(wrong)} of {len(rows)} differ, such as {wrong[0]}"
