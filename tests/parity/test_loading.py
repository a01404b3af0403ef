"""tokenizer.json as `tokenizers` 0.23.3 writes it: ours is the same to the byte."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

import real_vocabularies
from enfold.tokenizers import Tokenizer

pytestmark = pytest.mark.peer

NAMES = ["bert", "gpt2", "mistral", "t5", "whisper", "deberta-v3"]
PEER = """
import hashlib, json, sys
from tokenizers import Tokenizer
made = {}
for name, path in json.loads(sys.argv[1]).items():
    tokenizer = Tokenizer.from_file(path)
    made[name] = [hashlib.sha256(tokenizer.to_str(pretty).encode()).hexdigest() for pretty in (False, True)]
print(json.dumps(made))
"""


def test_files_are_written_as_the_peer_writes_them(peer: Callable[..., Any]) -> None:
    files = {n: str(real_vocabularies.folder(n) / "tokenizer.json") for n in NAMES if n in real_vocabularies.NAMES}
    theirs = peer(PEER, files)
    for name, path in files.items():
        tokenizer = Tokenizer.from_file(path)
        ours = [hashlib.sha256(tokenizer.to_str(pretty).encode()).hexdigest() for pretty in (False, True)]
        assert ours == theirs[name], name
