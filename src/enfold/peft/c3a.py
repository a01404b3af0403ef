"""C3A: the change is made of circulant blocks, each of which is one vector, turned.

Source: Chen et al., 2024, "Parameter-Efficient Fine-Tuning via Circular Convolution", https://arxiv.org/abs/2407.19342
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from enfold.errors import nearest
from enfold.peft.config import LayeredConfig, UnsupportedPeftFeature, spelled
from enfold.peft.layer import AdapterLayer
from enfold.peft.targets import pattern_value

__all__ = ["C3AConfig", "C3ALayer"]

_STARTS = ("gaussian", "kaiming_uniform", "xavier_uniform")


@spelled({})
@dataclass
class C3AConfig(LayeredConfig):
    """How circulant blocks are put into a model.

    Args:
        target_modules, modules_to_save, layers_to_transform, layers_pattern: which modules.
        block_size: size of a block; it divides every layer's inputs and outputs.
        block_size_pattern: module name or regular expression → size.
        init_weights: True for zeros, or "xavier_uniform", "kaiming_uniform", "gaussian".
        bias: which biases train.
    """

    kind: ClassVar[str | None] = "C3A"
    unwritten: ClassVar[frozenset[str]] = frozenset({"exclude_modules"})

    block_size: int = 256
    bias: str = "none"
    block_size_pattern: dict[str, int] = field(default_factory=dict)
    init_weights: bool | str | None = "xavier_uniform"

    def __post_init__(self) -> None:
        super().__post_init__()
        given = self.init_weights
        if isinstance(given, str) and given not in _STARTS:
            raise ValueError(
                f"init_weights={given!r} is unknown{nearest(given, _STARTS)}; there are {', '.join(_STARTS)}"
            )


class C3ALayer(AdapterLayer):
    """A linear layer with a change of circulant blocks."""

    kind: ClassVar[str] = "C3A"
    holders = ("c3a_kernel",)

    def check(self, plain: nn.Module) -> None:
        if not isinstance(plain, nn.Linear):
            raise UnsupportedPeftFeature(f"C3A goes on nn.Linear, not on a {type(plain).__name__}")

    def make(self, name: str, config: Any, key: str) -> None:
        size = pattern_value(config.block_size_pattern, key, config.block_size)
        outputs, inputs = self.out_features, self.in_features
        if outputs % size or inputs % size:
            raise ValueError(
                f"{key} has {inputs} inputs and {outputs} outputs, which block_size={size} does not divide"
            )
        kernel = torch.zeros(outputs // size, inputs // size, size)
        start = "xavier_uniform" if config.init_weights is False else config.init_weights
        if start == "gaussian":
            nn.init.normal_(kernel)
        elif start == "xavier_uniform":
            nn.init.uniform_(kernel, -math.sqrt(6 / (inputs + outputs)), math.sqrt(6 / (inputs + outputs)))
        elif start == "kaiming_uniform":
            nn.init.uniform_(kernel, -math.sqrt(1 / inputs), math.sqrt(1 / inputs))
        self.hold(name, c3a_kernel=kernel)
        self.settings[name] = size

    def delta(self, name: str) -> Tensor:
        kernel, size = self.c3a_kernel[name], self.settings[name]
        place = torch.arange(size, device=kernel.device)
        blocks = kernel[:, :, (place - place[:, None]) % size]  # (O / n, I / n, n, n): row k is the vector, turned by k
        return blocks.permute(0, 2, 1, 3).reshape(self.out_features, self.in_features) / self.in_features
