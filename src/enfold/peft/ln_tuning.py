"""LN tuning: normalisation layers train whole.

Source: Zhao et al., 2023, "Tuning LayerNorm in Attention: Towards Efficient Multi-Modal LLM Finetuning",
https://arxiv.org/abs/2312.11420
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from enfold.peft.config import TargetedConfig, spelled
from enfold.peft.layer import AdapterLayer

__all__ = ["LNTuningConfig", "LNTuningLayer"]


@spelled({})
@dataclass
class LNTuningConfig(TargetedConfig):
    """Which layers train whole.

    Args:
        target_modules, exclude_modules, modules_to_save: which modules; the norms of known models by default.
    """

    kind: ClassVar[str | None] = "LN_TUNING"


class LNTuningLayer(AdapterLayer):
    """A layer of which every adapter has a copy that trains."""

    kind: ClassVar[str] = "LN_TUNING"
    holders = ("ln_tuning_layers",)
    prefix = "ln_tuning_"

    def __init__(self, base_layer: nn.Module, config: Any) -> None:
        super().__init__(base_layer, config)
        self.ln_tuning_layers = nn.ModuleDict()

    def check(self, plain: nn.Module) -> None:
        return None

    def make(self, name: str, config: Any, key: str) -> None:
        self.ln_tuning_layers[name] = copy.deepcopy(self.get_base_layer())
        self.settings[name] = config

    def _through(self, names: Sequence[str], x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if len(names) > 1:
            raise ValueError(f"one layer takes the place of another: set one of the adapters {', '.join(names)}")
        return self.ln_tuning_layers[names[0]](x, *args, **kwargs)  # type: ignore[no-any-return]

    def merged_with(self, names: Sequence[str]) -> Any:
        plain: Any = self.ln_tuning_layers[names[-1]] if names else self.get_base_layer()
        return plain.weight, getattr(plain, "bias", None)

    def merge(self, safe_merge: bool = False, adapter_names: Sequence[str] | None = None) -> None:
        wanted = [
            name for name in (self.active_adapters if adapter_names is None else adapter_names) if name in self.settings
        ]
        if len(wanted) + len(self.merged_adapters) > 1:
            raise ValueError(f"one layer takes the place of another: merge one of the adapters {', '.join(wanted)}")
        for name in wanted:
            self.base_layer, self.ln_tuning_layers[name] = self.ln_tuning_layers[name], self.base_layer
            self.merged_adapters.append(name)

    def unmerge(self, names: Sequence[str] | None = None) -> None:
        for name in list(self.merged_adapters):
            if names is None or name in names:
                self.base_layer, self.ln_tuning_layers[name] = self.ln_tuning_layers[name], self.base_layer
                self.merged_adapters.remove(name)
