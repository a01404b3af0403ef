"""Weights in four bits: what they stand for, what they compute, how much they take."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from enfold.errors import EnfoldError
from enfold.nn.quantized import BLOCK, CODES, Linear4bit, quantize_4bit, to_4bit


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(1, 90), st.sampled_from(["nf4", "fp4"]), st.integers(0, 99))
def test_every_number_becomes_the_nearest_of_sixteen_times_its_blocks_largest(
    rows: int, columns: int, kind: str, seed: int
) -> None:
    weight = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))
    found = quantize_4bit(weight, kind).dequantize().flatten()
    code = torch.tensor(CODES[kind])
    for first in range(0, rows * columns, BLOCK):
        block = weight.flatten()[first : first + BLOCK]
        largest = block.abs().max()
        choices = (code * largest - block[:, None]).abs()
        torch.testing.assert_close((found[first : first + BLOCK] - block).abs(), choices.min(1).values)


def test_codes_lie_two_to_a_byte_the_first_in_the_upper_half() -> None:
    packed = quantize_4bit(torch.tensor([[1.0, -1.0, 0.0]]))
    assert packed.codes.tolist() == [0xF0, 0x70] and packed.scales.tolist() == [1.0]


def test_scales_in_eight_bits_cost_little() -> None:
    weight = torch.randn(128, 512, generator=torch.Generator().manual_seed(0))
    plain, nested = quantize_4bit(weight), quantize_4bit(weight, nested=True)
    assert nested.scales.dtype == torch.uint8 and plain.scales.dtype == torch.float32
    errors = [(packed.dequantize() - weight).norm() / weight.norm() for packed in (plain, nested)]
    assert errors[0] < 0.1 and errors[1] < errors[0] * 1.02


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("nested", [False, True])
def test_a_layer_computes_with_what_its_weight_stands_for(dtype: torch.dtype, nested: bool) -> None:
    torch.manual_seed(0)
    plain = nn.Linear(96, 40).to(dtype)
    layer = Linear4bit(plain, nested=nested)
    x = torch.randn(2, 3, 96, dtype=dtype, requires_grad=True)
    expected = nn.functional.linear(x, layer.dequantize(), plain.bias)
    out = layer(x)
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(torch.autograd.grad(out.sum(), x)[0], torch.autograd.grad(expected.sum(), x)[0])
    held = sum(buffer.numel() * buffer.element_size() for buffer in layer.buffers())
    assert held * 8 / plain.weight.numel() < (4.3 if nested else 4.6)


def test_types_of_what_computes_leave_scales_exact_and_copies_are_alike() -> None:
    layer = Linear4bit(nn.Linear(64, 8), nested=True)
    before = layer.dequantize()
    assert torch.equal(layer.half().dequantize(), before)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(other.dequantize(), before)
    other = Linear4bit(nn.Linear(64, 8), nested=True)
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other.dequantize(), before)


def test_shared_and_named_layers_stay() -> None:
    model = nn.ModuleDict({"a": nn.Linear(8, 8), "b": nn.Linear(8, 8), "c": nn.Linear(8, 8), "d": nn.Linear(8, 8)})
    model["d"].weight = model["c"].weight
    assert to_4bit(model, skip=["b"]) == 1
    assert type(model["a"]) is Linear4bit and type(model["b"]) is nn.Linear


def test_another_type_is_refused() -> None:
    with pytest.raises(EnfoldError, match="did you mean 'nf4'"):
        quantize_4bit(torch.ones(2), "nf")
