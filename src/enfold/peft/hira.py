"""HiRA: the change is the weight itself, element by element times a low-rank matrix, and so of any rank.

Source: Huang et al., 2025, "HiRA: Parameter-Efficient Hadamard High-Rank Adaptation for Large Language Models",
https://openreview.net/forum?id=TwJrTz9cRS
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.peft.config import LayeredConfig, UnsupportedPeftFeature, spelled
from enfold.peft.layer import AdapterLayer, is_linear
from enfold.peft.targets import pattern_value

__all__ = ["HiraConfig", "HiraLayer"]


@spelled({})
@dataclass
class HiraConfig(LayeredConfig):
    """How products of the weight with low-rank matrices are put into a model.

    Args:
        target_modules, exclude_modules, modules_to_save, layers_to_transform, layers_pattern: which modules.
        r: rank of the matrices.
        rank_pattern: module name or regular expression → rank.
        hira_dropout: dropout on the adapter's input.
        fan_in_fan_out: weights are stored as (in, out); set by itself.
        init_weights: begin without a change, the inner factor drawn as linear layers draw theirs, or from a normal
            distribution with ``"gaussian"``; False for both random.

    Example:
        >>> HiraConfig(r=4, target_modules=["q_proj"]).peft_type.value
        'HIRA'
    """

    kind: ClassVar[str | None] = "HIRA"

    r: int = 32
    hira_dropout: float = 0.0
    fan_in_fan_out: bool = False
    init_weights: bool | str | None = True
    rank_pattern: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.r < 1:
            raise ValueError(f"r must be at least 1, not {self.r}")
        if isinstance(self.init_weights, str) and self.init_weights.lower() != "gaussian":
            raise ValueError(f"init_weights={self.init_weights!r} is unknown: True, False or 'gaussian'")


class HiraLayer(AdapterLayer):
    """A linear layer, embedding or convolution with the change W ∘ (B A)."""

    kind: ClassVar[str] = "HIRA"
    holders = ("hira_A", "hira_B", "hira_embedding_A", "hira_embedding_B")

    def __init__(self, base_layer: nn.Module, config: Any) -> None:
        super().__init__(base_layer, config)
        self.r: dict[str, int] = {}
        self.hira_dropout = nn.ModuleDict()
        self.unmerged: Tensor | None = None  # the weight as it was, while adapters are merged

    def check(self, plain: nn.Module) -> None:
        window = isinstance(plain, nn.Conv1d | nn.Conv2d | nn.Conv3d)
        if not (is_linear(plain) or isinstance(plain, nn.Embedding) or window):
            raise UnsupportedPeftFeature(
                f"HiRA goes on linear layers, embeddings and convolutions, not on a {type(plain).__name__}"
            )
        if window and plain.groups != 1:
            raise UnsupportedPeftFeature(f"HiRA does not go on convolutions of {plain.groups} groups")

    def make(self, name: str, config: Any, key: str) -> None:
        rank = self.r[name] = pattern_value(config.rank_pattern, key, config.r)
        self.hira_dropout[name] = nn.Dropout(config.hira_dropout) if config.hira_dropout else nn.Identity()
        plain: Any = self.get_base_layer()
        window = tuple(getattr(plain, "kernel_size", ()))
        first, second = torch.randn(rank, self.in_features, *window), torch.randn(self.out_features, rank)
        second = second.view(*second.shape, *[1] * len(window))
        self.settings[name] = config
        if isinstance(plain, nn.Embedding):
            if config.init_weights:
                first = torch.zeros_like(first)
                nn.init.normal_(second)
            self.hold(name, hira_embedding_A=first, hira_embedding_B=second)
            return
        if config.init_weights:
            second = torch.zeros_like(second)
            if isinstance(config.init_weights, str):
                nn.init.normal_(first, std=1 / rank)
            else:
                nn.init.kaiming_uniform_(first, a=math.sqrt(5))
        self.hold(name, hira_A=first, hira_B=second)

    def delete_adapter(self, name: str) -> None:
        super().delete_adapter(name)
        self.r.pop(name, None)
        if name in self.hira_dropout:
            del self.hira_dropout[name]

    def delta(self, name: str) -> Tensor:
        tail = "" if name in self.hira_A else "embedding_"
        first, second = (getattr(self, f"hira_{tail}{side}")[name].flatten(1).float() for side in "AB")
        weight = self.get_weight() if self.unmerged is None else self.unmerged
        return weight * (second @ first).view(weight.shape)

    def after(self, name: str, x: Tensor, y: Tensor) -> Tensor:
        if name not in self.hira_A:
            rows = F.embedding(x, self.delta(name).T)
            return y + rows * getattr(self.get_base_layer(), "embed_scale", 1.0)
        x = self.hira_dropout[name](self.cast(x, name))
        return y + self.through(x, self.delta(name).to(x.dtype))

    # Several adapters are changes of one weight, so what it was is kept while they are in it.

    def merged_with(self, names: Sequence[str]) -> Any:
        kept = self.unmerged
        self.unmerged = self.get_weight().detach().clone() if kept is None else kept
        try:
            return super().merged_with(names)
        finally:
            self.unmerged = kept

    @torch.no_grad()
    def merge(self, safe_merge: bool = False, adapter_names: Sequence[str] | None = None) -> None:
        if self.unmerged is None:
            self.unmerged = self.get_weight().detach().clone()
        try:
            super().merge(safe_merge, adapter_names)
        finally:
            self.unmerged = self.unmerged if self.merged_adapters else None

    def restored(self, name: str, weight: Tensor) -> Tensor:
        if self.merged_adapters == [name] and self.unmerged is not None:
            kept, self.unmerged = self.unmerged, None
            return kept.to(weight.dtype)
        return super().restored(name, weight)
