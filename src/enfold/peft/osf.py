"""OSF: the weight's lesser singular directions train whole, kept apart from those that carry what it knows.

Source: Nayak et al., 2025, "Sculpting Subspaces: Constrained Full Fine-Tuning in LLMs for Continual Learning",
https://arxiv.org/abs/2504.07097
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.peft.config import TargetedConfig, UnsupportedPeftFeature, spelled
from enfold.peft.layer import AdapterLayer

__all__ = ["OSFConfig", "OSFLayer"]


@spelled({})
@dataclass
class OSFConfig(TargetedConfig):
    """How training of lesser directions is put into a model.

    Args:
        target_modules, modules_to_save: which modules.
        effective_rank: how many of the greatest singular directions stay as they are: a number, a share of the weight's
            smaller side (a float up to 1), or None for half of it.
        rank_pattern: regular expression that is searched for in a module's name → the same.
        init_weights: begin without a change; random otherwise.
        target_svd_config: accepted.

    Example:
        >>> OSFConfig(effective_rank=4, target_modules=["q_proj"]).peft_type.value
        'OSF'
    """

    kind: ClassVar[str | None] = "OSF"
    unwritten: ClassVar[frozenset[str]] = frozenset({"exclude_modules"})

    effective_rank: int | float | None = None
    rank_pattern: dict[str, int | float] | None = None
    init_weights: bool | None = True
    target_svd_config: dict[str, int] | None = None

    def rank(self, key: str, least: int) -> int:
        """Return how many directions of the module ``key`` stay, whose smaller side is ``least``."""
        asked = self.effective_rank
        for pattern, value in (self.rank_pattern or {}).items():
            if re.search(pattern, key):
                asked = value
                break
        if asked is None:
            return least // 2
        return min(least, int(least * asked if isinstance(asked, float) and 0 < asked <= 1 else asked))


class OSFLayer(AdapterLayer):
    """A linear layer with the change U S V - U₀ S₀ V₀, of which the first train and the others are the weight's own."""

    kind: ClassVar[str] = "OSF"
    holders = ("osf_svd_params",)

    def __init__(self, base_layer: nn.Module, config: Any) -> None:
        super().__init__(base_layer, config)
        self.effective_rank: dict[str, int] = {}
        self.osf_svd_params = nn.ModuleDict()

    def check(self, plain: nn.Module) -> None:
        if not isinstance(plain, nn.Linear):
            raise UnsupportedPeftFeature(f"OSF goes on nn.Linear, not on a {type(plain).__name__}")

    @torch.no_grad()
    def make(self, name: str, config: Any, key: str) -> None:
        rank = self.effective_rank[name] = config.rank(key, min(self.in_features, self.out_features))
        if rank < 1:
            raise ValueError(f"effective_rank of {key} must be at least 1, and is {rank}")
        left, size, right = torch.linalg.svd(self.get_weight().float(), full_matrices=False)
        begun = {"U_low": left[:, rank:], "S_low": size[rank:], "V_low": right[rank:]}
        made = {
            part: value.clone() if config.init_weights else torch.randn_like(value) for part, value in begun.items()
        }
        self.osf_svd_params[name] = nn.ParameterDict(made)
        # made anew from the weight, and so in no file
        self.settings[name] = (left[:, :rank].clone(), right[:rank].clone(), *(part.clone() for part in begun.values()))

    def _factors(self, name: str) -> tuple[Tensor, Tensor]:
        """Return A (2 n, I) and B (O, 2 n) of the change."""
        held: Any = self.osf_svd_params[name]
        given = (part.to(held["S_low"].device) for part in self.settings[name])
        high_left, high_right, left, size, right = given
        u, v = held["U_low"], held["V_low"]
        if torch.is_grad_enabled() and u.requires_grad:
            # What is learnt stays orthogonal to the directions that are kept.
            u, v = u.view_as(u), v.view_as(v)
            u.register_hook(lambda gradient: gradient - high_left @ (high_left.T @ gradient))
            v.register_hook(lambda gradient: gradient - (gradient @ high_right.T) @ high_right)
        return torch.cat([v, right.to(v.dtype)]), torch.cat([u * held["S_low"], (-left * size).to(u.dtype)], 1)

    def delta(self, name: str) -> Tensor:
        first, second = self._factors(name)
        return second @ first

    def after(self, name: str, x: Tensor, y: Tensor) -> Tensor:
        first, second = self._factors(name)
        return y + F.linear(F.linear(self.cast(x, name), first), second)

    def delete_adapter(self, name: str) -> None:
        super().delete_adapter(name)
        self.effective_rank.pop(name, None)
