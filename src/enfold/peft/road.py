"""RoAd: pairs of a layer's outputs are turned and stretched.

Source: Liao and Monz, 2024, "3-in-1: 2D Rotary Adaptation for Efficient Finetuning, Efficient Batching and
Composability", https://arxiv.org/abs/2409.00119
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from enfold.errors import nearest
from enfold.peft.config import TargetedConfig, UnsupportedPeftFeature, spelled
from enfold.peft.layer import AdapterLayer

__all__ = ["RoadConfig", "RoadLayer"]

# variant → how many numbers each pair of outputs has of each sort, angles and stretches
VARIANTS = {"road_1": 1, "road_2": 2, "road_4": 4}


@spelled({})
@dataclass
class RoadConfig(TargetedConfig):
    """How turns of pairs of outputs are put into a model.

    Args:
        target_modules, modules_to_save: which modules.
        variant: "road_1" has one angle and one stretch a pair of outputs, "road_2" one each for both of them,
            "road_4" also tells the two terms of each sum apart.
        group_size: outputs are paired within groups of so many, the first half with the second; even, and it divides
            the outputs of each layer.
        init_weights: begin without a change; random otherwise.

    Example:
        >>> RoadConfig(target_modules=["q_proj"], group_size=8).peft_type.value
        'ROAD'
    """

    kind: ClassVar[str | None] = "ROAD"
    unwritten: ClassVar[frozenset[str]] = frozenset({"exclude_modules"})

    variant: str = "road_1"
    group_size: int = 64
    init_weights: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.variant not in VARIANTS:
            raise ValueError(f"variant={self.variant!r} is unknown{nearest(self.variant, VARIANTS)}")
        if self.group_size < 2 or self.group_size % 2:
            raise ValueError(f"group_size must be even, and is {self.group_size}")


class RoadLayer(AdapterLayer):
    """A linear layer of whose outputs pairs are turned: (a, b) → (f₁ a - s₁ b, f₂ b + s₂ a)."""

    kind: ClassVar[str] = "ROAD"
    holders = ("road_theta", "road_alpha")
    additive = False

    def make(self, name: str, config: Any, key: str) -> None:
        if self.out_features % config.group_size:
            raise UnsupportedPeftFeature(f"{key} has {self.out_features} outputs: group_size must divide them")
        count = self.out_features // 2 * VARIANTS[config.variant]
        angles, stretches = torch.zeros(count), torch.ones(count)
        if not config.init_weights:
            angles, stretches = torch.randn(count) * 0.5, torch.randn(count) * 0.5 + 1
        self.hold(name, road_theta=angles, road_alpha=stretches)
        self.settings[name] = config

    def _factors(self, name: str) -> tuple[Tensor, Tensor]:
        """Return f and s, each (groups, 2, half a group)."""
        config = self.settings[name]
        half = config.group_size // 2
        angles, stretches = self.road_theta[name], self.road_alpha[name]
        if config.variant == "road_4":
            angles, stretches = (part.view(-1, 2, 2, half) for part in (angles, stretches))
            return stretches[:, 0] * angles[:, 0].cos(), stretches[:, 1] * angles[:, 1].sin()
        angles, stretches = (part.view(-1, VARIANTS[config.variant], half) for part in (angles, stretches))
        shape = (angles.shape[0], 2, half)
        return (stretches * angles.cos()).expand(shape), (stretches * angles.sin()).expand(shape)

    def _turned(self, name: str, y: Tensor, back: bool = False) -> Tensor:
        """Return (…, O) with its pairs turned, or turned back."""
        f, s = (part.to(y.dtype) for part in self._factors(name))
        a, b = y.unflatten(-1, f.shape).unbind(-2)  # each (…, groups, half a group)
        (f1, f2), (s1, s2) = f.unbind(1), s.unbind(1)
        if back:
            area = f1 * f2 + s1 * s2
            pairs = ((f2 * a + s1 * b) / area, (f1 * b - s2 * a) / area)
        else:
            pairs = (f1 * a - s1 * b, f2 * b + s2 * a)
        return torch.stack(pairs, -2).flatten(-3)

    def after(self, name: str, x: Tensor, y: Tensor) -> Tensor:
        return self._turned(name, self.cast(y, name))

    def changed(self, name: str, weight: Tensor) -> Tensor:
        return self._turned(name, weight.T).T

    def restored(self, name: str, weight: Tensor) -> Tensor:
        return self._turned(name, weight.T, back=True).T

    def changed_bias(self, name: str, bias: Tensor) -> Tensor:
        return self._turned(name, bias)

    def restored_bias(self, name: str, bias: Tensor) -> Tensor:
        return self._turned(name, bias, back=True)
