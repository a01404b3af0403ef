"""LoHa: the change is the element-wise product of two low-rank matrices.

Source: Hyeon-Woo et al., 2022, "FedPara: Low-Rank Hadamard Product for Communication-Efficient Federated Learning",
https://arxiv.org/abs/2108.06098
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from enfold.peft.config import LayeredConfig, UnsupportedPeftFeature, spelled
from enfold.peft.layer import AdapterLayer, is_linear
from enfold.peft.lora import rank_and_alpha

__all__ = ["LoHaConfig", "LoHaLayer", "LycorisConfig", "LycorisLayer"]


@dataclass
class LycorisConfig(LayeredConfig):
    """What LoHa and LoKr adapters are told alike.

    Args:
        target_modules, exclude_modules, modules_to_save, layers_to_transform, layers_pattern: which modules.
        r, alpha: rank, and scale times rank.
        rank_dropout: share of outputs whose change is left out of a training step.
        module_dropout: probability that a layer's change is left out of a training step.
        use_effective_conv2d: decompose the windows of convolutions too.
        init_weights: begin without a change; random otherwise.
        rank_pattern, alpha_pattern: module name or regular expression → rank, alpha.
    """

    r: int = 8
    alpha: int = 8
    rank_dropout: float = 0.0
    module_dropout: float = 0.0
    use_effective_conv2d: bool = False
    init_weights: bool | str = True
    rank_pattern: dict[str, int] = field(default_factory=dict)
    alpha_pattern: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.r < 1:
            raise ValueError(f"r must be at least 1, not {self.r}")

    @property
    def lora_alpha(self) -> int:
        """Another name of ``alpha``, as low-rank adapters have it."""
        return self.alpha


@spelled({})
@dataclass
class LoHaConfig(LycorisConfig):
    """How element-wise products of low-rank matrices are put into a model; see :class:`LycorisConfig`."""

    kind: ClassVar[str | None] = "LOHA"


class LycorisLayer(AdapterLayer):
    """A linear layer or convolution with a change of the weight that is computed as a whole."""

    rescaled = True  # what is left of a change with dropped rows makes up for them

    def __init__(self, base_layer: nn.Module, config: Any) -> None:
        super().__init__(base_layer, config)
        self.r: dict[str, int] = {}
        self.alpha: dict[str, int] = {}
        self.scaling: dict[str, float] = {}

    def check(self, plain: nn.Module) -> None:
        if not (is_linear(plain) or isinstance(plain, nn.Conv1d | nn.Conv2d)):
            raise UnsupportedPeftFeature(
                f"{self.kind} adapters go on linear layers, Conv1d and Conv2d, not on a {type(plain).__name__}"
            )

    def make(self, name: str, config: Any, key: str) -> None:
        self.r[name], self.alpha[name] = rank_and_alpha(config, key)
        self.scaling[name] = self.alpha[name] / self.r[name]
        self.settings[name] = config
        plain: Any = self.get_base_layer()
        window = tuple(getattr(plain, "kernel_size", ()))
        inputs = plain.in_channels // plain.groups if window else self.in_features
        self.make_factors(name, config, inputs, window)

    def make_factors(self, name: str, config: Any, inputs: int, window: tuple[int, ...]) -> None:
        """Make the factors for (O, ``inputs``, *``window``)."""
        raise NotImplementedError

    def after(self, name: str, x: Tensor, y: Tensor) -> Tensor:
        config = self.settings[name]
        if self.training and config.module_dropout and not bool(torch.rand(1) > config.module_dropout):
            return y
        delta = self.delta(name)
        if self.training and config.rank_dropout:
            kept = (torch.rand(delta.shape[0]) > config.rank_dropout).to(delta)
            if getattr(config, "rank_dropout_scale", self.rescaled):
                kept = kept / kept.mean()
            delta = delta * kept.view(-1, *[1] * (delta.dim() - 1))
        return y + self.through(self.cast(x, name), delta)


def uniform(*shape: int) -> Tensor:
    """Return a matrix drawn as linear layers draw theirs."""
    tensor = torch.empty(shape)
    nn.init.kaiming_uniform_(tensor, a=math.sqrt(5))
    return tensor


class LoHaLayer(LycorisLayer):
    """A layer whose change is (w1_a w1_b) ∘ (w2_a w2_b)."""

    kind: ClassVar[str] = "LOHA"
    holders = ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2")

    def make_factors(self, name: str, config: Any, inputs: int, window: tuple[int, ...]) -> None:
        rank, outputs = self.r[name], self.out_features
        whole = config.use_effective_conv2d and math.prod(window) > 1
        left = (rank, outputs) if whole else (outputs, rank)
        columns = inputs if whole else inputs * math.prod(window)
        made = [uniform(*left), uniform(rank, columns), uniform(*left)]
        last = torch.zeros(rank, columns) if config.init_weights else uniform(rank, columns)
        self.hold(name, hada_w1_a=made[0], hada_w1_b=made[1], hada_w2_a=made[2], hada_w2_b=last)
        if whole:
            inner = (rank, rank, *window, *[1] * (2 - len(window)))
            self.hold(name, hada_t1=uniform(*inner), hada_t2=uniform(*inner))

    def delta(self, name: str) -> Tensor:
        products = []
        for side in ("1", "2"):
            a, b = (getattr(self, f"hada_w{side}_{part}")[name] for part in "ab")
            if name in self.hada_t1:
                core = getattr(self, f"hada_t{side}")[name]
                products.append(torch.einsum("ijkl,jr,ip->prkl", core, b, a))
            else:
                products.append(a @ b)
        change = products[0] * products[1] * self.scaling[name]
        plain: Any = self.get_base_layer()
        window = tuple(getattr(plain, "kernel_size", ()))
        return change.reshape(self.out_features, -1, *window) if window else change
