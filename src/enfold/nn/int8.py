"""Linear layers in eight bits for processors: weights per output, inputs per call.

Shapes: … any leading axes, I inputs, O outputs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import forward_ad

from enfold.errors import EnfoldError
from enfold.nn.activations import AFTER
from enfold.nn.conv import Conv1D

__all__ = ["Int8Linear", "Packed", "as_linear", "replaceable", "to_int8"]


class Packed:
    """A weight in the order in which the kernels read it; it never changes, so that copies share it.

    Args:
        rounded: (O, I), int8.
        steps: (O,), float32, what one of the rounded numbers stands for.
        kernel: one of ``enfold._native.int8_kernels()``; the best by default.
    """

    def __init__(self, rounded: Tensor, steps: Tensor, kernel: str = "") -> None:
        from enfold._native import Int8Weight

        self.shape, self.steps = tuple(rounded.shape), steps
        self.native: Any = Int8Weight(rounded.contiguous(), steps.contiguous(), kernel)

    def plain(self) -> Tensor:
        """Return the weight as it was given, (O, I)."""
        made = torch.from_numpy(numpy.empty(self.shape, numpy.int8))  # of numpy: no trace takes it for a blank
        self.native.unpack(made)
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> Packed:
        return self

    def __reduce__(self) -> tuple[type[Packed], tuple[Tensor, Tensor]]:
        return Packed, (self.plain(), self.steps)


class Int8Linear(nn.Module):
    """A linear layer whose products are of integers: a quarter of the memory to read, and faster products.

    A weight w becomes round(w / s) with one s = max|w| / 127 for each output; an input is rounded to 256 steps between
    the least and the greatest of each row ("dynamic" quantisation), so that a row's result depends on no other row. The
    sums are exact; the result is in the input's type. Gradients pass to the input as through the rounded weight, so
    that adapters train on top.

    Args:
        linear: the layer, on the CPU.

    Raises:
        EnfoldError: the layer is on another device, or has more than 66,000 inputs, whose sums need more than 32 bits.

    Source: Jacob et al., 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
    Inference"; the kernels are native/nn/int8_*.cpp.

    Example:
        >>> layer = nn.Linear(64, 32)
        >>> x = torch.randn(8, 64)
        >>> bool((Int8Linear(layer)(x) - layer(x)).norm() < 0.03 * layer(x).norm())
        True
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        if linear.weight.device.type != "cpu":
            raise EnfoldError(f"int8 layers run on processors, and this one is on {linear.weight.device}")
        # Plain attributes: neither ``to`` nor a state dictionary changes or holds what belongs to the packed weight.
        self.bias = None if linear.bias is None else linear.bias.detach().float().contiguous().clone()
        self.requantize(linear.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return (…, O) for (…, I)."""
        if torch.is_grad_enabled() and x.requires_grad:
            return _Differentiable.apply(x, self)
        return self.apply_with(x)

    def apply_with(self, x: Tensor, after: str = "none") -> Tensor:
        """Return (…, O) for (…, I), after an activation, one of the values of ``AFTER``."""
        if not _has_numbers(x):
            return _AFTER[after](self.explicit(x))
        if x.shape[-1:] != (self.in_features,):
            raise RuntimeError(
                f"shapes cannot be multiplied: {tuple(x.shape)} and ({self.in_features}, {self.out_features})"
            )
        if not x.is_cpu:
            raise EnfoldError(f"int8 layers run on processors, and their input is on {x.device}")
        narrow = x.dtype is torch.bfloat16
        given = (x if narrow else x.float()).contiguous()
        made = given.new_empty(*x.shape[:-1], self.out_features)
        rows = given.numel() // self.in_features
        if rows:
            bias = 0 if self.bias is None else self.bias.data_ptr()
            threads = torch.get_num_threads()
            self.packed.native.apply(given.data_ptr(), rows, narrow, bias, made.data_ptr(), after, threads)
        return made if made.dtype is x.dtype else made.to(x.dtype)

    def explicit(self, x: Tensor) -> Tensor:
        """Return (…, O) for (…, I) by operations of torch, which graphs and transforms can follow."""
        wide = x.float()
        low, high = wide.amin(-1, keepdim=True).clamp(max=0), wide.amax(-1, keepdim=True).clamp(min=0)
        step = (high / 255 - low / 255).clamp(min=torch.finfo(torch.float32).tiny)
        zero = (-low / step).round().clamp(0, 255)
        rounded = ((wide / step).round() + zero).clamp(0, 255) - zero
        return F.linear(rounded * step, self.dequantize(), self.bias).to(x.dtype)

    def dequantize(self) -> Tensor:
        """Return the weight (O, I) that the eight bits stand for."""
        return self.packed.plain() * self.packed.steps[:, None]

    def requantize(self, weight: Tensor) -> None:
        """Store another weight (O, I)."""
        weight = weight.detach().float()
        steps = weight.abs().amax(1).clamp(min=torch.finfo(torch.float32).tiny) / 127
        try:
            self.packed = Packed((weight / steps[:, None]).round_().to(torch.int8), steps)
        except ValueError as error:
            raise EnfoldError(f"a layer of {self.in_features} inputs cannot be in eight bits: {error}") from error

    def extra_repr(self) -> str:
        """Return the numbers of inputs and outputs."""
        return f"in_features={self.in_features}, out_features={self.out_features}"


class _Differentiable(torch.autograd.Function):
    """An eight-bit layer in a graph: its input's gradient is that of the product with the rounded weight."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: Int8Linear) -> Tensor:
        """Return (…, O) for (…, I)."""
        ctx.layer = layer
        return layer.apply_with(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Return (…, I) for (…, O)."""
        return gradients[0] @ ctx.layer.dequantize().to(gradients[0].dtype), None


# The same names → functions.
_AFTER: dict[str, Any] = {"none": lambda x: x, **{name: function for function, name in AFTER.items()}}


def _has_numbers(x: Tensor) -> bool:
    """Return whether a tensor's numbers lie in memory, and nothing has to see what becomes of them."""
    return bool(
        type(x) in (Tensor, nn.Parameter)
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
        and torch._C._len_torch_dispatch_stack() == 0
        and torch._C._functorch.peek_interpreter_stack() is None
        and forward_ad._current_level < 0
    )


def as_linear(layer: nn.Linear | Conv1D) -> nn.Linear:
    """Return a linear layer, itself or the one that stands for GPT-2's, whose weight is stored the other way round."""
    if isinstance(layer, nn.Linear):
        return layer
    with torch.device("meta"):
        made = nn.Linear(layer.nx, layer.nf)
    made.weight, made.bias = nn.Parameter(layer.weight.detach().t().contiguous()), layer.bias
    return made


def replaceable(
    model: nn.Module, skip: Iterable[str] = (), shared: Iterable[str] = ()
) -> list[tuple[str, nn.Linear | Conv1D]]:
    """Return name and layer of the linear layers that may have weights of fewer bits.

    Args:
        model: the model.
        skip: names, or parts of dotted names, of layers that stay as they are. A layer whose weight is shared with
            another part stays as well.
        shared: names of layers that are taken though their weight is shared.
    """
    skipped, taken = set(skip), set(shared)
    owners: dict[int, set[int]] = {}
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            owners.setdefault(id(parameter), set()).add(id(module))
    return [
        (name, layer)
        for name, layer in model.named_modules()
        if type(layer) in (nn.Linear, Conv1D)
        and name not in skipped
        and not skipped & set(name.split("."))
        and (len(owners[id(layer.weight)]) == 1 or name in taken)
    ]


def to_int8(model: nn.Module, skip: Iterable[str] = (), shared: Iterable[str] = ()) -> int:
    """Put eight-bit layers in the place of a model's linear layers, and return how many there are.

    Args:
        model: changed in place; its layers' weights are freed.
        skip: names, or parts of dotted names, of layers that stay as they are. A layer whose weight is shared with
            another part stays as well.
        shared: names of layers that are replaced though their weight is shared, which stays where it is.

    Example:
        >>> to_int8(nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2)), skip=["2"])
        1
    """
    found = replaceable(model, skip, shared)
    for name, layer in found:
        parent, _, leaf = name.rpartition(".")
        made = Int8Linear(as_linear(layer)).train(layer.training)
        setattr(model.get_submodule(parent), leaf, made)
    return len(found)
