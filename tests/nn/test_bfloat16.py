"""Products in bfloat16 by our own core."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold import _native
from enfold.nn import bfloat16
from enfold.nn.activations import tanh_gelu
from enfold.nn.linear import project

pytestmark = pytest.mark.skipif(not _native.has_amx(), reason="this processor has no AMX")

ACTIVATIONS: dict[str, Any] = {
    "none": lambda x: x,
    "relu": F.relu,
    "gelu": F.gelu,
    "tanh_gelu": tanh_gelu,
    "silu": F.silu,
    "tanh": torch.tanh,
}


def drawn(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    return (torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * scale).to(torch.bfloat16)


def near(found: Tensor, exact: Tensor) -> bool:
    """Return whether a result is the exact one, rounded to bfloat16 (8 bits), sums in single precision."""
    return bool(((found.double() - exact).abs() <= exact.abs() * 2**-8 + 1e-5).all())


@pytest.mark.parametrize("rows", [1, 2, 15, 16, 17, 32, 33, 64, 65, 100, 128])
@pytest.mark.parametrize(("inputs", "outputs"), [(32, 32), (64, 33), (96, 63), (320, 45), (768, 96), (1056, 1000)])
def test_products_are_those_of_exact_sums(rows: int, inputs: int, outputs: int) -> None:
    x, weight = drawn(rows, inputs), drawn(outputs, inputs, seed=1, scale=0.1)
    bias = drawn(outputs, seed=2)
    exact = x.double() @ weight.double().T
    assert near(bfloat16.product(x, weight, None), exact)
    assert near(bfloat16.product(x, weight, bias), exact + bias.double())


@pytest.mark.parametrize("rows", [1, 2, 15, 16, 17, 32, 33, 63, 80])
@pytest.mark.parametrize(("inputs", "outputs"), [(32, 32), (64, 96), (320, 160), (768, 2304)])
def test_products_with_weights_stored_input_first(rows: int, inputs: int, outputs: int) -> None:
    x, weight = drawn(rows, inputs), drawn(inputs, outputs, seed=1, scale=0.1)
    bias = drawn(outputs, seed=2)
    exact = x.double() @ weight.double()
    assert bfloat16.fits(x, weight, True)
    assert near(bfloat16.product(x, weight, None, "none", True), exact)
    assert near(bfloat16.product(x, weight, bias, "silu", True), F.silu(exact + bias.double()))


@pytest.mark.parametrize("then", ACTIVATIONS)
@pytest.mark.parametrize("rows", [1, 40, 72])
def test_activations_are_added_on_the_way(then: str, rows: int) -> None:
    x, weight, bias = drawn(rows, 64, scale=3), drawn(128, 64, seed=1), drawn(128, seed=2)
    exact = ACTIVATIONS[then](x.double() @ weight.double().T + bias.double())
    assert near(bfloat16.product(x, weight, bias, then), exact)


@pytest.mark.parametrize("then", ["gelu", "tanh_gelu", "silu", "tanh"])
def test_activations_far_from_zero(then: str) -> None:
    weight = torch.eye(32, dtype=torch.bfloat16)
    x = torch.tensor([0.0, -0.0, 1e-30, 5.0, -5.0, 80.0, -80.0, 1e4, -1e4, 3e38, -3e38] + [0.0] * 21).to(torch.bfloat16)
    for rows in (x, x.expand(65, 32)):
        assert near(bfloat16.product(rows, weight, None, then), ACTIVATIONS[then](rows.double()))


@pytest.mark.parametrize("then", ACTIVATIONS)
def test_what_is_not_a_number_stays_so(then: str) -> None:
    weight = torch.eye(32, dtype=torch.bfloat16)
    for rows in (2, 70):
        x = torch.zeros(rows, 32, dtype=torch.bfloat16)
        x[0, 3] = float("nan")
        made = bfloat16.product(x, weight, None, then)
        assert made[0].isnan().all() and not made[1:].isnan().any()


def test_views_and_leading_axes() -> None:
    x, weight = drawn(3, 64, 5).transpose(1, 2), drawn(40, 64, seed=1)
    assert bfloat16.product(x, weight, None).shape == (3, 5, 40)
    assert near(bfloat16.product(x, weight, None), x.double() @ weight.double().T)
    assert near(bfloat16.product(x[1, 2], weight, None), x[1, 2].double() @ weight.double().T)


@pytest.mark.parametrize("rows", [40, 130])
def test_threads_share_the_outputs(rows: int) -> None:
    x, weight = drawn(rows, 96), drawn(1000, 96, seed=1)
    threads = torch.get_num_threads()
    alone = bfloat16.product(x, weight, None)
    few, turned = x[: min(rows, 9)] if rows < 64 else x, weight[:960].t().contiguous()
    other = bfloat16.product(few, turned, None, input_first=True)
    try:
        torch.set_num_threads(3)
        assert torch.equal(bfloat16.product(x, weight, None), alone)
        assert torch.equal(bfloat16.product(few, turned, None, input_first=True), other)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize(("inputs", "outputs"), [(32, 32), (96, 45), (3072, 200), (768, 2304)])
def test_weights_larger_than_the_cache_holds(inputs: int, outputs: int) -> None:
    x, weight, bias = drawn(150, inputs), drawn(outputs, inputs, seed=1, scale=0.05), drawn(outputs, seed=2)
    exact = F.relu(x.double() @ weight.double().T + bias.double())
    assert near(bfloat16.product(x, weight, bias, "relu"), exact)
    assert near(bfloat16.product(x, weight.t().contiguous(), bias, "relu", True), exact)


@pytest.mark.parametrize("rows", [1, 31, 32, 33, 100])
@pytest.mark.parametrize(("left", "right"), [(32, 32), (96, 64), (64, 800)])
def test_products_of_columns_and_their_sums(rows: int, left: int, right: int) -> None:
    a, b = drawn(rows, left), drawn(rows, right, seed=1)
    for threads in (1, 2):
        made, sums = torch.empty(left, right), torch.empty(left)
        given = (a.data_ptr(), b.data_ptr(), rows, left, right, made.data_ptr())
        _native.bfloat16_transposed(*given, sums.data_ptr(), threads)
        torch.testing.assert_close(made.double(), a.double().T @ b.double(), atol=1e-4, rtol=1e-5)
        torch.testing.assert_close(sums.double(), a.double().sum(0), atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize(
    ("rows", "inputs", "outputs", "x", "weight", "fits"),
    [
        (1, 32, 32, "bfloat16", "bfloat16", True),
        (128, 32, 32, "bfloat16", "bfloat16", True),
        (129, 32, 32, "bfloat16", "bfloat16", True),
        (0, 32, 32, "bfloat16", "bfloat16", False),
        (1, 33, 32, "bfloat16", "bfloat16", False),
        (1, 32, 31, "bfloat16", "bfloat16", False),
        (1, 32, 32, "float32", "bfloat16", False),
        (1, 32, 32, "bfloat16", "float32", False),
    ],
)
def test_what_fits(rows: int, inputs: int, outputs: int, x: str, weight: str, fits: bool) -> None:
    made = (
        torch.zeros(rows, inputs, dtype=getattr(torch, x)),
        torch.zeros(outputs, inputs, dtype=getattr(torch, weight)),
    )
    assert bfloat16.fits(*made) is fits


def test_the_core_refuses_other_sizes() -> None:
    with pytest.raises(ValueError, match="no size that tiles fit"):
        _native.bfloat16_linear(0, 1, 0, 0, 33, 32, False, "none", 0, 1)
    with pytest.raises(ValueError, match="no size that tiles fit"):
        _native.bfloat16_linear(0, 32, 0, 0, 32, 33, True, "none", 0, 1)
    with pytest.raises(ValueError, match="no size that tiles fit"):
        _native.bfloat16_transposed(0, 0, 1, 32, 33, 0, 0, 1)
    with pytest.raises(ValueError, match="no such activation"):
        _native.bfloat16_linear(0, 1, 0, 0, 32, 32, False, "sine", 0, 1)


@torch.no_grad()
def test_a_layer_comes_here(monkeypatch: pytest.MonkeyPatch) -> None:
    called = []
    product = bfloat16.product
    monkeypatch.setattr(bfloat16, "product", lambda *given: called.append(given) or product(*given))
    layer, onto = nn.Linear(64, 48).to(torch.bfloat16), drawn(2, 48, seed=3)
    for then, name in ((F.gelu, "gelu"), (None, "none"), (torch.sin, "none")):
        expected = layer(drawn(2, 64)) if then is None else then(layer(drawn(2, 64)))
        found = project(layer, drawn(2, 64), then, onto)
        torch.testing.assert_close(found, expected + onto, atol=0.02, rtol=0.02)
        assert called.pop()[3] == name
    project(layer, drawn(200, 64))
    assert called
