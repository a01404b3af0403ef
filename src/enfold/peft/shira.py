"""SHiRA: a few of the weight's own numbers train, at places that a mask chooses, and so a change of any rank.

Source: Bhardwaj et al., 2024, "Sparse High Rank Adapters", https://arxiv.org/abs/2406.13175
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from enfold.log import get_logger
from enfold.peft.config import TargetedConfig, UnsupportedPeftFeature, spelled
from enfold.peft.layer import AdapterLayer
from enfold.peft.tuner import Shared

__all__ = ["ShiraConfig", "ShiraLayer", "random_mask"]

logger = get_logger(__name__)


def random_mask(base_layer: nn.Module, r: int, random_seed: int | None = None, **kwargs: Any) -> Tensor:
    """Return a mask (out, in) of ``r · (in + out)`` places of a linear layer, drawn at random.

    Args:
        base_layer: the layer.
        r: rank of the low-rank adapter that would train as many numbers.
        random_seed: seed that draws them.
    """
    weight: Any = base_layer.weight
    generator = torch.Generator()
    if random_seed is not None:
        generator.manual_seed(random_seed)
    mask = torch.zeros(weight.numel(), dtype=torch.bool)
    mask[torch.randperm(weight.numel(), generator=generator)[: r * sum(weight.shape)]] = True
    return mask.view(weight.shape).to(weight.device)


@spelled({})
@dataclass
class ShiraConfig(TargetedConfig):
    """How sparse changes are put into a model.

    Args:
        target_modules, modules_to_save: which modules.
        r: a layer trains ``r · (in + out)`` numbers, as many as a low-rank adapter of this rank.
        mask_type: "random" draws the places. Anything else leaves them to the attribute ``mask_fn``, which is set
            after the configuration is made: ``mask_fn(base_layer, r, **kwargs)`` returns a mask (out, in) of zeros and
            ones with that many ones.
        random_seed: seed that draws the places.
        init_weights: begin without a change; random otherwise.
        fan_in_fan_out: accepted.

    Example:
        >>> ShiraConfig(r=4, target_modules=["q_proj"]).peft_type.value
        'SHIRA'
    """

    kind: ClassVar[str | None] = "SHIRA"
    unwritten: ClassVar[frozenset[str]] = frozenset({"exclude_modules"})

    r: int = 32
    mask_type: str = "random"
    random_seed: int | None = None
    fan_in_fan_out: bool = False
    init_weights: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.r < 1:
            raise ValueError(f"r must be at least 1, not {self.r}")
        self.mask_fn: Callable[..., Tensor] | None = random_mask if self.mask_type == "random" else None
        if self.mask_fn is None and not self.inference_mode:
            logger.warning("mask_type=%r names no mask of ours: set config.mask_fn before training", self.mask_type)


class ShiraLayer(AdapterLayer):
    """A linear layer with a sparse change."""

    kind: ClassVar[str] = "SHIRA"
    holders = ("shira_weight", "shira_indices")

    def __init__(self, base_layer: nn.Module, config: Any) -> None:
        super().__init__(base_layer, config)
        self.r: dict[str, int] = {}
        self.scaling: dict[str, float] = {}
        self.shira_indices = Shared(trained=False)
        self.unplaced: set[str] = set()  # adapters without a mask, whose places a file has to bring

    def check(self, plain: nn.Module) -> None:
        if not isinstance(plain, nn.Linear):
            raise UnsupportedPeftFeature(f"SHiRA goes on nn.Linear, not on a {type(plain).__name__}")

    def make(self, name: str, config: Any, key: str) -> None:
        count = config.r * (self.in_features + self.out_features)
        if count > self.weight.numel():
            raise ValueError(f"r={config.r} asks for {count} numbers of {key}, whose weight has {self.weight.numel()}")
        places = torch.zeros(2, count, dtype=torch.int32)  # which a file fills where there is no mask
        if config.mask_fn is not None:
            more = {"random_seed": config.random_seed} if config.mask_type == "random" else {}
            places = torch.stack(torch.where(config.mask_fn(self.get_base_layer(), config.r, **more) == 1)).int()
        else:
            self.unplaced.add(name)
        if places.shape[1] != count:
            raise ValueError(f"the mask of {key} has {places.shape[1]} ones and must have r · (in + out) = {count}")
        self.r[name], self.scaling[name] = config.r, 1.0
        self.hold(name, shira_weight=torch.zeros(count) if config.init_weights else torch.randn(count))
        self.shira_indices[name] = places
        self.settings[name] = config

    def parts(self, name: str) -> Iterator[nn.Parameter]:
        if name in self.shira_weight:
            yield self.shira_weight[name]

    def set_scale(self, adapter: str, scale: float) -> None:
        """Multiply the change of an adapter by ``scale``."""
        if adapter in self.scaling:
            self.scaling[adapter] = scale

    def delta(self, name: str) -> Tensor:
        values = self.shira_weight[name] * self.scaling[name]
        if name in self.unplaced:
            if not self.shira_indices[name].any():
                raise ValueError(
                    f"the adapter {name!r} has no mask: set mask_fn of its configuration before it is put into a model"
                )
            self.unplaced.discard(name)
        row, column = self.shira_indices[name].to(values.device).long()
        return values.new_zeros(self.out_features, self.in_features).index_put((row, column), values)

    def delete_adapter(self, name: str) -> None:
        super().delete_adapter(name)
        self.unplaced.discard(name)
        for table in (self.r, self.scaling):
            table.pop(name, None)
