"""Modules that train whole beside the adapters, such as a new classification head."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn

from enfold.peft.layer import Adapted, AuxiliaryTrainingWrapper

__all__ = ["ModulesToSaveWrapper", "wrap_whole_modules"]


class ModulesToSaveWrapper(AuxiliaryTrainingWrapper, Adapted):
    """A module of which every adapter has a trained copy; the original is used while adapters are off.

    Attributes:
        original_module: the module as it was, frozen.
        modules_to_save: adapter name → its copy.
        batch: the adapter of each row of the next batch, or None.
    """

    adapter_layer_names = ("modules_to_save",)

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.original_module = module
        self.modules_to_save = nn.ModuleDict()
        self.batch: list[str] | None = None
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
        if self.batch is None or self.disable_adapters:
            return self.active_module(*args, **kwargs)
        rows = []
        for row, name in enumerate(self.batch):
            module = dict(self.modules_to_save).get(name, self.original_module)
            rows.append(module(args[0][row : row + 1], *args[1:], **kwargs))
        return torch.cat(rows)

    def names(self) -> list[str]:
        return list(self.modules_to_save)

    def parts(self, name: str) -> Iterator[nn.Parameter]:
        return self.modules_to_save[name].parameters()

    def saved_names(self, name: str) -> dict[str, str]:
        if name not in self.modules_to_save:
            return {}
        return {key: f"modules_to_save.{name}.{key}" for key in self.modules_to_save[name].state_dict()}

    def unwrapped(self, names: Sequence[str]) -> nn.Module:
        """Return the module without this wrapper: the copy of the last of these adapters, or the original."""
        own = [name for name in names if name in self.modules_to_save]
        return copy.deepcopy(self.modules_to_save[own[-1]]) if own else self.original_module

    def add_adapter(self, name: str) -> None:
        """Give the adapter ``name`` a copy of the original."""
        self.modules_to_save[name] = copy.deepcopy(self.original_module)

    def delete_adapter(self, name: str) -> None:
        """Remove the copy of an adapter."""
        if name in self.modules_to_save:
            del self.modules_to_save[name]
        self.active_adapters = [active for active in self.active_adapters if active != name]

    def set_adapter(self, names: Sequence[str], trainable: bool = True) -> None:
        """Use the copy of the last of these adapters that has one; it becomes trainable and the others do not."""
        super().set_adapter(names, trainable)
        for name in self.active_adapters[:-1]:
            self.modules_to_save[name].requires_grad_(False)


def wrap_whole_modules(model: nn.Module, names: list[str], adapter: str) -> dict[str, Adapted]:
    """Wrap each module whose name ends in one of ``names``, add a copy for ``adapter``, and return the wrappers."""
    found = [
        (key, module)
        for key, module in model.named_modules()
        if any(re.match(rf"(.*\.)?{re.escape(name)}$", key) for name in names)
        and ".modules_to_save." not in f"{key}."
        and ".original_module" not in key
    ]
    places: dict[str, Adapted] = {}
    for key, module in found:
        if isinstance(module, ModulesToSaveWrapper):
            wrapper = module
        else:
            parent, _, last = key.rpartition(".")
            wrapper = ModulesToSaveWrapper(module)
            setattr(model.get_submodule(parent), last, wrapper)
        wrapper.add_adapter(adapter)
        places[key] = wrapper
    return places
