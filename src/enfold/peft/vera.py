"""VeRA: all layers share two random matrices; only scales of their rows train.

Source: Kopiczko et al., 2024, "VeRA: Vector-based Random Matrix Adaptation", https://arxiv.org/abs/2310.11454
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

__all__ = ["VeraConfig", "VeraLayer", "VeraModel"]


@spelled({})
@dataclass
class VeraConfig(LayeredConfig):
    """How scales of shared random matrices are put into a model.

    Args:
        target_modules, modules_to_save, layers_to_transform, layers_pattern: which modules.
        r: rank of the shared matrices.
        projection_prng_key: seed that draws them.
        save_projection: write them into the file, so that it does not depend on the random numbers of a platform.
        vera_dropout: dropout on the adapter's input.
        d_initial: first value of the inner scales.
        init_weights: begin without a change; random otherwise.
        fan_in_fan_out: weights are stored as (in, out); set by itself.
        bias: which biases train.
    """

    kind: ClassVar[str | None] = "VERA"
    unwritten: ClassVar[frozenset[str]] = frozenset({"exclude_modules"})

    r: int = 256
    projection_prng_key: int = 0
    save_projection: bool = True
    vera_dropout: float = 0.0
    d_initial: float = 0.1
    fan_in_fan_out: bool = False
    bias: str = "none"
    init_weights: bool = True


class VeraModel(Tuner):
    """A model with learnt scales of two random matrices that its layers share."""

    uses_shared_state = True

    def prepare(self, name: str, config: Any, found: list[tuple[str, nn.Module]]) -> None:
        if "vera_A" not in self._modules:
            self.vera_A = Shared(trained=False, persistent=config.save_projection)
            self.vera_B = Shared(trained=False, persistent=config.save_projection)
        self.agree(config, "projection_prng_key", "save_projection")
        shapes = [plain_shape(module) for _, module in found]
        outputs, inputs = max(shape[0] for shape in shapes), max(shape[1] for shape in shapes)
        generator = torch.Generator().manual_seed(config.projection_prng_key)
        before = next(iter(self.peft_config), name)
        for held, shape in ((self.vera_A, (config.r, inputs)), (self.vera_B, (outputs, config.r))):
            if before in held and held[before].shape == shape:
                held[name] = held[before]  # drawn from one seed, they are the same numbers
                continue
            bound = math.sqrt(6 / shape[1])
            held[name] = torch.empty(shape).uniform_(-bound, bound, generator=generator)
        config.shared = (self.vera_A, self.vera_B)

    def shared_parts(self, adapter_name: str) -> dict[str, Tensor]:
        config: Any = self.peft_config[adapter_name]
        return super().shared_parts(adapter_name) if config.save_projection else {}


class VeraLayer(AdapterLayer):
    """A linear layer with the change diag(b) B diag(d) A, of which b and d train."""

    kind: ClassVar[str] = "VERA"
    holders = ("vera_lambda_b", "vera_lambda_d")
    prefix = "vera_lambda_"

    def __init__(self, base_layer: nn.Module, config: Any) -> None:
        super().__init__(base_layer, config)
        self.vera_dropout = nn.ModuleDict()

    def make(self, name: str, config: Any, key: str) -> None:
        self.vera_dropout[name] = nn.Dropout(config.vera_dropout) if config.vera_dropout else nn.Identity()
        b, d = torch.ones(self.out_features), torch.randn(config.r)
        if config.init_weights:
            b, d = torch.zeros_like(b), torch.full_like(d, config.d_initial)
        self.hold(name, vera_lambda_b=b, vera_lambda_d=d)
        self.settings[name] = config.shared  # in a dictionary, so that the shared part is not a part of each layer

    @property
    def vera_A(self) -> Any:
        """Adapter → the inner matrix that all layers share, (r, the widest input)."""
        return next(iter(self.settings.values()))[0]

    @property
    def vera_B(self) -> Any:
        """Adapter → the outer matrix that all layers share, (the widest output, r)."""
        return next(iter(self.settings.values()))[1]

    def _matrices(self, name: str) -> tuple[Tensor, Tensor]:
        first, second = self.settings[name]
        return first[name][:, : self.in_features], second[name][: self.out_features]

    def delta(self, name: str) -> Tensor:
        first, second = self._matrices(name)
        return (self.vera_lambda_b[name][:, None] * second) @ (self.vera_lambda_d[name][:, None] * first)

    def after(self, name: str, x: Tensor, y: Tensor) -> Tensor:
        first, second = self._matrices(name)
        small = F.linear(self.vera_dropout[name](self.cast(x, name)), first) * self.vera_lambda_d[name]
        return y + self.vera_lambda_b[name] * F.linear(small, second)
