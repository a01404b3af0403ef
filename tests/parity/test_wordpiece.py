"""WordPiece to flat ids beside `tokenizers` 0.23.3: real BERT vocabulary, cased and uncased, and every character."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import real_vocabularies
from enfold.tokenizers import Tokenizer
from parity import wordpiece_cases as cases

pytestmark = pytest.mark.peer

PEER = """
import hashlib, json, sys
sys.path.insert(0, sys.argv[1])
from tokenizers import Tokenizer
from parity import wordpiece_cases as cases
texts = cases.fuzzed(int(sys.argv[3])) + cases.characters(int(sys.argv[4]))
made = {}
for name, path in json.loads(sys.argv[2]).items():
    tokenizer = Tokenizer.from_file(path)
    ids = [encoding.ids for encoding in tokenizer.encode_batch_fast(texts)]
    made[name] = [hashlib.sha256(json.dumps(row).encode()).hexdigest()[:12] for row in ids]
print(json.dumps(made))
"""


def write_variants(folder: Path) -> dict[str, str]:
    """Write BERT's tokenizer.json as it is, cased, and with each option turned."""
    spec = json.loads((real_vocabularies.folder("bert") / "tokenizer.json").read_text(encoding="utf-8"))
    spec["truncation"] = spec["padding"] = None
    cased = dict(spec["model"]["vocab"])
    for word in list(cased):
        if word.isascii() and word.isalpha():
            cased.setdefault(word.capitalize(), len(cased))
    for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZÉéÜü":
        cased.setdefault(letter, len(cased))
        cased.setdefault("##" + letter, len(cased))
    variants: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "uncased": ({}, {}),
        "cased": ({"lowercase": False}, {"vocab": cased}),
        "accents": ({"strip_accents": False}, {}),
        "unclean": ({"clean_text": False}, {}),
        "no ideographs": ({"handle_chinese_chars": False}, {}),
        "short words": ({}, {"max_input_chars_per_word": 5}),
    }
    paths = {}
    for name, (normalizer, model) in variants.items():
        changed = {**spec, "normalizer": spec["normalizer"] | normalizer, "model": spec["model"] | model}
        path = folder / f"{name}.json"
        path.write_text(json.dumps(changed), encoding="utf-8")
        paths[name] = str(path)
    return paths


@pytest.mark.parametrize(
    ("count", "step"), [(2000, 71), pytest.param(100_000, 1, marks=pytest.mark.slow)], ids=["few", "all"]
)
def test_ids_are_the_peers(peer: Callable[..., Any], tmp_path: Path, count: int, step: int) -> None:
    paths = write_variants(tmp_path)
    texts = cases.fuzzed(count) + cases.characters(step)
    theirs = peer(PEER, Path(__file__).resolve().parents[1], paths, count, step, timeout=1200)
    for name, path in paths.items():
        rows = Tokenizer.from_file(path).encode_arrow(texts)["input_ids"].tolist()
        ours = [hashlib.sha256(json.dumps(row).encode()).hexdigest()[:12] for row in rows]
        wrong = [text for text, a, b in zip(texts, ours, theirs[name], strict=True) if a != b]
        assert not wrong, (name, len(wrong), ascii(wrong[0]))
