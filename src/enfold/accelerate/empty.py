"""Modules whose parameters take no memory until their weights are loaded."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

__all__ = ["init_empty_weights", "init_on_device"]


def init_empty_weights(include_buffers: bool | None = None) -> contextlib.AbstractContextManager[None]:
    """Build modules without memory for their parameters, for the length of a ``with`` block.

    Args:
        include_buffers: leave out buffers as well.

    Example:
        >>> from torch import nn
        >>> with init_empty_weights():
        ...     layer = nn.Linear(10_000, 10_000)
        >>> layer.weight.device.type
        'meta'
    """
    return init_on_device(torch.device("meta"), include_buffers)


@contextlib.contextmanager
def init_on_device(device: torch.device | str, include_buffers: bool | None = None) -> Iterator[None]:
    """Put the parameters of modules built inside the ``with`` block on ``device``.

    Args:
        device: where to.
        include_buffers: build everything there, buffers too.
    """
    if include_buffers:
        with torch.device(device):
            yield
        return
    register = nn.Module.register_parameter

    def place(module: nn.Module, name: str, param: Any) -> None:
        register(module, name, param)
        if param is not None and param.device != torch.device(device):  # one that is there may be shared
            kept = {key: value for key, value in vars(param).items() if key != "requires_grad"}
            moved = type(param)(param.to(device), requires_grad=param.requires_grad)
            vars(moved).update(kept)
            module._parameters[name] = moved

    nn.Module.register_parameter = place  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        nn.Module.register_parameter = register  # type: ignore[method-assign]
