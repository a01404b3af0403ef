"""Linear layers that are trained in bfloat16 by our own core."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from enfold import _native
from enfold.nn import bfloat16_training
from enfold.nn.linear import project

pytestmark = pytest.mark.skipif(
    not (_native.has_amx() or _native.has_float32()), reason="this processor has no AMX, and not AVX2 alone"
)


def layer_and_input(rows: int, inputs: int = 64, outputs: int = 96, bias: bool = True) -> tuple[nn.Linear, Tensor]:
    torch.manual_seed(0)
    return nn.Linear(inputs, outputs, bias), torch.randn(rows // 2, 2, inputs)


def gradients(layer: nn.Linear, x: Tensor, ours: bool) -> list[Tensor]:
    """Return the result and the gradients of input, weight and bias, by ours or in double precision."""
    layer.zero_grad()
    x = x.detach().requires_grad_()
    if ours:
        with torch.autocast("cpu", torch.bfloat16):
            assert bfloat16_training.fits(layer, x)
            made = project(layer, x)
            assert made.dtype is torch.bfloat16
    else:
        bias = None if layer.bias is None else layer.bias.double()
        made = nn.functional.linear(x.bfloat16().double(), layer.weight.bfloat16().double(), bias)
    made.float().square().sum().backward()
    found = (made, x.grad, layer.weight.grad, None if layer.bias is None else layer.bias.grad)
    return [each for each in found if each is not None]


@pytest.mark.parametrize(
    ("rows", "outputs", "bias"), [(32, 96, True), (34, 32, False), (130, 96, True), (40, 2080, True)]
)
def test_gradients_are_those_of_exact_products(rows: int, outputs: int, bias: bool) -> None:
    layer, x = layer_and_input(rows, outputs=outputs, bias=bias)
    ours, exact = ([each.detach().double() for each in gradients(layer, x, which)] for which in (True, False))
    assert len(ours) == len(exact) == 3 + bias
    for mine, other in zip(ours, exact, strict=True):
        assert (mine - other).abs().max() <= 2**-7 * other.abs().max()


@pytest.mark.parametrize("frozen", ["weight", "bias", "input"])
def test_what_is_frozen_has_no_gradient(frozen: str) -> None:
    layer, x = layer_and_input(40)
    x.requires_grad_(frozen != "input")
    layer.weight.requires_grad_(frozen != "weight")
    assert layer.bias is not None
    layer.bias.requires_grad_(frozen != "bias")
    with torch.autocast("cpu", torch.bfloat16):
        project(layer, x).float().sum().backward()
    found = {"input": x.grad, "weight": layer.weight.grad, "bias": layer.bias.grad}
    assert [name for name, grad in found.items() if grad is None] == [frozen]
    assert all(bool(grad.isfinite().all()) for grad in found.values() if grad is not None)


def test_gradients_have_gradients() -> None:
    layer, x = layer_and_input(32)
    x.requires_grad_()

    def penalty() -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            (grad,) = torch.autograd.grad(project(layer, x).float().square().sum(), x, create_graph=True)
        return grad.square().sum()

    (ours,) = torch.autograd.grad(penalty(), layer.weight)
    with torch.backends.mkldnn.flags(enabled=False):
        assert not bfloat16_training.fits(layer, x)
        (theirs,) = torch.autograd.grad(penalty(), layer.weight)
    assert (ours - theirs).abs().max() <= 0.05 * theirs.abs().max()


def test_others_stay_with_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = layer_and_input(40)
    assert not bfloat16_training.fits(layer, x)  # no autocast
    with torch.autocast("cpu", torch.bfloat16):
        assert bfloat16_training.fits(layer, x)
        assert not bfloat16_training.fits(layer, x[:2])
        assert not bfloat16_training.fits(layer, x.double())
        assert not bfloat16_training.fits(nn.Linear(64, 33), x)
        with torch.no_grad():
            assert not bfloat16_training.fits(layer, x)
        handle = layer.register_full_backward_hook(lambda *given: None)
        assert not bfloat16_training.fits(layer, x)
        handle.remove()
        for has in ("has_amx", "has_float32"):
            monkeypatch.setattr(_native, has, lambda: False)
        assert not bfloat16_training.fits(layer, x)
    with torch.autocast("cpu", torch.float16):
        assert not bfloat16_training.fits(layer, x)
