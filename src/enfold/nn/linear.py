"""A linear layer and what follows it: one function, which chooses how a processor computes them.

Where no gradient is wanted, products of few rows, of many on processors with AVX2, and in bfloat16 of any number on
those with AMX, go to our own core (`enfold.nn.rows`, `enfold.nn.float32`, `enfold.nn.bfloat16`). On processors with
AVX-512 those of more rows with a large weight go to oneDNN, and so do those in bfloat16 without AMX. Both add the
bias and apply the activation while the result is in registers; elsewhere activations and sums overwrite what they are
given. Weights are used where they lie: nothing is kept beside them, so a changed weight counts from the next call on,
and memory stays what it was.

Under autocast to bfloat16, layers that are trained go to our core too, on processors with AMX or with AVX2 alone
(`enfold.nn.bfloat16_training`).

``torch.backends.mkldnn.flags(enabled=False)`` leaves everything to torch.

Shapes: … any leading axes, I inputs, O outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.modules import module as hooks

from enfold.nn import bfloat16, bfloat16_training, float32, rows
from enfold.nn.activations import AFTER, tanh_gelu
from enfold.nn.conv import Conv1D
from enfold.nn.int8 import Int8Linear

__all__ = ["has_bfloat16", "is_plain_call", "is_plain_inference", "project"]

Function = Callable[[Tensor], Tensor]

# Activation → its name and variant in oneDNN.
FUSED: dict[Any, tuple[str, str]] = {
    F.gelu: ("gelu", "none"),
    tanh_gelu: ("gelu", "tanh"),
    F.relu: ("relu", ""),
    torch.relu: ("relu", ""),
    F.silu: ("swish", ""),
    torch.tanh: ("tanh", ""),
}
# Activation → the same, in the place of its argument.
IN_PLACE: dict[Any, Function] = {
    F.gelu: torch.ops.aten.gelu_,
    tanh_gelu: partial(torch.ops.aten.gelu_, approximate="tanh"),
    F.relu: torch.relu_,
    torch.relu: torch.relu_,
    F.silu: partial(F.silu, inplace=True),
    torch.tanh: torch.tanh_,
}

# The layers that are computed here → the axis of their inputs.
STORED: dict[type[nn.Module], int] = {nn.Linear: 1, Conv1D: 0, Int8Linear: 1}

# In single precision oneDNN is ahead of torch's own library (MKL) with these rows, for weights of at least this size:
# by 1.05 at 128 rows and up to 2 at 8; behind it with fewer or more rows, or where a weight stays in the cache.
ROWS, LARGE = range(4, 257), 2**21


def project(layer: nn.Module, x: Tensor, then: Function | None = None, onto: Tensor | None = None) -> Tensor:
    """Return ``then(layer(x)) + onto``.

    Args:
        layer: a linear layer, or anything that stands in the place of one (an adapter, a layer in eight bits): what is
            not a plain linear layer, or has hooks, is called as it is.
        x: (…, I).
        then: the activation; none by default.
        onto: (…, O), what the result is added to; nothing by default.

    Returns:
        (…, O).

    Example:
        >>> layer, x = nn.Linear(4, 6), torch.randn(2, 4)
        >>> bool(torch.allclose(project(layer, x, F.gelu), F.gelu(layer(x))))
        True
    """
    kind = type(layer)
    if kind not in STORED or not _ours(layer, x, STORED[kind]):
        ours = kind is nn.Linear and bfloat16_training.fits(layer, x)
        out = bfloat16_training.linear(x, layer.weight, layer.bias) if ours else layer(x)  # type: ignore[arg-type]
        out = out if then is None else then(out)
        return out if onto is None else out + onto
    weight: Any = layer.weight if kind is not Int8Linear else None
    bias: Any = layer.bias
    name, variant = FUSED.get(then, ("none", ""))
    fused = name != "none"
    if weight is None:
        fused = then in AFTER
        out = layer.apply_with(x, AFTER.get(then, "none"))  # type: ignore[operator]
    elif bfloat16.fits(x, weight, kind is Conv1D):
        out = bfloat16.product(x, weight, bias, AFTER.get(then, "none"), kind is Conv1D)
    elif kind is Conv1D:
        out, fused = F.linear(x, weight.t(), bias), False
    elif (few := rows.has_few(x, weight)) or float32.fits(x, weight):
        fused = then is None or (not few and then in AFTER)
        fits = fused and onto is not None and onto.is_cpu and onto.dtype is x.dtype
        fits = fits and onto.shape == (*x.shape[:-1], len(weight))  # type: ignore[union-attr]
        added = onto if fits else None
        if few:
            out = rows.product(x, weight, bias, added)
        else:
            out = float32.product(x, weight, bias, AFTER[then] if fused and then else "none", added)
        if fits:
            return out
    elif _is_for_onednn(x, weight):
        out = torch.ops.mkldnn._linear_pointwise(x, weight, bias, name, [], variant)
    else:
        out, fused = F.linear(x, weight, bias), False
    if then is not None and not fused:
        out = IN_PLACE.get(then, then)(out)
    if onto is None:
        return out
    return out.add_(onto) if out.shape == onto.shape and out.dtype == onto.dtype else out + onto


def _ours(layer: nn.Module, x: Tensor, axis: int) -> bool:
    """Return whether a call is plain inference, of an input that the layer takes along this axis of its weight."""
    weight = layer.__dict__["_parameters"].get("weight", x)
    return (
        "forward" not in layer.__dict__
        and is_plain_inference(layer, x)
        and (weight is x or x.shape[-1] == weight.shape[axis])  # the error about it is torch's
    )


def is_plain_inference(layer: nn.Module, x: Tensor) -> bool:
    """Return whether a call is inference on a processor, which nothing watches, transforms or records.

    Args:
        layer: with a weight, or none.
        x: its input.
    """
    weight = layer.__dict__["_parameters"].get("weight", x)
    return bool(
        is_plain_call(x)
        and type(weight) in (nn.Parameter, Tensor)
        and weight.is_cpu
        and weight.is_contiguous()
        and not (layer._forward_hooks or layer._forward_pre_hooks)
        and not (hooks._global_forward_hooks or hooks._global_forward_pre_hooks)
    )


def is_plain_call(x: Tensor) -> bool:
    """Return whether a function of ``x`` is called on a processor, where no gradient is wanted and nothing watches."""
    if torch.compiler.is_compiling() or torch.is_grad_enabled() or torch.jit.is_tracing():
        return False
    return bool(
        type(x) is Tensor
        and x.is_cpu
        and x.numel() > 0
        and not torch.is_autocast_enabled("cpu")
        and torch.backends.mkldnn.enabled
        and torch._C._len_torch_dispatch_stack() == 0
        and torch._C._len_torch_function_stack() == 0
        and torch._C._functorch.peek_interpreter_stack() is None
        and forward_ad._current_level < 0
    )


def _is_for_onednn(x: Tensor, weight: Tensor) -> bool:
    """Return whether oneDNN is the faster one for this product."""
    if x.dtype is not weight.dtype:
        return False
    if x.dtype is torch.float32:
        return weight.numel() >= LARGE and x.numel() // x.shape[-1] in ROWS and _has_wide_vectors()
    return x.dtype is torch.bfloat16 and has_bfloat16()


@cache
def _has_wide_vectors() -> bool:
    """Return whether the processor has the 512 bits with which the two were compared."""
    return torch.backends.mkldnn.is_available() and torch.backends.cpu.get_cpu_capability() == "AVX512"


@cache
def has_bfloat16() -> bool:
    """Return whether this torch and this processor have oneDNN's products in bfloat16."""
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
