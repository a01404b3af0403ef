"""HRA: inputs go through a chain of reflections before they meet the weight.

Source: Yuan et al., 2024, "Bridging The Gap between Low-rank and Orthogonal Adaptation via Householder Reflection
Adaptation", https://arxiv.org/abs/2405.17484
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from enfold.peft.config import LayeredConfig, UnsupportedPeftFeature, spelled
from enfold.peft.layer import AdapterLayer, is_linear
from enfold.peft.loha import uniform

__all__ = ["HRAConfig", "HRALayer"]


@spelled({})
@dataclass
class HRAConfig(LayeredConfig):
    """How reflections are put into a model.

    Args:
        target_modules, exclude_modules, modules_to_save, layers_to_transform, layers_pattern: which modules.
        r: number of reflections, best even: they begin in pairs that cancel out.
        apply_GS: make the mirrors orthogonal to each other first.
        init_weights: begin with such pairs; random otherwise.
        bias: which biases train.
    """

    kind: ClassVar[str | None] = "HRA"

    r: int = 8
    apply_GS: bool = False
    init_weights: bool = True
    bias: str = "none"


class HRALayer(AdapterLayer):
    """A linear layer or convolution whose inputs are reflected r times."""

    kind: ClassVar[str] = "HRA"
    holders = ("hra_u",)
    additive = False

    def check(self, plain: nn.Module) -> None:
        fits = (is_linear(plain) and not self.fan_in_fan_out) or (isinstance(plain, nn.Conv2d) and plain.groups == 1)
        if not fits:
            raise UnsupportedPeftFeature(
                f"HRA goes on Linear, and on Conv2d of one group, not on a {type(plain).__name__}"
            )

    def make(self, name: str, config: Any, key: str) -> None:
        if config.r < 1:
            raise ValueError(f"r must be at least 1, not {config.r}")
        width = self.in_features * math.prod(getattr(self.get_base_layer(), "kernel_size", ()))
        if config.init_weights and config.r % 2 == 0:
            normals = uniform(width, config.r // 2).repeat_interleave(2, dim=1)
        else:
            normals = uniform(width, config.r)
        self.hold(name, hra_u=normals)
        self.settings[name] = config

    def _mirrors(self, name: str) -> Tensor:
        """Return the unit normals (I, r) of the mirrors."""
        normals = self.hra_u[name]
        if not self.settings[name].apply_GS:
            return normals / normals.norm(dim=0)
        made: list[Tensor] = []
        for normal in normals.unbind(1):
            for other in made:
                normal = normal - (other @ normal) * other
            made.append(normal / normal.norm())
        return torch.stack(made, 1)

    def _reflected(self, name: str, x: Tensor, backwards: bool = False) -> Tensor:
        """Return ``x`` (…, I) · H₁ ⋯ H_r, or the other way round."""
        mirrors = self._mirrors(name).to(x.dtype)
        if self.settings[name].apply_GS:
            return x - 2 * (x @ mirrors) @ mirrors.T
        for mirror in reversed(mirrors.unbind(1)) if backwards else mirrors.unbind(1):
            x = x - 2 * (x @ mirror)[..., None] * mirror
        return x

    def before(self, name: str, x: Tensor) -> Tensor:
        if not is_linear(self.get_base_layer()):
            return x
        return self._reflected(name, self.cast(x, name), backwards=True)

    def after(self, name: str, x: Tensor, y: Tensor) -> Tensor:
        if is_linear(self.get_base_layer()):
            return y
        y = self.through(self.cast(x, name), self.changed(name, self.get_weight()))
        return y if self.bias is None else y + self.bias.view(-1, 1, 1)

    def changed(self, name: str, weight: Tensor) -> Tensor:
        return self._reflected(name, weight.flatten(1)).view_as(weight)

    def restored(self, name: str, weight: Tensor) -> Tensor:
        return self._reflected(name, weight.flatten(1), backwards=True).view_as(weight)
