"""Activation functions under the names that configurations use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from enfold.errors import EnfoldError, nearest

__all__ = ["ACT2FN", "AFTER", "activation"]


def quick_gelu(x: Tensor) -> Tensor:
    """Return ``x · sigmoid(1.702 x)``, the cheap GELU of CLIP."""
    return x * torch.sigmoid(1.702 * x)


def gelu_10(x: Tensor) -> Tensor:
    """Return GELU clipped to [-10, 10], for quantised models."""
    return F.gelu(x).clip(-10.0, 10.0)


def tanh_gelu(x: Tensor) -> Tensor:
    """Return GELU by its approximation with a hyperbolic tangent."""
    return F.gelu(x, approximate="tanh")


# Configuration spelling → function. The spellings of one function stand side by side.
ACT2FN: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_python": F.gelu,
    "gelu_new": tanh_gelu,
    "gelu_fast": tanh_gelu,
    "gelu_pytorch_tanh": tanh_gelu,
    "gelu_python_tanh": tanh_gelu,
    "gelu_accurate": tanh_gelu,
    "gelu_10": gelu_10,
    "quick_gelu": quick_gelu,
    "relu": F.relu,
    "relu2": lambda x: F.relu(x).square(),
    "relu6": F.relu6,
    "leaky_relu": F.leaky_relu,
    "silu": F.silu,
    "swish": F.silu,
    "mish": F.mish,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "linear": lambda x: x,
}


# Activation → its name in our core, which applies it while a product is in the registers.
AFTER: dict[Any, str] = {
    F.gelu: "gelu",
    tanh_gelu: "tanh_gelu",
    F.relu: "relu",
    torch.relu: "relu",
    F.silu: "silu",
    torch.tanh: "tanh",
}


def activation(name: str | Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Return the activation function that a configuration names.

    Args:
        name: one of the keys of ``ACT2FN``, or a function, which is returned as it is.

    Raises:
        EnfoldError: for an unknown name; it shows the nearest one.

    Example:
        >>> import torch
        >>> activation("relu")(torch.tensor([-1.0, 2.0])).tolist()
        [0.0, 2.0]
    """
    if callable(name):
        return name
    if name not in ACT2FN:
        raise EnfoldError(f"unknown activation {name!r}{nearest(name, ACT2FN)}")
    return ACT2FN[name]
