"""GraLoRA: a layer's weight is cut into blocks, and each block has a low-rank change of its own.

Source: Jung et al., 2025, "GraLoRA: Granular Low-Rank Adaptation for Parameter-Efficient Fine-Tuning",
https://arxiv.org/abs/2505.20355
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from enfold.peft.config import LayeredConfig, spelled
from enfold.peft.layer import AdapterLayer
from enfold.peft.loha import uniform

__all__ = ["GraloraConfig", "GraloraLayer"]


@spelled({})
@dataclass
class GraloraConfig(LayeredConfig):
    """How low-rank changes of blocks are put into a model.

    Args:
        target_modules, modules_to_save, layers_to_transform, layers_pattern: which modules.
        r: rank of the whole; a block has ``r / gralora_k``.
        gralora_k: a weight is cut into so many rows of so many blocks; it divides r, and each layer's inputs and
            outputs.
        hybrid_r: rank of a low-rank change of the whole weight beside them; 0 for none.
        alpha: scale is ``alpha / (r + hybrid_r)``.
        gralora_dropout: dropout on the adapter's input.
        init_weights: begin without a change; random otherwise.
        fan_in_fan_out: weights are stored as (in, out); set by itself.
        bias: which biases train.

    Example:
        >>> GraloraConfig(r=4, target_modules=["q_proj"]).peft_type.value
        'GRALORA'
    """

    kind: ClassVar[str | None] = "GRALORA"
    unwritten: ClassVar[frozenset[str]] = frozenset({"exclude_modules"})

    r: int = 32
    hybrid_r: int = 0
    alpha: int = 64
    gralora_dropout: float = 0.0
    gralora_k: int = 2
    fan_in_fan_out: bool = False
    bias: str = "none"
    init_weights: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.gralora_k < 1:
            raise ValueError(f"gralora_k must be at least 1, not {self.gralora_k}")
        if self.r < 1 or self.r % self.gralora_k:
            raise ValueError(f"r must be a multiple of gralora_k={self.gralora_k}, and is {self.r}")
        if self.hybrid_r < 0:
            raise ValueError(f"hybrid_r must be 0 or more, not {self.hybrid_r}")


class GraloraLayer(AdapterLayer):
    """A linear layer with a low-rank change of each block of its weight."""

    kind: ClassVar[str] = "GRALORA"
    holders = ("gralora_A", "gralora_B", "gralora_A_general", "gralora_B_general")

    def __init__(self, base_layer: nn.Module, config: Any) -> None:
        super().__init__(base_layer, config)
        self.r: dict[str, int] = {}
        self.scaling: dict[str, float] = {}
        self.gralora_dropout = nn.ModuleDict()
        self.gralora_A_general, self.gralora_B_general = nn.ModuleDict(), nn.ModuleDict()

    def make(self, name: str, config: Any, key: str) -> None:
        rank, cuts, more = config.r, config.gralora_k, config.hybrid_r
        if self.in_features % cuts or self.out_features % cuts:
            sizes = f"{self.in_features} inputs and {self.out_features} outputs"
            raise ValueError(f"{key} has {sizes}, which gralora_k={cuts} does not divide")
        self.r[name], self.scaling[name] = rank, config.alpha / (rank + more)
        self.gralora_dropout[name] = nn.Dropout(config.gralora_dropout) if config.gralora_dropout else nn.Identity()
        inputs, outputs = self.in_features // cuts, self.out_features // cuts
        first = torch.stack([uniform(rank, inputs).T for _ in range(cuts)])  # (k, I / k, r)
        second = torch.stack([uniform(outputs, rank).T for _ in range(cuts)])  # (k, r, O / k)
        self.hold(name, gralora_A=first, gralora_B=torch.zeros_like(second) if config.init_weights else second)
        if more:
            self.gralora_A_general[name] = nn.Linear(self.in_features, more, bias=False)
            self.gralora_B_general[name] = wide = nn.Linear(more, self.out_features, bias=False)
            if config.init_weights:
                nn.init.zeros_(wide.weight)
        self.settings[name] = config

    def _factors(self, name: str) -> tuple[Tensor, Tensor]:
        """Return A (n, I / k, s, r / k) and B (s, n, r / k, O / k) for blocks n of the inputs and s of the outputs."""
        cuts = self.settings[name].gralora_k
        return self.gralora_A[name].unflatten(2, (cuts, -1)), self.gralora_B[name].unflatten(1, (cuts, -1))

    def delta(self, name: str) -> Tensor:
        first, second = self._factors(name)
        total = torch.einsum("nist,snto->soni", first, second).reshape(self.out_features, self.in_features)
        if name in self.gralora_A_general:
            wide: Any = self.gralora_B_general[name].weight
            total = total + wide @ self.gralora_A_general[name].weight
        return total * self.scaling[name]

    def after(self, name: str, x: Tensor, y: Tensor) -> Tensor:
        first, second = self._factors(name)
        x = self.gralora_dropout[name](self.cast(x, name))
        small = torch.einsum("...ni,nist->...snt", x.unflatten(-1, first.shape[:2]), first)
        change = torch.einsum("...snt,snto->...so", small, second).flatten(-2)
        if name in self.gralora_A_general:
            change = change + self.gralora_B_general[name](self.gralora_A_general[name](x))
        return y + change * self.scaling[name]

    def delete_adapter(self, name: str) -> None:
        super().delete_adapter(name)
        for table in (self.r, self.scaling):
            table.pop(name, None)
        if name in self.gralora_dropout:
            del self.gralora_dropout[name]
