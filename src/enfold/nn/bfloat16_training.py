"""Linear layers in bfloat16 while they are trained under autocast, on processors with AMX or with AVX2 alone.

With AMX the three products of a layer (its result, and the gradients of its input and of its weight) are our core's,
which reads all of them where they lie. With AVX2 its result is, and the gradients are products in single precision of
numbers that are widened: with torch's own products in bfloat16 a layer takes twelve times as long there. The weight's
gradient comes out of the sums in single precision: it is neither rounded to bfloat16 nor cast back.

Shapes: … any leading axes, R rows in all, I inputs, O outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as hooks

from enfold import _native
from enfold.nn import bfloat16, float32

__all__ = ["fits", "linear"]

# Rows from which on ours is ahead of oneDNN, forward and backward together.
LEAST = 32
# Outputs from which on oneDNN is ahead with the gradient of the input.
DEEP = 2048


def fits(layer: nn.Module, x: Tensor) -> bool:
    """Return whether a layer is called for its gradient, under autocast to bfloat16, and `linear` is faster.

    Args:
        layer: a ``torch.nn.Linear``.
        x: (…, I).
    """
    if not (torch.is_autocast_enabled("cpu") and torch.is_grad_enabled()) or torch.compiler.is_compiling():
        return False
    weight: Any = layer.__dict__["_parameters"].get("weight")
    return bool(
        type(x) is Tensor
        and type(weight) is nn.Parameter
        and x.is_cpu
        and weight.is_cpu
        and torch.get_autocast_dtype("cpu") is torch.bfloat16
        and {x.dtype, weight.dtype} <= {torch.float32, torch.bfloat16}
        and weight.is_contiguous()
        and weight.shape[0] % bfloat16.PANEL == 0
        and weight.shape[1] % bfloat16.PANEL == 0
        and x.shape[-1] == weight.shape[1]
        and x.numel() >= LEAST * weight.shape[1]
        and (_native.has_amx() or _native.has_float32())
        and torch.backends.mkldnn.enabled
        and "forward" not in layer.__dict__
        and not (layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks or layer._backward_pre_hooks)
        and not (hooks._global_forward_hooks or hooks._global_forward_pre_hooks)
        and not (hooks._global_backward_hooks or hooks._global_backward_pre_hooks)
        and not torch.jit.is_tracing()
        and torch._C._len_torch_dispatch_stack() == 0
        and torch._C._len_torch_function_stack() == 0
        and torch._C._functorch.peek_interpreter_stack() is None
        and torch.autograd.forward_ad._current_level < 0
    )


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return ``x @ weight.T + bias`` in bfloat16, with gradients; the arguments must be such that `fits` says so.

    Args:
        x: (…, I), float32 or bfloat16.
        weight: (O, I), float32 or bfloat16.
        bias: (O), or none.

    Returns:
        (…, O), bfloat16.
    """
    made: Tensor = _Linear.apply(x, weight, bias)
    return made


class _Linear(torch.autograd.Function):
    """The product and its gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        rows, narrow = x.to(torch.bfloat16).contiguous(), weight.detach().to(torch.bfloat16)
        ctx.save_for_backward(x, weight, rows, narrow)  # the first two for gradients of gradients
        ctx.bias = None if bias is None else bias.dtype
        product = bfloat16.product if _native.has_amx() else float32.product
        return product(rows, narrow, bias if bias is None else bias.detach())

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        x, weight, rows, narrow = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        if torch.is_grad_enabled() or type(grad) is not Tensor:
            return _explicit(grad.float(), x, weight, wanted, ctx.bias)
        grad = grad.contiguous()
        for_x = for_weight = for_bias = None
        if wanted[0]:
            for_x = _of_input(grad, narrow).to(x.dtype)
        if wanted[1]:
            made, sums = _of_weight(grad, rows, wanted[2])
            for_weight, for_bias = made.to(weight.dtype), sums
        elif wanted[2]:
            for_bias = grad.flatten(0, -2).sum(0, dtype=torch.float32)
        return for_x, for_weight, None if for_bias is None else for_bias.to(ctx.bias)


def _of_input(grad: Tensor, weight: Tensor) -> Tensor:
    """Return the gradient of the input, (…, I), for (…, O) and (O, I)."""
    if not _native.has_amx():
        return grad.float() @ weight.float()
    return grad @ weight if len(weight) > DEEP else bfloat16.product(grad, weight, None, input_first=True)


def _of_weight(grad: Tensor, x: Tensor, sums: bool) -> tuple[Tensor, Tensor | None]:
    """Return the gradients of weight (O, I) and, when asked for, bias (O), in float32, for (…, O) and (…, I)."""
    outputs, inputs = grad.shape[-1], x.shape[-1]
    if not _native.has_amx():
        wide = grad.flatten(0, -2).float()
        return wide.t() @ x.flatten(0, -2).float(), wide.sum(0) if sums else None
    made = torch.empty(outputs, inputs)
    bias = torch.empty(outputs) if sums else None
    _native.bfloat16_transposed(
        grad.data_ptr(), x.data_ptr(), x.numel() // inputs, outputs, inputs, made.data_ptr(),
        0 if bias is None else bias.data_ptr(), torch.get_num_threads(),
    )  # fmt: skip
    return made, bias


def _explicit(
    grad: Tensor, x: Tensor, weight: Tensor, wanted: Sequence[bool], bias: torch.dtype | None
) -> tuple[Tensor | None, ...]:
    """Return the gradients by torch's own products, which have gradients again."""
    with torch.autocast("cpu", enabled=False):
        rows = grad.flatten(0, -2)
        return (
            (grad @ weight.float()).to(x.dtype) if wanted[0] else None,
            (rows.t() @ x.flatten(0, -2).float()).to(weight.dtype) if wanted[1] else None,
            rows.sum(0).to(bias) if wanted[2] else None,
        )
