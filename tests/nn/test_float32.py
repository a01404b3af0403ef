"""Products of many rows in single precision by our own core."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold import _native
from enfold.nn import float32
from enfold.nn.activations import tanh_gelu
from enfold.nn.linear import project

here = pytest.mark.skipif(not _native.has_float32(), reason="this processor has no AVX2, or wider vectors")

ACTIVATIONS: dict[str, Any] = {
    "none": lambda x: x,
    "relu": F.relu,
    "gelu": F.gelu,
    "tanh_gelu": tanh_gelu,
    "silu": F.silu,
    "tanh": torch.tanh,
}


def drawn(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * scale


def near(found: Tensor, exact: Tensor) -> bool:
    return bool(torch.allclose(found.double(), exact, rtol=1e-5, atol=2e-5))


@here
@pytest.mark.parametrize("rows", [1, 7, 8, 9, 15, 16, 17, 127, 128, 129, 145, 300])
@pytest.mark.parametrize(
    ("inputs", "outputs"), [(1, 1), (7, 5), (8, 24), (33, 47), (64, 6), (768, 96), (770, 30), (2000, 25)]
)
def test_products_are_those_of_exact_sums(rows: int, inputs: int, outputs: int) -> None:
    x, weight = drawn(rows, inputs), drawn(outputs, inputs, seed=1, scale=0.1)
    bias, onto = drawn(outputs, seed=2), drawn(rows, outputs, seed=3)
    exact = x.double() @ weight.double().T
    assert near(float32.product(x, weight, None), exact)
    assert near(float32.product(x, weight, bias), exact + bias.double())
    assert near(float32.product(x, weight, bias, "relu", onto), F.relu(exact + bias.double()) + onto.double())


@here
@pytest.mark.parametrize("then", ACTIVATIONS)
@pytest.mark.parametrize("rows", [3, 40])
def test_activations_are_added_on_the_way(then: str, rows: int) -> None:
    x, weight, bias = drawn(rows, 64, scale=3), drawn(50, 64, seed=1), drawn(50, seed=2)
    exact = ACTIVATIONS[then](x.double() @ weight.double().T + bias.double())
    assert near(float32.product(x, weight, bias, then), exact)


@here
@pytest.mark.parametrize("then", ["gelu", "tanh_gelu", "silu", "tanh"])
def test_activations_far_from_zero(then: str) -> None:
    x = torch.tensor([0.0, -0.0, 1e-30, 5.0, -5.0, 80.0, -80.0, 1e4, -1e4, 3e37, -3e37] + [0.0] * 21)
    assert near(
        float32.product(x.expand(20, 32), torch.eye(32), None, then), ACTIVATIONS[then](x.double()).expand(20, 32)
    )


@here
@pytest.mark.parametrize("then", ACTIVATIONS)
def test_what_is_not_a_number_stays_so(then: str) -> None:
    x = torch.zeros(20, 32)
    x[17, 3] = float("nan")
    made = float32.product(x, torch.eye(32), None, then)
    assert made[17].isnan().all() and not made[:17].isnan().any() and not made[18:].isnan().any()


@here
def test_a_row_is_the_same_whatever_else_is_multiplied() -> None:
    x, weight, bias = drawn(300, 1700), drawn(100, 1700, seed=1), drawn(100, seed=2)
    together = float32.product(x, weight, bias, "gelu")
    for first, last in ((0, 1), (100, 117), (5, 240)):
        assert torch.equal(float32.product(x[first:last], weight, bias, "gelu"), together[first:last])


@here
@pytest.mark.parametrize("rows", [40, 128, 400, 1500])
def test_threads_share_rows_or_outputs(rows: int) -> None:
    x, weight, onto = drawn(rows, 96), drawn(1001, 96, seed=1), drawn(rows, 1001, seed=2)
    threads = torch.get_num_threads()
    alone = float32.product(x, weight, None, "tanh", onto)
    try:
        torch.set_num_threads(3)
        assert torch.equal(float32.product(x, weight, None, "tanh", onto), alone)
    finally:
        torch.set_num_threads(threads)


@here
def test_views_leading_axes_and_short_biases() -> None:
    x, weight, onto = drawn(3, 64, 5).transpose(1, 2), drawn(40, 64, seed=1), drawn(3, 40, 5, seed=2).transpose(1, 2)
    exact = x.double() @ weight.double().T
    assert near(float32.product(x, weight, torch.ones(1), "none", onto), exact + 1 + onto.double())
    assert near(float32.product(x[1, 2], weight, None), x[1, 2].double() @ weight.double().T)


@here
def test_layers_use_them_only_for_plain_inference() -> None:
    layer, x = nn.Linear(256, 264), drawn(30, 256)
    onto, seen = drawn(30, 264, seed=1), []
    with torch.no_grad():
        expected = float32.product(x, layer.weight, layer.bias, "gelu", onto)
        assert torch.equal(project(layer, x, F.gelu, onto), expected)
        layer.weight.data[3] *= 2  # nothing of the old weight is kept
        assert not torch.equal(project(layer, x, F.gelu, onto)[:, 3], expected[:, 3])
        assert near(project(layer, x, F.gelu, onto), (F.gelu(layer(x)) + onto).double())
        assert near(project(layer, x, torch.sin, onto), (torch.sin(layer(x)) + onto).double())
        assert near(project(layer, x, None, onto[0]), (layer(x) + onto[0]).double())
        with torch.backends.mkldnn.flags(enabled=False):
            assert torch.equal(project(layer, x, F.gelu), F.gelu(layer(x)))
        handle = layer.register_forward_hook(lambda *_: seen.append(1))
        project(layer, x)
        handle.remove()
    assert seen == [1]
    assert torch.equal(project(layer, x), layer(x)) and project(layer, x).requires_grad
    assert not float32.fits(x.double(), layer.weight.double())
    assert not float32.fits(x[:4], layer.weight) and not float32.fits(x, layer.weight[:200])


@pytest.mark.parametrize(("simd", "has"), [("portable", False), ("avx2", True)])
def test_the_environment_says_whether_they_are_used(simd: str, has: bool) -> None:
    program = "from enfold import _native; print(_native.has_float32())"
    environment = {**os.environ, "ENFOLD_SIMD": simd}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(has and _native.has_rows())
