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


class Int8Linear(nn.Module):
    """A linear layer whose products are of integers: about 4 times as fast as in single precision on VNNI or AMX.

    A weight w becomes round(w / s) with one s = max|w| / 127 for each output; an input is rounded likewise, with one
    step for all of a call's values ("dynamic" quantisation). The sums are exact; the result is in the input's type.

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
        steps = weight.abs().amax(1).clamp(min=torch.finfo(torch.float32).tiny) / 127
        bias = None if linear.bias is None else linear.bias.detach().float()
        engine = torch.backends.quantized.engine
        try:
            torch.backends.quantized.engine = "onednn"  # the fastest of those that all have
            with warnings.catch_warnings():  # the function that packs wants this type, which torch would rather rename
                warnings.simplefilter("ignore")
                rounded = torch.quantize_per_channel(
                    weight, steps.double(), torch.zeros(len(steps), dtype=torch.long), 0, torch.qint8
                )
            self.packed: Any = torch.ops.quantized.linear_prepack(rounded, bias)
        except RuntimeError as error:
            raise EnfoldError(f"this torch has no int8 layers for this processor: {error}") from error
        finally:
            torch.backends.quantized.engine = engine

    def forward(self, x: Tensor) -> Tensor:
        """Return (…, O) for (…, I)."""
        return torch.ops.quantized.linear_dynamic(x.float(), self.packed).to(x.dtype)

    def dequantize(self) -> Tensor:
        """Return the weight (O, I) that the eight bits stand for."""
        return torch.ops.quantized.linear_unpack(self.packed)[0].dequantize()

    def extra_repr(self) -> str:
        """Return the numbers of inputs and outputs."""
        return f"in_features={self.in_features}, out_features={self.out_features}"


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
