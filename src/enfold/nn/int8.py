"""Linear layers in eight bits for processors: weights per output, inputs per call.

Shapes: … any leading axes, I inputs, O outputs.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from enfold.errors import EnfoldError
from enfold.nn.conv import Conv1D

__all__ = ["Int8Linear", "as_linear", "replaceable", "to_int8"]

FEW = 8 << 20  # rows times numbers of a weight up to which the kernels for few rows are ahead


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

        self.narrow: Any = None

    def plain(self) -> Tensor:
        """Return the weight as it was given, (O, I)."""
        return self.rounded.to_dense().t()

    def for_few_rows(self, steps: Tensor, bias: Tensor | None) -> Any:
        """Return the weight in the order of the kernels for few rows, made when the first of them comes.

        They round the input themselves: one row of a product of 576 x 576 takes 47 instead of 107 µs.
        """
        if self.narrow is None:
            zeros = torch.zeros(len(steps), dtype=torch.long)
            weight = torch._make_per_channel_quantized_tensor(self.plain().contiguous(), steps.double(), zeros, 0)
            engine = torch.backends.quantized.engine
            torch.backends.quantized.engine = "fbgemm"
            try:
                self.narrow = torch.ops.quantized.linear_prepack(weight, bias)
            finally:
                torch.backends.quantized.engine = engine
        return self.narrow

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

    def has_few_rows(self, x: Tensor) -> bool:
        """Say whether ``x`` has so few rows that kernels are ahead which take no activation along."""
        rows = x.numel() // self.in_features
        return (rows == 1 or rows * self.in_features * self.out_features <= FEW) and _has_few_rows()

    def apply_with(self, x: Tensor, name: str = "none", variant: str = "") -> Tensor:
        """Return (…, O) for (…, I), after an activation that oneDNN knows by name and variant."""
        if not x.numel():
            return x.new_empty(*x.shape[:-1], self.out_features)
        if name == "none" and self.has_few_rows(x):
            packed = self.packed.for_few_rows(self.steps, self.bias)
            return torch.ops.quantized.linear_dynamic(x.float(), packed, False).to(x.dtype)
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


@cache
def _has_few_rows() -> bool:
    """Return whether this torch and this processor have exact kernels for few rows."""
    return "fbgemm" in torch.backends.quantized.supported_engines and torch.cpu._is_vnni_supported()


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
        setattr(model.get_submodule(parent), leaf, Int8Linear(as_linear(layer)))
    return len(found)
