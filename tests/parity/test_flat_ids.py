"""Flat ids of real vocabularies beside `tokenizers` 0.23.3: fuzzed strings, and Python's own sources."""

from __future__ import annotations

import hashlib
import json
import random
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import real_vocabularies
from enfold.tokenizers import Tokenizer

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tokenizers"))
from test_flat import texts

pytestmark = pytest.mark.peer

WANTED = ("gpt2", "qwen3", "cl100k", "o200k", "mistral", "whisper", "smollm2")
SCRIPTS = (
    (0x20, 0x7E),
    (0xA0, 0x17F),
    (0x300, 0x36F),
    (0x370, 0x52F),
    (0x5D0, 0x6FF),
    (0x900, 0x97F),
    (0x1100, 0x11FF),
)
SCRIPTS += (
    (0x2000, 0x206F),
    (0x3000, 0x30FF),
    (0x4E00, 0x9FFF),
    (0xAC00, 0xD7A3),
    (0xFF00, 0xFFEF),
    (0x1F300, 0x1FAFF),
)

PEER = """
import hashlib, json, sys
from tokenizers import Tokenizer
rows = json.loads(open(sys.argv[1]).read())
made = {}
for name, path in json.loads(sys.argv[2]).items():
    tokenizer = Tokenizer.from_file(path)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    made[name] = [hashlib.sha256(str(e.ids).encode()).hexdigest()[:12] for e in tokenizer.encode_batch_fast(rows)]
print(json.dumps(made))
"""


def rows() -> list[str]:
    """Fuzzed strings of what patterns care about and of many scripts, and some real text."""
    random.seed(11)
    made = texts(1500, 11)
    for _ in range(1500):
        first, last = random.choice(SCRIPTS)
        mixed = [chr(random.randint(*random.choice(SCRIPTS))) for _ in range(random.randint(0, 5))]
        plain = [chr(random.randint(first, last)) for _ in range(random.randint(0, 40))]
        made.append("".join(plain) + " " + "".join(mixed))
    library = Path(sysconfig.get_paths()["stdlib"])
    for name in ("argparse.py", "json/decoder.py", "test/test_unicodedata.py", "idlelib/help.html"):
        if (library / name).exists():
            text = (library / name).read_text(encoding="utf-8")
            made += [text[i : i + 3000] for i in range(0, min(len(text), 60_000), 3000)]
    return [*made, "a" * 400, "\u4e2d\u6587" * 150, "\x00\x04 \x04x\x04", " " * 300 + "x"]


def test_flat_ids_are_the_peer_s(peer: Callable[..., Any], tmp_path: Path) -> None:
    paths = {
        name: real_vocabularies.folder(name) / "tokenizer.json" for name in WANTED if name in real_vocabularies.NAMES
    }
    given = rows()
    (tmp_path / "rows.json").write_text(json.dumps(given))
    theirs = peer(PEER, tmp_path / "rows.json", json.dumps({name: str(path) for name, path in paths.items()}))
    for name, path in paths.items():
        tokenizer = Tokenizer.from_file(str(path))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        for _ in range(2):  # a second time from the cache
            ids = tokenizer.encode_arrow(given, fields=["input_ids"])["input_ids"]
            made = [hashlib.sha256(str(row).encode()).hexdigest()[:12] for row in ids]
            assert [text[:80] for text, a, b in zip(given, made, theirs[name], strict=True) if a != b] == [], name
        assert list(tokenizer.count_tokens(given)) == [len(row) for row in ids]
