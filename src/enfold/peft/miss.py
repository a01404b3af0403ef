"""MiSS: all pieces of an output's weights share one change.

Source: Kang and Yin, 2024, "MiSS: Balancing LoRA Performance and Efficiency with Simple Shard Sharing",
https://arxiv.org/abs/2409.15371
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.peft.config import LayeredConfig, spelled
from enfold.peft.layer import AdapterLayer
from enfold.peft.loha import uniform

__all__ = ["MissConfig", "MissLayer"]


@spelled({})
@dataclass
class MissConfig(LayeredConfig):
    """How shared changes are put into a model.

    Args:
        target_modules, exclude_modules, modules_to_save, layers_to_transform, layers_pattern: which modules.
        r: length of a piece.
        miss_dropout: dropout on the adapter's input.
        mini_r: number of outputs that have changes of their own, with ``init_weights="mini"``.
        init_weights: True for zeros, False for random; "bat" lets the weight's own pieces take part; "mini", see above.
        bias: which biases train.
    """

    kind: ClassVar[str | None] = "MISS"

    r: int = 64
    miss_dropout: float = 0.0
    mini_r: int = 1
    init_weights: bool | str = True
    bias: str = "none"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.init_weights not in (True, False, "bat", "mini"):
            raise ValueError(f"init_weights must be True, False, 'bat' or 'mini', not {self.init_weights!r}")


class MissLayer(AdapterLayer):
    """A linear layer with one change for all pieces of its rows."""

    kind: ClassVar[str] = "MISS"
    holders = ("miss_block",)

    def __init__(self, base_layer: nn.Module, config: Any) -> None:
        super().__init__(base_layer, config)
        self.miss_dropout = nn.ModuleDict()

    def make(self, name: str, config: Any, key: str) -> None:
        size, start, outputs = config.r, config.init_weights, self.out_features
        if not 0 < size <= self.in_features:
            raise ValueError(f"{key} has {self.in_features} inputs, and r is {size}")
        if start == "bat" and (self.in_features % size or outputs % size):
            raise ValueError(
                f"{key} has {self.in_features} inputs and {outputs} outputs, which r={size} does not divide"
            )
        if start == "mini" and outputs % config.mini_r:
            raise ValueError(f"{key} has {outputs} outputs, which mini_r={config.mini_r} does not divide")
        if start == "bat":
            block = torch.zeros(outputs // size, size, size)
        elif start == "mini":
            block = torch.zeros(size, config.mini_r)
        else:
            block = torch.zeros(size, outputs) if start else uniform(size, outputs)
        self.hold(name, miss_block=block)
        self.miss_dropout[name] = nn.Dropout(config.miss_dropout) if config.miss_dropout else nn.Identity()
        self.settings[name] = start

    def _block(self, name: str) -> Tensor:
        """Return the change (r, O)."""
        block = self.miss_block[name]
        return block.repeat(1, self.out_features // block.shape[1]) if self.settings[name] == "mini" else block

    def delta(self, name: str) -> Tensor:
        block = self._block(name)
        return block[torch.arange(self.in_features, device=block.device) % len(block)].T

    def after(self, name: str, x: Tensor, y: Tensor) -> Tensor:
        x = self.cast(x, name)
        if self.settings[name] == "bat":
            weight = self.get_weight().to(x.dtype)
            return y + F.linear(x, self.changed(name, weight) - weight)
        block = self._block(name)
        x = F.pad(x, (0, -x.shape[-1] % len(block)))
        return y + self.miss_dropout[name](x).unflatten(-1, (-1, len(block))).sum(-2) @ block

    def _pieces(self, weight: Tensor, size: int) -> Tensor:
        """Return (I / r, O / r, r, r): output within piece, then input within piece."""
        return weight.view(len(weight) // size, size, -1, size).permute(2, 0, 1, 3)

    def changed(self, name: str, weight: Tensor) -> Tensor:
        if self.settings[name] != "bat":
            return super().changed(name, weight)
        block = self.miss_block[name].to(weight.dtype)
        pieces = self._pieces(weight, block.shape[-1])
        return (pieces + pieces @ block + block).permute(1, 2, 0, 3).reshape(weight.shape)

    def restored(self, name: str, weight: Tensor) -> Tensor:
        if self.settings[name] != "bat":
            return super().restored(name, weight)
        block = self.miss_block[name].to(weight.dtype)
        back = torch.linalg.inv(torch.eye(block.shape[-1]).to(block) + block)
        pieces = (self._pieces(weight, block.shape[-1]) - block) @ back
        return pieces.permute(1, 2, 0, 3).reshape(weight.shape)
