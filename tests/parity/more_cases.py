"""Run by both libraries: tokenizers with arguments or arrangements of their own, printed as JSON on the last line."""

from __future__ import annotations

import importlib
import json
import random
import shutil
import sys
import traceback
from pathlib import Path
from typing import Any

from family_cases import PAIRS, TEXTS, describe, plain


def byt5(library: Any, folders: Path, saved: Path) -> Any:
    tokenizer = library.ByT5Tokenizer()
    tokenizer.save_pretrained(saved / "byt5")
    return [describe(tokenizer), describe(library.AutoTokenizer.from_pretrained(saved / "byt5"))]


def canine(library: Any, folders: Path, saved: Path) -> Any:
    tokenizer = library.CanineTokenizer()
    rows = tokenizer(TEXTS)["input_ids"]
    return {
        "batch": tokenizer(TEXTS, return_special_tokens_mask=True),
        "pairs": tokenizer(TEXTS, PAIRS),
        "decode": [tokenizer.decode(row) for row in rows],
        "skip": [tokenizer.decode(row, skip_special_tokens=True) for row in rows],
        "padded": tokenizer(TEXTS, padding=True, truncation=True, max_length=9),
    }


def siglip(library: Any, folders: Path, saved: Path) -> Any:
    (saved / "siglip").mkdir()
    shutil.copy(folders / "t5.model", saved / "siglip" / "spiece.model")
    return describe(library.SiglipTokenizer.from_pretrained(saved / "siglip"))


def dpr(library: Any, folders: Path, saved: Path) -> Any:
    tokenizer = library.DPRReaderTokenizer.from_pretrained(folders / "wordpiece")
    titles, texts = ["Title", "Other long"], ["a text here", "more and more and more"]
    found = {
        "each": tokenizer(["what is it?", "who"], titles, texts),
        "cut": tokenizer("what", titles, texts, padding=True, truncation=True, max_length=8),
        "question": tokenizer("what"),
        "text": tokenizer("what", texts="a b"),
    }
    inputs = tokenizer("what is", titles, texts, padding=True)
    draw = random.Random(0).gauss
    length = len(inputs["input_ids"][0])
    logits = [[[draw(0, 1) for _ in range(length)] for _ in titles] for _ in range(2)]
    spans = tokenizer.decode_best_spans(inputs, (*logits, [0.1, 0.7]), num_spans=7, max_answer_length=3)
    return {**found, "spans": [tuple(span) for span in spans]}


def code_llama(library: Any, folders: Path, saved: Path) -> Any:
    tokenizer = library.CodeLlamaTokenizerFast.from_pretrained(folders / "llama")
    found: dict[str, Any] = {
        "plain": tokenizer("hello world"),
        "ids": [tokenizer.prefix_id, tokenizer.middle_id, tokenizer.suffix_id, tokenizer.eot_id],
    }
    for first in (False, True):
        found[f"mark {first}"] = tokenizer("def f(x): <FILL_ME> return x", suffix_first=first)
        found[f"suffix {first}"] = tokenizer("hello", suffix=" world", suffix_first=first)
        found[f"joined {first}"] = tokenizer("hello", suffix="world", suffix_first=first)
        found[f"bare {first}"] = tokenizer("hello", suffix="world", suffix_first=first, add_special_tokens=False)
    return {**found, "again": tokenizer("hello world")}


def attempt(make: Any, *arguments: Any) -> Any:
    try:
        return plain(make(*arguments))
    except Exception:
        return traceback.format_exc()[-1500:]


def main(name: str, folders: Path, saved: Path) -> dict[str, Any]:
    library = importlib.import_module(name)
    return {case.__name__: attempt(case, library, folders, saved) for case in (byt5, canine, siglip, dpr, code_llama)}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))))
