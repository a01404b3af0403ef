"""(IA)³: learnt scales of a layer's outputs, or of its inputs in feed-forwards.

Source: Liu et al., 2022, "Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than In-Context Learning",
https://arxiv.org/abs/2205.05638
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from enfold.peft.config import TargetedConfig, UnsupportedPeftFeature, spelled
from enfold.peft.layer import AdapterLayer, is_linear

__all__ = ["IA3Config", "IA3Layer"]


@spelled({})
@dataclass
class IA3Config(TargetedConfig):
    """How learnt scales are put into a model.

    Args:
        target_modules, exclude_modules, modules_to_save: which modules.
        feedforward_modules: those of them whose inputs are scaled; a subset of the targets.
        fan_in_fan_out: weights are stored as (in, out); set by itself.
        init_ia3_weights: begin with ones, which change nothing; random otherwise.

    Example:
        >>> IA3Config(target_modules=["key", "fc2"], feedforward_modules=["fc2"]).peft_type.value
        'IA3'
    """

    kind: ClassVar[str | None] = "IA3"

    feedforward_modules: list[str] | set[str] | str | None = None
    fan_in_fan_out: bool = False
    init_ia3_weights: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.feedforward_modules, (list, tuple)):
            self.feedforward_modules = set(self.feedforward_modules)
        ahead, targets = self.feedforward_modules, self.target_modules
        if isinstance(ahead, set) and isinstance(targets, set) and not ahead <= targets:
            raise ValueError(f"feedforward_modules {sorted(ahead - targets)} are not among target_modules")

    def scales_inputs(self, key: str) -> bool:
        """Say whether the inputs of the module ``key`` are scaled, rather than its outputs."""
        names = self.feedforward_modules or ()
        if isinstance(names, str):
            return re.fullmatch(names, key) is not None
        return any(key.endswith(name) for name in names)


class IA3Layer(AdapterLayer):
    """A linear layer or convolution whose outputs, or inputs, are scaled one by one."""

    kind: ClassVar[str] = "IA3"
    holders = ("ia3_l",)
    additive = False

    def check(self, plain: nn.Module) -> None:
        if not is_linear(plain) and not isinstance(plain, nn.Conv2d | nn.Conv3d):
            raise UnsupportedPeftFeature(
                f"scales go on linear layers and convolutions, not on a {type(plain).__name__}"
            )

    def make(self, name: str, config: Any, key: str) -> None:
        inputs = config.scales_inputs(key)
        count = self.in_features if inputs else self.out_features
        plain: Any = self.get_base_layer()
        if is_linear(plain):
            shape: tuple[int, ...] = (1, count) if inputs else (count, 1)
        else:
            count = plain.in_channels if inputs else plain.out_channels
            shape = (1, count, *[1] * len(plain.kernel_size))
        self.hold(name, ia3_l=torch.ones(shape) if config.init_ia3_weights else torch.randn(shape))
        self.settings[name] = inputs

    def _along(self, name: str) -> Tensor:
        """Return the scales in a shape that multiplies a batch."""
        scales = self.ia3_l[name]
        return scales.flatten() if scales.dim() == 2 else scales

    def before(self, name: str, x: Tensor) -> Tensor:
        return self.cast(x, name) * self._along(name) if self.settings[name] else x

    def after(self, name: str, x: Tensor, y: Tensor) -> Tensor:
        return y if self.settings[name] else y * self._along(name)

    def _across(self, name: str, weight: Tensor) -> Tensor:
        """Return the scales in a shape that multiplies the weight."""
        scales = self.ia3_l[name].flatten().to(weight.dtype)
        tail = [1] * (weight.dim() - 2)
        if not self.settings[name]:
            return scales.view(-1, 1, *tail)
        groups = getattr(self.get_base_layer(), "groups", 1)
        return (
            scales.view(groups, 1, -1).expand(groups, weight.shape[0] // groups, -1).reshape(weight.shape[0], -1, *tail)
        )

    def changed(self, name: str, weight: Tensor) -> Tensor:
        return weight * self._across(name, weight)

    def restored(self, name: str, weight: Tensor) -> Tensor:
        return weight / (self._across(name, weight) + 1e-8)  # a scale of zero leaves nothing to restore

    def changed_bias(self, name: str, bias: Tensor) -> Tensor:
        return bias if self.settings[name] else bias * self.ia3_l[name].flatten().to(bias.dtype)

    def restored_bias(self, name: str, bias: Tensor) -> Tensor:
        return bias if self.settings[name] else bias / (self.ia3_l[name].flatten().to(bias.dtype) + 1e-8)
