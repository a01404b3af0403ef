"""Modules that train whole beside the adapters, such as a new classification head."""

from __future__ import annotations

import copy
import re
from typing import Any

from torch import nn

__all__ = ["ModulesToSaveWrapper", "wrap_whole_modules"]


class ModulesToSaveWrapper(nn.Module):
    """A module of which every adapter has a trained copy; the original is used while adapters are off.

    Attributes:
        original_module: the module as it was, frozen.
        modules_to_save: adapter name → its copy.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.original_module = module
        self.modules_to_save = nn.ModuleDict()
        self.active_adapters: list[str] = []
        self.disable_adapters = False
        module.requires_grad_(False)

    @property
    def active_module(self) -> nn.Module:
        """The copy in use, or the original."""
        names = [] if self.disable_adapters else [name for name in self.active_adapters if name in self.modules_to_save]
        return self.modules_to_save[names[-1]] if names else self.original_module

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "original_module":
                raise
            return getattr(self.active_module, name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.active_module(*args, **kwargs)

    def add_adapter(self, name: str) -> None:
        """Give the adapter ``name`` a copy of the original."""
        self.modules_to_save[name] = copy.deepcopy(self.original_module)

    def delete_adapter(self, name: str) -> None:
        """Remove the copy of an adapter."""
        if name in self.modules_to_save:
            del self.modules_to_save[name]
        self.active_adapters = [active for active in self.active_adapters if active != name]

    def set_adapter(self, names: list[str], trainable: bool = True) -> None:
        """Use the copy of the last of these adapters that has one; it becomes trainable and the others do not."""
        self.active_adapters = [name for name in names if name in self.modules_to_save]
        for name, module in self.modules_to_save.items():
            module.requires_grad_(trainable and self.active_adapters[-1:] == [name])


def wrap_whole_modules(model: nn.Module, names: list[str], adapter: str) -> None:
    """Wrap each module of ``model`` whose name ends in one of ``names``, and add a copy for ``adapter``."""
    found = [
        (key, module)
        for key, module in model.named_modules()
        if any(re.match(rf"(.*\.)?{re.escape(name)}$", key) for name in names)
        and ".modules_to_save." not in f"{key}."
        and ".original_module" not in key
    ]
    for key, module in found:
        if not isinstance(module, ModulesToSaveWrapper):
            parent, _, last = key.rpartition(".")
            module = ModulesToSaveWrapper(module)
            setattr(model.get_submodule(parent), last, module)
        module.add_adapter(adapter)
