"""Modules that wait for their weights: made without memory, and without drawing what files will replace."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import init
from torch.overrides import TorchFunctionMode

__all__ = ["without_weights"]

# What fills a tensor in its place, as modules do when they are made.
FILLING = {
    Tensor.normal_, Tensor.uniform_, Tensor.fill_, Tensor.zero_, Tensor.erfinv_, Tensor.clamp_, Tensor.mul_,
    init.normal_, init.uniform_, init.kaiming_uniform_, init.constant_,
}  # fmt: skip


@contextlib.contextmanager
def without_weights() -> Iterator[None]:
    """Make modules on the meta device, for the length of a ``with`` block, and draw nothing there.

    Filling a tensor that has no memory is no work, but torch describes a normal draw on the meta device in Python:
    the first embedding of a process would import its compiler, which takes as long as importing torch.

    Example:
        >>> with without_weights():
        ...     layer = torch.nn.Linear(10_000, 10_000)
        >>> layer.weight.device.type
        'meta'
    """
    with torch.device("meta"), _Undrawn():
        yield


class _Undrawn(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in FILLING:
            tensor = args[0] if args else kwargs["tensor"]
            if tensor.is_meta:
                return tensor
        return func(*args, **kwargs)
