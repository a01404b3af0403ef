"""Linear layers in eight bits: near the layers they stand for, and faster."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import enfold.transformers as tf
from enfold.errors import EnfoldError
from enfold.nn.activations import tanh_gelu
from enfold.nn.int8 import AFTER, Int8Linear, Packed, to_int8
from enfold.transformers.quantization import quantize

native = pytest.importorskip("enfold._native")


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


KERNELS = native.int8_kernels()


def applied(packed: Packed, x: Tensor, bias: Tensor | None = None, after: str = "none", threads: int = 1) -> Tensor:
    """Return the product of one kernel, which writes nothing beside it."""
    held = torch.full((len(x) + 2, packed.shape[0]), 7.0, dtype=x.dtype)
    bias_at = 0 if bias is None else bias.data_ptr()
    narrow, made = x.dtype is torch.bfloat16, held[1:-1]
    packed.native.apply(x.data_ptr(), len(x), narrow, bias_at, made.data_ptr(), after, threads)
    assert (held[0] == 7).all() and (held[-1] == 7).all()
    return made


def random_weight(out: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return a rounded weight, its steps and a bias."""
    return torch.randint(-127, 128, (out, width), dtype=torch.int8), torch.rand(out) + 0.5, torch.randn(out)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (16, 64), (17, 65), (40, 96), (33, 200), (100, 250), (17, 600)])
def test_products_of_integers_are_exact(kernel: str, shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    weight, _, _ = random_weight(*shape)
    packed = Packed(weight, torch.ones(shape[0]), kernel)
    assert torch.equal(packed.plain(), weight)
    for rows in (*range(1, 18), 33, 50, 200):
        x = torch.randint(0, 256, (rows, shape[1])) - torch.arange(rows)[:, None] % 4 * 85
        low = -torch.arange(rows) % 4 * 85 if shape[1] == 1 else -(torch.arange(rows) % 4 * 85)
        x[:, -1], x[:, 0] = low, low + 255  # a step of one
        if shape[1] == 1:
            x[:] = 255
        assert torch.equal(applied(packed, x.float()).round().long(), x @ weight.long().t())


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("after", [None, F.gelu, tanh_gelu, F.relu, F.silu, torch.tanh])
def test_what_follows_a_product_is_right(kernel: str, after: Any) -> None:
    torch.manual_seed(0)
    weight, steps, bias = random_weight(37, 70)
    packed = Packed(weight, steps * 1e-3, kernel)
    for rows in (1, 6, 20):
        x = torch.randn(rows, 70)
        plain = (packed_reference(packed, x) + bias.double()).float()
        expected = plain if after is None else after(plain)
        made = applied(packed, x, bias, AFTER.get(after, "none"))
        torch.testing.assert_close(made, expected, atol=2e-5, rtol=2e-5)
        halves = applied(packed, x.bfloat16(), bias, AFTER.get(after, "none"))
        plain = (packed_reference(packed, x.bfloat16().float()) + bias.double()).float()
        torch.testing.assert_close(halves, (plain if after is None else after(plain)).bfloat16(), atol=1e-2, rtol=1e-2)


def packed_reference(packed: Packed, x: Tensor) -> Tensor:
    """Return the product in double precision of the numbers that bytes stand for."""
    low, high = x.amin(1, keepdim=True).clamp(max=0), x.amax(1, keepdim=True).clamp(min=0)
    step = high / 255 - low / 255
    zero = (-low / step).round()
    rounded = ((x / step).round() + zero).clamp(0, 255) - zero
    return (rounded * step).double() @ (packed.plain() * packed.steps[:, None]).double().t()


@pytest.mark.parametrize("kernel", KERNELS)
def test_threads_and_other_rows_change_nothing(kernel: str) -> None:
    torch.manual_seed(0)
    weight, steps, bias = random_weight(3000, 400)
    packed, x = Packed(weight, steps, kernel), torch.randn(700, 400)
    made = applied(packed, x, bias)
    assert torch.equal(applied(packed, x, bias, threads=3), made)
    assert torch.equal(applied(packed, x[5:6], bias, threads=3), made[5:6])
    assert torch.equal(applied(packed, x[5:13], bias), made[5:13])


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("spoil", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_spoils_its_row_alone(kernel: str, spoil: float) -> None:
    torch.manual_seed(0)
    weight, steps, bias = random_weight(20, 70)
    packed, x = Packed(weight, steps, kernel), torch.randn(3, 70)
    expected = applied(packed, x, bias)
    for place in (3, 69):
        spoilt = x.clone()
        spoilt[1, place] = spoil
        made = applied(packed, spoilt, bias)
        assert made[1].isnan().all() and torch.equal(made[::2], expected[::2])
    for size in (0.0, 1e-44, 3e38):  # nothing, next to nothing, and next to the most there is
        made = applied(packed, torch.full((2, 70), size), bias)
        assert made.isfinite().all() or size > 1
        if size < 1:
            torch.testing.assert_close(made, bias.expand(2, -1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_every_shape_and_order_of_inputs_is_taken(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    layer = Int8Linear(nn.Linear(24, 10))
    x = torch.randn(4, 6, 24).to(dtype)
    expected = layer(x)
    assert torch.equal(layer(x.transpose(0, 1)), expected.transpose(0, 1))
    assert torch.equal(layer(x[1, 2]), expected[1, 2]) and torch.equal(layer(x[:, ::2]), expected[:, ::2])
    assert torch.equal(layer(x[:1].expand(3, 6, 24)), expected[:1].expand(3, 6, 10))
    wide = torch.zeros(4, 6, 30, dtype=dtype)
    wide[..., 3:27] = x
    assert torch.equal(layer(wide[..., 3:27]), expected)
    assert layer(x[:0]).shape == (0, 6, 10) and layer(x[:0]).dtype == dtype
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        layer(x[..., :23])
    near = {torch.float32: 1e-5, torch.float16: 1e-2, torch.bfloat16: 3e-2}[dtype]
    torch.testing.assert_close(layer.explicit(x), expected, atol=near, rtol=near)


def test_graphs_and_transforms_follow_by_operations_of_torch() -> None:
    torch.manual_seed(0)
    layer, x = Int8Linear(nn.Linear(24, 10)), torch.randn(5, 24)
    with torch.no_grad():
        expected = layer(x)
        traced = torch.jit.trace(layer, (torch.randn(2, 24),), check_trace=False)
        torch.testing.assert_close(traced(x), expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(torch.func.vmap(layer)(x), expected, atol=1e-5, rtol=1e-5)


def test_another_weight_counts_at_once() -> None:
    torch.manual_seed(0)
    layer, x, weight = Int8Linear(nn.Linear(24, 10)), torch.randn(5, 24), torch.randn(10, 24)
    layer.requantize(weight)
    expected = x @ weight.t() + layer.bias
    assert (layer(x) - expected).norm() < 0.03 * expected.norm()
    torch.testing.assert_close(layer.dequantize(), weight, atol=float(weight.abs().max()) / 200, rtol=0)


def test_layers_that_cannot_be_in_eight_bits_are_refused() -> None:
    with pytest.raises(EnfoldError, match="66,000 inputs"):
        Int8Linear(nn.Linear(66_001, 1))
    with pytest.raises(EnfoldError, match="on meta"):
        Int8Linear(nn.Linear(4, 4, device="meta"))


@pytest.mark.parametrize("asked", ["portable", "avx2"])
def test_narrower_instructions_can_be_asked_for(asked: str) -> None:
    script = "from enfold import _native; print(*_native.int8_kernels())"
    found = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "ENFOLD_SIMD": asked}, capture_output=True, text=True
    )
    names = found.stdout.split()
    assert names[-1] == "portable" and not {"avx512", "amx"} & set(names), found.stderr
    assert asked != "portable" or names == ["portable"]


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
