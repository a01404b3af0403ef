"""Linear layers in eight bits for processors: weights per output, inputs per call.

Shapes: … any leading axes, I inputs, O outputs.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from enfold.errors import EnfoldError

__all__ = ["Int8Linear", "replaceable", "to_int8"]


class Packed:
    """A weight in the order in which oneDNN reads it; it never changes, so that copies share it.

    Args:
        rounded: (O, I), int8.
    """

    def __init__(self, rounded: Tensor) -> None:
        self.rounded = torch.ops.onednn.qlinear_prepack(rounded, None)
        with warnings.catch_warnings():  # torch would rename this function's type, and says so once
            warnings.simplefilter("ignore")
            torch.quantize_per_tensor_dynamic(torch.zeros(1), torch.quint8, False)

    def plain(self) -> Tensor:
        """Return the weight as it was given, (O, I)."""
        return self.rounded.to_dense().t()

    def __deepcopy__(self, memo: dict[int, Any]) -> Packed:
        return self

    def __reduce__(self) -> tuple[type[Packed], tuple[Tensor]]:
        return Packed, (self.plain().contiguous(),)


class Int8Linear(nn.Module):
    """A linear layer whose products are of integers: about 5 times as fast as in single precision on VNNI or AMX.

    A weight w becomes round(w / s) with one s = max|w| / 127 for each output; an input is rounded to 256 steps between
    the least and the greatest of a call's values ("dynamic" quantisation). The sums are exact; the result is in the
    input's type. Gradients pass to the input as through the rounded weight, so that adapters train on top.

    Args:
        linear: the layer, on the CPU.

    Raises:
        EnfoldError: the layer is on another device, or this torch has no kernel for it.

    Source: Jacob et al., 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
    Inference"; the kernels are oneDNN's.

    Example:
        >>> layer = nn.Linear(64, 32)
        >>> x = torch.randn(8, 64)
        >>> bool((Int8Linear(layer)(x) - layer(x)).norm() < 0.03 * layer(x).norm())
        True
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        weight = linear.weight.detach().float()
        if weight.device.type != "cpu":
            raise EnfoldError(f"int8 layers run on processors, and this one is on {weight.device}")
        # Plain attributes: neither ``to`` nor a state dictionary changes or holds what belongs to the packed weight.
        self.steps = weight.abs().amax(1).clamp(min=torch.finfo(torch.float32).tiny) / 127
        self.zeros = torch.zeros(self.out_features, dtype=torch.int32)
        self.bias = None if linear.bias is None else linear.bias.detach().float().clone()
        try:
            self.packed = Packed((weight / self.steps[:, None]).round_().to(torch.int8))
        except (RuntimeError, AttributeError) as error:
            raise EnfoldError(f"this torch has no int8 layers for this processor: {error}") from error

    def forward(self, x: Tensor) -> Tensor:
        """Return (…, O) for (…, I)."""
        if torch.is_grad_enabled() and x.requires_grad:
            return _Differentiable.apply(x, self)
        return self.apply_with(x)

    def apply_with(self, x: Tensor, name: str = "none", variant: str = "") -> Tensor:
        """Return (…, O) for (…, I), after an activation that oneDNN knows by name and variant."""
        if not x.numel():
            return x.new_empty(*x.shape[:-1], self.out_features)
        rounded = torch.quantize_per_tensor_dynamic(x.float().contiguous(), torch.quint8, False)
        # The same bytes as a tensor of plain integers, which the kernel wants.
        bytes_ = torch.empty(0, dtype=torch.uint8).set_(rounded.untyped_storage(), 0, rounded.shape, rounded.stride())
        narrow = x.dtype is torch.bfloat16
        out = torch.ops.onednn.qlinear_pointwise(
            bytes_,
            rounded.q_scale(),
            rounded.q_zero_point(),
            self.packed.rounded,
            self.steps,
            self.zeros,
            self.bias,
            1.0,
            0,
            torch.bfloat16 if narrow else torch.float32,
            name,
            [],
            variant,
        )
        return out if narrow else out.to(x.dtype)

    def dequantize(self) -> Tensor:
        """Return the weight (O, I) that the eight bits stand for."""
        return self.packed.plain() * self.steps[:, None]

    def requantize(self, weight: Tensor) -> None:
        """Store another weight (O, I)."""
        weight = weight.detach().float()
        self.steps = weight.abs().amax(1).clamp(min=torch.finfo(torch.float32).tiny) / 127
        self.packed = Packed((weight / self.steps[:, None]).round_().to(torch.int8))

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


def replaceable(model: nn.Module, skip: Iterable[str] = ()) -> list[tuple[str, nn.Linear]]:
    """Return name and layer of the linear layers that may have weights of fewer bits.

    Args:
        model: the model.
        skip: names, or parts of dotted names, of layers that stay as they are. A layer whose weight is shared with
            another part stays as well.
    """
    skipped: set[str] = set(skip)
    owners: dict[int, set[int]] = {}
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            owners.setdefault(id(parameter), set()).add(id(module))
    return [
        (name, layer)
        for name, layer in model.named_modules()
        if type(layer) is nn.Linear
        and name not in skipped
        and not skipped & set(name.split("."))
        and len(owners[id(layer.weight)]) == 1
    ]


def to_int8(model: nn.Module, skip: Iterable[str] = ()) -> int:
    """Put eight-bit layers in the place of a model's linear layers, and return how many there are.

    Args:
        model: changed in place; its layers' weights are freed.
        skip: names, or parts of dotted names, of layers that stay as they are. A layer whose weight is shared with
            another part stays as well.

    Example:
        >>> to_int8(nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2)), skip=["2"])
        1
    """
    found = replaceable(model, skip)
    for name, layer in found:
        parent, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(parent), leaf, Int8Linear(layer))
    return len(found)
