"""What the core computes for a few tokens: the same as torch, whoever else is read along, on any instructions."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import enfold.transformers as tf
from enfold import peft
from enfold.nn import rows
from enfold.nn.linear import project
from enfold.nn.mlp import GatedMLP
from enfold.nn.norm import RMSNorm, rms_norm
from enfold.nn.rotary import Rotary, rotate

native = pytest.importorskip("enfold._native")
needs_vectors = pytest.mark.skipif(not native.has_rows(), reason="the processor lacks AVX2")
SHAPE: dict[str, Any] = {"vocab_size": 60, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
                         "num_key_value_heads": 2, "intermediate_size": 96}  # fmt: skip


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@needs_vectors
@pytest.mark.parametrize("inner", [1, 7, 16, 33, 200])
@pytest.mark.parametrize("out", [1, 3, 4, 5, 49])
def test_products_of_every_size(inner: int, out: int) -> None:
    weight, bias = torch.randn(out, inner), torch.randn(out)
    for count in (1, 2, 5, 6, 7, 13, 32):
        x, onto = torch.randn(count, inner), torch.randn(count, out)
        expected = F.linear(x.double(), weight.double(), bias.double()) + onto
        assert (rows.product(x, weight, bias, onto) - expected).abs().max() < 2e-5
        assert (rows.product(x, weight) - F.linear(x.double(), weight.double())).abs().max() < 2e-5


@needs_vectors
def test_a_row_does_not_depend_on_those_beside_it() -> None:
    x, weight = torch.randn(29, 70), torch.randn(50, 70)
    whole = rows.product(x, weight)
    assert all(torch.equal(rows.product(x[place : place + 1], weight)[0], whole[place]) for place in range(29))
    threads = torch.empty(29, 50)
    native.rows_multiply(x, weight, None, None, threads, 3)
    assert torch.equal(threads, whole)


@needs_vectors
@torch.no_grad()
@pytest.mark.parametrize("width", [5, 16, 48, 100])
def test_norms_gates_and_angles(width: int) -> None:
    x, up = 8 * torch.randn(3, 4, width), torch.randn(3, 4, width)
    norm = RMSNorm(width)
    norm.weight.copy_(torch.randn(width))
    torch.testing.assert_close(norm(x), rms_norm(x, norm.weight), rtol=2e-6, atol=2e-6)
    torch.testing.assert_close(rows.gated(x, up), F.silu(x) * up, rtol=2e-6, atol=1e-7)
    heads = torch.randn(2, 5, 3, 2 * width).transpose(1, 2)
    for turned in (width, width // 2):
        for batch in (1, 2):
            angles = torch.randn(batch, 1, 5, turned)
            cos, sin = angles.cos(), angles.sin()
            first, second = heads[..., :turned], heads[..., turned : 2 * turned]
            expected = [first * cos - second * sin, second * cos + first * sin, heads[..., 2 * turned :]]
            torch.testing.assert_close(rotate(heads, cos, sin), torch.cat(expected, -1), rtol=1e-6, atol=1e-6)


@needs_vectors
def test_gates_of_any_number() -> None:
    values = torch.tensor([-1e30, -torch.inf, -104.0, -88.0, -0.0, 0.0, 1e-30, 88.0, 1e30, torch.inf, torch.nan])
    made, expected = rows.gated(values[None], torch.ones(1, 11))[0], F.silu(values)
    assert torch.equal(made.isnan(), expected.isnan())
    torch.testing.assert_close(made.nan_to_num(), expected.nan_to_num(), rtol=2e-6, atol=1e-30)


@needs_vectors
@pytest.mark.parametrize("width", [16, 48, 64, 144])
@pytest.mark.parametrize("group", [1, 3, 8])
def test_each_token_attends_to_its_own_runs(width: int, group: int) -> None:
    keys, values = torch.randn(1, 2, 90, width), torch.randn(1, 2, 90, width)
    query = torch.randn(1, 3, 2 * group, width).transpose(1, 2)
    own = [[(5, 1)], [(0, 33), (40, 3)], [(89, 1), (16, 17), (0, 2), (60, 7)]]
    runs = torch.tensor([run for each in own for run in each])
    made = rows.attended(query, keys, values, torch.tensor([0, 1, 3, 7]), runs, 0.3)
    for token, each in enumerate(own):
        places = torch.cat([torch.arange(first, first + count) for first, count in each])
        seen, found = (part[:, :, places].repeat_interleave(group, 1) for part in (keys, values))
        expected = F.scaled_dot_product_attention(query[:, :, token : token + 1], seen, found, scale=0.3)
        torch.testing.assert_close(made[token], expected[0, :, 0], rtol=1e-5, atol=1e-5)


@needs_vectors
def test_the_border_to_python_checks_sizes() -> None:
    x, weight, made = torch.randn(2, 8), torch.randn(4, 8), torch.empty(2, 4)
    for bad in ((x[:, :7].contiguous(), weight, None, None, made), (x, weight, torch.zeros(5), None, made),
                (x, weight, None, torch.zeros(1, 4), made), (x, weight, None, None, torch.empty(2, 5))):  # fmt: skip
        with pytest.raises(ValueError):
            native.rows_multiply(*bad)
    with pytest.raises(TypeError):
        native.rows_multiply(x.double(), weight, None, None, made)
    pages, query, out = torch.zeros(1, 1, 8, 16), torch.zeros(1, 1, 1, 16), torch.empty(1, 16)
    starts = torch.tensor([0, 1])
    for first, count in ((-1, 2), (7, 2), (0, 0), (2**62, 2**62)):
        with pytest.raises(ValueError, match="lies in the pages"):
            native.rows_attend(query, pages, pages, starts, torch.tensor([[first, count]]), 1.0, out)
    for wrong in ([0, 2], [-1, 1], [0, 0], [0, 1, 1]):
        with pytest.raises(ValueError):
            native.rows_attend(query, pages, pages, torch.tensor(wrong), torch.tensor([[0, 1]]), 1.0, out)
    for slot in (-1, 8):
        with pytest.raises(ValueError, match="slot"):
            native.rows_keep(query, torch.tensor([slot]), pages)
    with pytest.raises(ValueError, match="differ"):
        native.rows_norm(x, torch.zeros(7), 1e-6, torch.empty(2, 8))
    with pytest.raises(ValueError, match="shape"):
        native.rows_gate(x, x, torch.empty(2, 4))
    with pytest.raises(ValueError):
        native.rows_rotate(
            torch.zeros(1, 1, 2, 8), torch.zeros(1, 1, 3, 4), torch.zeros(1, 1, 3, 4), torch.zeros(1, 1, 2, 8)
        )


def test_instruction_sets_agree() -> None:
    code = f"""
import torch, enfold.transformers as tf
from enfold.transformers.generation.engine import Engine
torch.manual_seed(0)
model = tf.LlamaForCausalLM(tf.LlamaConfig(**{SHAPE!r})).eval()
prompts = torch.randint(3, 60, (3, 9))
how = dict(max_new_tokens=12, min_new_tokens=12, do_sample=False)
alone = [model.generate(row[None], **how)[0].tolist() for row in prompts]
asked = Engine(model).generate(prompts, **how)
assert [request.tokens for request in asked] == alone
print(alone)
"""
    told = [
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "ENFOLD_SIMD": one}, check=True, capture_output=True
        ).stdout
        for one in ("portable", "avx2", "avx512")
    ]
    assert told[0] == told[1] == told[2] != b""


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what the core is asked for from now on."""
    asked: list[str] = []

    class Watched:
        def __getattr__(self, name: str) -> Any:
            asked.append(name)
            return getattr(native, name)

    watched = Watched()
    monkeypatch.setattr(rows, "core", lambda: watched)
    return asked


@needs_vectors
@torch.no_grad()
def test_a_step_of_the_engine_is_the_cores(used: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from enfold.transformers import running
    from enfold.transformers.generation.engine import Engine

    monkeypatch.setattr(running, "step", lambda *_: None)  # as for layers that do not go through in one call
    model = tf.LlamaForCausalLM(tf.LlamaConfig(**SHAPE)).eval()
    engine = Engine(model)
    for length in (3, 5):
        engine.submit(list(range(1, 1 + length)), max_new_tokens=3, min_new_tokens=3)
    engine.step()
    used.clear()
    engine.step()
    counts = {name: used.count(name) for name in set(used)}
    assert counts == {"rows_multiply": 15, "rows_norm": 5, "rows_rotate": 4, "rows_keep": 4, "rows_attend": 2,
                      "rows_gate": 2}  # fmt: skip


@needs_vectors
def test_gradients_many_rows_hooks_and_other_types_are_torchs(used: list[str]) -> None:
    layer, mlp, norm, x = nn.Linear(32, 32), GatedMLP(32, 48, "silu"), RMSNorm(32), torch.randn(2, 3, 32)
    cos, sin = Rotary(32).tables(torch.arange(3)[None], torch.float32)
    with rows.writing():
        assert project(layer, x).requires_grad and mlp(x).requires_grad and norm(x).requires_grad
    with torch.no_grad(), rows.writing():
        many = torch.randn(300, 32)
        assert torch.equal(project(layer, many), F.linear(many, layer.weight, layer.bias))
        assert torch.equal(norm(many), rms_norm(many, norm.weight, norm.eps)) and mlp(many).shape == many.shape
        layer.double(), mlp.bfloat16(), norm.double()
        project(layer, x.double()), mlp(x.bfloat16()), norm(x.double())
        rotate(x[:, None].double(), cos.double(), sin.double())
        with torch.backends.mkldnn.flags(enabled=False):
            project(layer.float(), x), mlp.float()(x), norm.float()(x), rotate(x[:, None], cos, sin)
        seen: list[Tensor] = []
        layer.register_forward_hook(lambda module, given, out: seen.append(out))
        project(layer, x)
        assert len(seen) == 1
    assert not used


@needs_vectors
@torch.no_grad()
def test_layers_under_adapters_are_products_too(used: list[str]) -> None:
    model = nn.Sequential(nn.Linear(32, 24))
    tuned = peft.get_peft_model(model, peft.LoraConfig(target_modules=["0"], init_lora_weights=False)).eval()
    x, layer = torch.randn(4, 32), tuned.base_model.model[0]
    first, second = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    expected = (
        F.linear(x, layer.base_layer.weight, layer.base_layer.bias) + layer.scaling["default"] * x @ first.T @ second.T
    )
    torch.testing.assert_close(tuned(x), expected)
    assert not used  # only called, it computes as torch does
    with rows.writing():
        torch.testing.assert_close(tuned(x), expected)
    assert used == ["rows_multiply"]
