"""Linear layers in eight bits: near the layers they stand for, and faster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import enfold.transformers as tf
from enfold.errors import EnfoldError
from enfold.nn import int8
from enfold.nn.int8 import Int8Linear, to_int8
from enfold.transformers.quantization import quantize


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_layer_is_near_its_own(bias: bool, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(96, 40, bias=bias)
    with torch.no_grad():
        layer.weight[3] *= 100  # one step for each output, so that a loud one does not deafen the others
        layer.weight[7] = 0
    x = torch.randn(2, 5, 96)
    made, expected = Int8Linear(layer)(x.to(dtype)), layer(x)
    assert made.dtype == dtype and made.shape == (2, 5, 40)
    for output in range(40):
        off = (made[..., output].float() - expected[..., output]).norm()
        assert off <= 0.04 * expected[..., output].norm() + 1e-6, output


def test_shared_and_named_layers_stay() -> None:
    model = nn.ModuleDict({"words": nn.Embedding(9, 4), "a": nn.Linear(4, 4), "b": nn.Linear(4, 4)})
    model["head"] = nn.Linear(4, 9, bias=False)
    model["head"].weight = model["words"].weight
    assert to_int8(model, skip=["b"]) == 1
    assert [type(part) for part in model.values()] == [nn.Embedding, Int8Linear, nn.Linear, nn.Linear]


def test_gpt2s_layers_and_a_shared_head_are_taken_where_they_are_named() -> None:
    torch.manual_seed(0)
    config = tf.GPT2Config(
        vocab_size=50, n_embd=16, n_layer=1, n_head=2, n_positions=16, bos_token_id=1, eos_token_id=2
    )
    model, ids = tf.GPT2LMHeadModel(config).eval(), torch.tensor([[3, 9, 4]])
    expected = model(ids).logits
    quantize(model, tf.TorchAoConfig("int8"))
    block: Any = model.transformer.h[0]
    assert type(block.attn.c_attn) is type(block.mlp.c_proj) is Int8Linear and type(model.lm_head) is nn.Linear
    shared = tf.GPT2LMHeadModel(config).eval()
    shared.load_state_dict(tf.GPT2LMHeadModel(config).state_dict())
    words = shared.transformer.wte.weight.clone()
    quantize(shared, tf.TorchAoConfig("int8", include_input_output_embeddings=True))
    shared.tie_weights()
    assert type(shared.lm_head) is Int8Linear and torch.equal(shared.transformer.wte.weight, words)
    assert (model(ids).logits - expected).norm() < 0.06 * expected.norm()
    found = shared.generate(ids, max_new_tokens=4, min_new_tokens=4, do_sample=False)
    assert found.shape == (1, 7)


@pytest.mark.parametrize("rows", [1, 3, 40])
def test_kernels_for_few_rows_and_for_many_give_the_same(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    layer, x = Int8Linear(nn.Linear(96, 40)), torch.randn(rows, 96)
    found = layer(x)
    monkeypatch.setattr(int8, "_has_few_rows", lambda: False)
    torch.testing.assert_close(found, layer(x), atol=1e-5, rtol=1e-5)
    layer.requantize(torch.randn(40, 96))
    monkeypatch.undo()
    new = layer(x)
    monkeypatch.setattr(int8, "_has_few_rows", lambda: False)
    torch.testing.assert_close(new, layer(x), atol=1e-5, rtol=1e-5)


CONFIGS: dict[str, Any] = {
    "BertForSequenceClassification": {"vocab_size": 50, "hidden_size": 64, "num_hidden_layers": 2,
                                      "num_attention_heads": 4, "intermediate_size": 96},
    "LlamaForCausalLM": {"vocab_size": 50, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
                         "intermediate_size": 96},
    "T5ForConditionalGeneration": {"vocab_size": 50, "d_model": 64, "d_kv": 16, "d_ff": 96, "num_layers": 2,
                                   "num_heads": 4, "decoder_start_token_id": 0},
}  # fmt: skip


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize(
    "asked",
    [
        {"quantization_config": tf.TorchAoConfig("int8")},
        {"quantization_config": {"load_in_8bit": True}},
        {"load_in_8bit": True},
    ],
    ids=["torchao", "dictionary", "argument"],
)
def test_models_load_in_eight_bits(tmp_path: Path, name: str, asked: dict[str, Any]) -> None:
    torch.manual_seed(0)
    kind = getattr(tf, name)
    model = kind(kind.config_class(**CONFIGS[name])).eval()
    model.save_pretrained(tmp_path)
    eight = kind.from_pretrained(tmp_path, **asked)
    assert sum(isinstance(part, Int8Linear) for part in eight.modules()) > 5
    inputs = {"input_ids": torch.arange(2, 14).view(2, 6)}
    if name.startswith("T5"):
        inputs["labels"] = inputs["input_ids"]
    with torch.no_grad():
        expected, made = model(**inputs).logits, eight(**inputs).logits
    assert (made - expected).norm() < 0.06 * expected.norm()
    with pytest.raises(EnfoldError, match="eight bits"):
        eight.save_pretrained(tmp_path / "again")
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"load_in_4bit": True, "load_in_8bit": True}, "exclude each other"),
        ({"quantization_config": {"quant_method": "torchao", "quant_type": "int4"}}, "int8"),
        ({"quantization_config": {"quant_method": "gptq"}}, "torchao, bitsandbytes"),
        ({"quantization_config": 8}, "TorchAoConfig"),
    ],
)
def test_what_is_not_there_is_said(tmp_path: Path, asked: dict[str, Any], message: str) -> None:
    config = tf.BertConfig(**CONFIGS["BertForSequenceClassification"])
    tf.BertModel(config).save_pretrained(tmp_path)
    with pytest.raises(EnfoldError, match=message):
        tf.BertModel.from_pretrained(tmp_path, **asked)
    config.quantization_config = {"quant_method": "gptq"}
    config.save_pretrained(tmp_path)
    with pytest.raises(EnfoldError, match="gptq"):
        tf.BertModel.from_pretrained(tmp_path)
