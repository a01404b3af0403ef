"""Models and their repeated blocks compiled by ``torch.compile``, and how to tell."""

from __future__ import annotations

import sys
from types import MethodType
from typing import Any

import torch
from torch import nn

__all__ = ["compile_regions", "compile_regions_in_place", "has_compiled_regions", "is_compiled_module"]


def is_compiled_module(module: nn.Module) -> bool:
    """Return whether a module is what ``torch.compile`` returned."""
    frames = sys.modules.get("torch._dynamo.eval_frame")  # not loaded, so that nothing can be compiled
    return frames is not None and isinstance(module, frames.OptimizedModule)


def has_compiled_regions(module: nn.Module) -> bool:
    """Return whether a module, or one in it, is what ``torch.compile`` returned."""
    return any(is_compiled_module(inner) for inner in module.modules())


def _repeats(module: nn.Module) -> bool:
    """Whether a module is a list of blocks of one class."""
    return (
        isinstance(module, nn.ModuleList)
        and len(module) > 0
        and all(isinstance(one, type(module[0])) for one in module)
    )


def _holds_repeats(module: nn.Module) -> bool:
    return any(_repeats(inner) for inner in module.modules())


def compile_regions(module: nn.Module, **compile_kwargs: Any) -> nn.Module:
    """Return a model whose repeated blocks are compiled one by one, so that one compilation serves them all.

    What is beside lists of blocks of one class is compiled as a whole. The model itself stays as it was, and at hand as
    ``_orig_mod``.

    Args:
        module: the model.
        compile_kwargs: of ``torch.compile``.
    """
    compiled = _compiled(module, compile_kwargs)
    vars(compiled).setdefault("_orig_mod", module)
    return compiled


def _compiled(module: nn.Module, options: dict[str, Any]) -> Any:
    if _repeats(module):
        return nn.ModuleList(torch.compile(block, **options) for block in module.children())  # type: ignore[misc]
    if not _holds_repeats(module):
        return torch.compile(module, **options)
    twin = type(module).__new__(type(module))
    own = vars(module)
    # A method that was bound to the model, such as a forward put in its place, belongs to the twin now.
    bound = {
        name: MethodType(value.__func__, twin)
        for name, value in own.items()
        if isinstance(value, MethodType) and value.__self__ is module
    }
    vars(twin).update(own | bound | {"_modules": {}})
    for name, child in module.named_children():
        twin.add_module(name, _compiled(child, options))
    return twin


def compile_regions_in_place(module: nn.Module, **compile_kwargs: Any) -> nn.Module:
    """Compile a model's repeated blocks one by one, in place, so that hooks around them still run."""
    if _repeats(module):
        for block in module.children():
            block.compile(**compile_kwargs)
    elif _holds_repeats(module):
        for child in module.children():
            compile_regions_in_place(child, **compile_kwargs)
    else:
        module.compile(**compile_kwargs)
    return module
