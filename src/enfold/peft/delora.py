"""DeLoRA: low-rank changes whose length is learnt apart from their direction, and bounded.

Source: Bini et al., 2025, "DeLoRA: Decoupling Angles and Strength in Low-rank Adaptation",
https://arxiv.org/abs/2503.18225
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.peft.config import LayeredConfig, spelled
from enfold.peft.layer import AdapterLayer
from enfold.peft.loha import uniform
from enfold.peft.targets import pattern_value
from enfold.peft.tuner import Shared

__all__ = ["DeloraConfig", "DeloraLayer"]

_LEAST = 1e-4  # lengths below it count as it


@spelled({})
@dataclass
class DeloraConfig(LayeredConfig):
    """How low-rank changes of bounded length are put into a model.

    Args:
        target_modules, exclude_modules, modules_to_save, layers_to_transform, layers_pattern: which modules.
        r: rank.
        delora_lambda: first value of the bound that trains.
        rank_pattern, lambda_pattern: module name or regular expression → rank, bound.
        module_dropout: dropout on the adapter's input.
        bias: which biases train: "none", "all" or "delora_only".
        init_weights: begin without a change; random otherwise.

    Example:
        >>> DeloraConfig(r=4, target_modules=["q_proj"]).peft_type.value
        'DELORA'
    """

    kind: ClassVar[str | None] = "DELORA"

    r: int = 8
    delora_lambda: int = 15
    module_dropout: float = 0.0
    bias: str = "none"
    init_weights: bool = True
    rank_pattern: dict[str, int] = field(default_factory=dict)
    lambda_pattern: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.r < 1:
            raise ValueError(f"r must be at least 1, not {self.r}")


class DeloraLayer(AdapterLayer):
    """A linear layer with the change B diag(λ / r |Aᵢ| |Bⁱ|) A diag(|Wʲ|), the lengths of W's columns as they began."""

    kind: ClassVar[str] = "DELORA"
    holders = ("delora_A", "delora_B", "delora_lambda", "delora_w_norm")

    def __init__(self, base_layer: nn.Module, config: Any) -> None:
        super().__init__(base_layer, config)
        self.r: dict[str, int] = {}
        self.delora_dropout = nn.ModuleDict()
        self.delora_w_norm = Shared(trained=False)

    def make(self, name: str, config: Any, key: str) -> None:
        rank = self.r[name] = pattern_value(config.rank_pattern, key, config.r)
        self.delora_dropout[name] = nn.Dropout(config.module_dropout) if config.module_dropout else nn.Identity()
        first = uniform(rank, self.in_features)
        second = torch.zeros(self.out_features, rank) if config.init_weights else uniform(self.out_features, rank)
        bound = float(pattern_value(config.lambda_pattern, key, config.delora_lambda))
        self.hold(name, delora_A=first, delora_B=second, delora_lambda=torch.tensor([bound]))
        self.delora_w_norm[name] = self.get_weight().detach().norm(dim=0)
        self.settings[name] = config

    def parts(self, name: str) -> Iterator[nn.Parameter]:
        for holder in self.holders[:3]:
            if name in getattr(self, holder):
                yield getattr(self, holder)[name]

    def delete_adapter(self, name: str) -> None:
        super().delete_adapter(name)
        self.r.pop(name, None)
        if name in self.delora_dropout:
            del self.delora_dropout[name]

    def _scales(self, name: str) -> Tensor:
        """Return the factor of each rank (r,)."""
        lengths = self.delora_A[name].norm(dim=1).clamp(min=_LEAST) * self.delora_B[name].norm(dim=0).clamp(min=_LEAST)
        return self.delora_lambda[name] / self.r[name] / lengths  # type: ignore[no-any-return]

    def delta(self, name: str) -> Tensor:
        columns = self.delora_w_norm[name].to(self.delora_A[name].dtype)
        return (self.delora_B[name] * self._scales(name)) @ self.delora_A[name] * columns

    def after(self, name: str, x: Tensor, y: Tensor) -> Tensor:
        x = self.delora_dropout[name](self.cast(x, name))
        small = F.linear(x * self.delora_w_norm[name].to(x.dtype), self.delora_A[name]) * self._scales(name)
        return y + F.linear(small, self.delora_B[name])
