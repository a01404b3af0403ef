"""What models with adapters in their layers and models with prompts before them have alike."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from torch import nn

from enfold.errors import nearest
from enfold.peft.config import PeftConfig
from enfold.peft.layer import Adapted

__all__ = ["Holder"]


class Holder(nn.Module):
    """A model and its adapters, by name.

    Args:
        model: the model.

    Attributes:
        model: the model, whose attributes this one shows too.
        peft_config: adapter name → configuration.
        active_adapters: names in use.
        places: module name → what holds something of adapters there.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.peft_config: dict[str, PeftConfig] = {}
        self.active_adapters: list[str] = []
        self.places: dict[str, Adapted] = {}

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "model":
                raise
            return getattr(self.model, name)

    @property
    def active_adapter(self) -> str | list[str]:
        """The adapter in use, or the list when there are several."""
        return self.active_adapters[0] if len(self.active_adapters) == 1 else self.active_adapters

    def check_name(self, name: str) -> None:
        """Raise where a new adapter cannot have a name."""
        if name in self.peft_config:
            raise ValueError(f"there is already an adapter named {name!r}")
        if "." in name or not name:
            raise ValueError(f"an adapter's name may not be empty or contain a dot: {name!r}")

    def _check_names(self, names: list[str] | None) -> None:
        for name in names or ():
            if name not in self.peft_config:
                raise ValueError(f"there is no adapter named {name!r}{nearest(name, self.peft_config)}")

    def enable_adapter_layers(self) -> None:
        """Let adapters take part in the forward pass."""
        self._switch(False)

    def disable_adapter_layers(self) -> None:
        """Compute as the base model does, adapters aside."""
        self._switch(True)

    @property
    def has_active_enabled_adapter(self) -> bool:
        """Whether an adapter is in use and takes part in the forward pass."""
        return bool(self.active_adapters) and any(not place.disable_adapters for place in self.places.values())

    @contextlib.contextmanager
    def disabled(self) -> Iterator[None]:
        """Leave adapters aside for the length of a ``with`` block; what was off before stays off."""
        before = [(place, place.disable_adapters) for place in self.places.values()]
        self._switch(True)
        try:
            yield
        finally:
            for place, off in before:
                place.enable_adapters(not off)

    def _switch(self, off: bool) -> None:
        for place in self.places.values():
            place.enable_adapters(not off)
