"""RandLoRA: changes of full rank, sums of random low-rank matrices that all layers share; only their scales train.

Source: Albert et al., 2025, "RandLoRA: Full-rank parameter-efficient fine-tuning of large models",
https://arxiv.org/abs/2502.00987
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.peft.config import LayeredConfig, spelled
from enfold.peft.layer import AdapterLayer, plain_shape
from enfold.peft.tuner import Shared, Tuner

__all__ = ["RandLoraConfig", "RandLoraLayer", "RandLoraModel"]


@spelled({})
@dataclass
class RandLoraConfig(LayeredConfig):
    """How sums of scaled random matrices are put into a model.

    Args:
        target_modules, modules_to_save, layers_to_transform, layers_pattern: which modules.
        r: rank of each matrix; the smaller it is, the more of them there are and the more trains.
        projection_prng_key: seed that draws them.
        save_projection: write them into the file, so that it does not depend on the random numbers of a platform.
        sparse: they hold only 0, 1 and -1, two thirds of them 0.
        very_sparse: as ``sparse``, with one of 1 and -1 in sqrt(D) numbers each, D the smallest side of a layer.
        randlora_dropout: dropout on the adapter's input.
        randlora_alpha: scale is ``randlora_alpha / r``.
        init_weights: begin without a change; random otherwise.
        fan_in_fan_out: weights are stored as (in, out); set by itself.
        bias: which biases train.

    Example:
        >>> RandLoraConfig(r=4, target_modules=["q_proj"]).peft_type.value
        'RANDLORA'
    """

    kind: ClassVar[str | None] = "RANDLORA"
    unwritten: ClassVar[frozenset[str]] = frozenset({"exclude_modules"})

    r: int = 32
    projection_prng_key: int = 0
    save_projection: bool = True
    sparse: bool = False
    very_sparse: bool = False
    randlora_dropout: float = 0.0
    randlora_alpha: int = 640
    fan_in_fan_out: bool = False
    bias: str = "none"
    init_weights: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.r < 1:
            raise ValueError(f"r must be at least 1, not {self.r}")


class RandLoraModel(Tuner):
    """A model with learnt scales of random matrices that its layers share."""

    uses_shared_state = True
    repeated = (".randlora_A", ".randlora_B")

    def prepare(self, name: str, config: Any, found: list[tuple[str, nn.Module]]) -> None:
        if "randlora_A" not in self._modules:
            self.randlora_A = Shared(trained=False, persistent=config.save_projection)
            self.randlora_B = Shared(trained=False, persistent=config.save_projection)
        self.agree(config, "projection_prng_key", "save_projection")
        outputs, inputs = (max(plain_shape(module)[side] for _, module in found) for side in (0, 1))
        small, large = sorted((outputs, inputs))
        count = math.ceil(small / config.r)
        generator = torch.Generator().manual_seed(config.projection_prng_key)
        if config.sparse or config.very_sparse:
            share = 0.5 / (math.sqrt(small) if config.very_sparse else 3)  # of 1 among the numbers, and of -1
            first, second = (
                (drawn > 1 - share).float() - (drawn < share).float()
                for drawn in (
                    torch.rand(config.r, 1, small, generator=generator),
                    torch.rand(large, count, config.r, generator=generator),
                )
            )
        else:
            first = _drawn(config.r, small, generator)
            second = torch.cat([_drawn(large, config.r, generator) for _ in range(count)], 1)
        self.randlora_A[name], self.randlora_B[name] = first / first.std(), second / second.std()
        config.shared = (self.randlora_A, self.randlora_B)

    def shared_parts(self, adapter_name: str) -> dict[str, Tensor]:
        config: Any = self.peft_config[adapter_name]
        return super().shared_parts(adapter_name) if config.save_projection else {}


def _drawn(rows: int, width: int, generator: torch.Generator) -> Tensor:
    """Return (rows, 1, width) drawn as linear layers draw theirs, in the type that files have them in."""
    bound = math.sqrt(1 / width)
    return torch.empty(rows, 1, width, dtype=torch.bfloat16).uniform_(-bound, bound, generator=generator)


class RandLoraLayer(AdapterLayer):
    """A linear layer with the change Σᵢ Bᵢ diag(λᵢ) A diag(γᵢ), turned where it has more inputs than outputs."""

    kind: ClassVar[str] = "RANDLORA"
    holders = ("randlora_lambda", "randlora_gamma")

    def __init__(self, base_layer: nn.Module, config: Any) -> None:
        super().__init__(base_layer, config)
        self.r: dict[str, int] = {}
        self.scaling: dict[str, float] = {}
        self.randlora_dropout = nn.ModuleDict()

    def make(self, name: str, config: Any, key: str) -> None:
        self.r[name], self.scaling[name] = config.r, config.randlora_alpha / config.r
        self.randlora_dropout[name] = nn.Dropout(config.randlora_dropout) if config.randlora_dropout else nn.Identity()
        small, large = sorted((self.in_features, self.out_features))
        count = math.ceil(small / config.r)
        inner, outer = torch.randn(config.r, count), torch.full((count, small), 1 / large)
        if config.init_weights:
            inner, outer = torch.zeros_like(inner), torch.full_like(outer, 1 / max(count, small))
        self.hold(name, randlora_lambda=inner, randlora_gamma=outer)
        self.settings[name] = config.shared  # in a dictionary, so that the shared part is not a part of each layer

    @property
    def randlora_A(self) -> Any:
        """Adapter → the inner matrix that all layers share, (r, 1, the smaller of the widest sides)."""
        return next(iter(self.settings.values()))[0]

    @property
    def randlora_B(self) -> Any:
        """Adapter → the outer matrices that all layers share, (the larger of the widest sides, matrices, r)."""
        return next(iter(self.settings.values()))[1]

    def _factors(self, name: str) -> tuple[Tensor, Tensor]:
        """Return A (r · matrices, I) and B (O, r · matrices) of this layer."""
        inner, outer = self.randlora_lambda[name], self.randlora_gamma[name]
        small, large = sorted((self.in_features, self.out_features))
        # Ranks come first in one and matrices in the other: files are of this order.
        first = (inner[:, :, None] * self.randlora_A[name][:, :, :small].to(inner) * outer).flatten(0, 1)
        second = self.randlora_B[name][:large, : len(outer)].to(inner).flatten(1)
        return (first, second) if self.in_features == small else (second.T, first.T)

    def delta(self, name: str) -> Tensor:
        first, second = self._factors(name)
        return second @ first * self.scaling[name]

    def after(self, name: str, x: Tensor, y: Tensor) -> Tensor:
        first, second = self._factors(name)
        small = F.linear(self.randlora_dropout[name](self.cast(x, name)), first) * self.scaling[name]
        return y + F.linear(small, second)

    def delete_adapter(self, name: str) -> None:
        super().delete_adapter(name)
        for table in (self.r, self.scaling):
            table.pop(name, None)
        if name in self.randlora_dropout:
            del self.randlora_dropout[name]
