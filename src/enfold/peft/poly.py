"""Poly: layers have an inventory of low-rank skills, and each task learns which of them it mixes.

Source: Ponti et al., 2023, "Combining Modular Skills in Multitask Learning", https://arxiv.org/abs/2202.13914; several
heads, Caccia et al., 2023, "Multi-Head Adapter Routing for Cross-Task Generalization", https://arxiv.org/abs/2211.03831
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import RelaxedBernoulli

from enfold.peft.config import TargetedConfig, UnsupportedPeftFeature, spelled
from enfold.peft.layer import AdapterLayer
from enfold.peft.loha import uniform
from enfold.peft.tuner import Tuner

__all__ = ["PolyConfig", "PolyLayer", "PolyModel"]


@spelled({})
@dataclass
class PolyConfig(TargetedConfig):
    """How inventories of skills are put into a model.

    Args:
        target_modules, exclude_modules, modules_to_save: which modules.
        r: rank of a skill.
        poly_type: "poly", the only kind of routing.
        n_tasks: how many tasks there are.
        n_skills: how many skills a layer has.
        n_splits: inputs and outputs are cut into so many parts, each with a mixture of its own; it divides them.
        init_weights: begin without a change; random otherwise.

    Example:
        >>> PolyConfig(r=4, n_tasks=3, target_modules=["q"]).peft_type.value
        'POLY'
    """

    kind: ClassVar[str | None] = "POLY"

    r: int = 8
    init_weights: bool = True
    poly_type: str = "poly"
    n_tasks: int = 1
    n_skills: int = 4
    n_splits: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.r < 1:
            raise ValueError(f"r must be at least 1, not {self.r}")
        if self.poly_type != "poly":
            raise ValueError(f"poly_type={self.poly_type!r} is unknown; there is 'poly'")


class PolyModel(Tuner):
    """A model whose layers mix low-rank skills; ``forward`` and ``generate`` take ``task_ids``, one a row."""

    @contextmanager
    def _tasks(self, task_ids: Tensor | None) -> Iterator[None]:
        layers = [layer for layer in self.layers_with_adapters.values() if isinstance(layer, PolyLayer)]
        for layer in layers:
            layer.task_ids = task_ids
        try:
            yield
        finally:
            for layer in layers:
                layer.task_ids = None

    def forward(self, *args: Any, task_ids: Tensor | None = None, **kwargs: Any) -> Any:
        with self._tasks(task_ids):
            return super().forward(*args, **kwargs)

    def generate(self, *args: Any, task_ids: Tensor | None = None, **kwargs: Any) -> Any:
        """Generate as the model does, each row with the skills of its task."""
        with self._tasks(task_ids):
            return self.model.generate(*args, **kwargs)  # type: ignore[operator]


class Router(nn.Module):
    """How much each task takes of each skill.

    Args:
        config: of the adapter.
    """

    def __init__(self, config: PolyConfig) -> None:
        super().__init__()
        self.shape = (config.n_splits, config.n_skills)
        self.module_logits = nn.Parameter(torch.empty(config.n_tasks, config.n_splits * config.n_skills))
        nn.init.uniform_(self.module_logits, -1e-3, 1e-3)

    def forward(self, tasks: Tensor) -> Tensor:
        """Return the shares (B, splits, skills) of tasks (B,); drawn about their means while training."""
        logits = self.module_logits[tasks.to(self.module_logits.device)].unflatten(1, self.shape)
        kept = RelaxedBernoulli(torch.ones_like(logits), logits=logits).rsample() if self.training else logits.sigmoid()
        return kept / (kept.sum(-1, keepdim=True) + 1e-12)


class PolyLayer(AdapterLayer):
    """A linear layer with a mixture of low-rank changes for each row."""

    kind: ClassVar[str] = "POLY"
    holders = ("poly_lora_A", "poly_lora_B", "poly_router")
    additive = False

    def __init__(self, base_layer: nn.Module, config: Any) -> None:
        super().__init__(base_layer, config)
        self.r: dict[str, int] = {}
        self.poly_router = nn.ModuleDict()
        self.task_ids: Tensor | None = None  # of the rows of the next batch

    def check(self, plain: nn.Module) -> None:
        if not isinstance(plain, nn.Linear):
            raise UnsupportedPeftFeature(f"Poly goes on nn.Linear, not on a {type(plain).__name__}")

    def make(self, name: str, config: Any, key: str) -> None:
        splits, skills = config.n_splits, config.n_skills
        if self.in_features % splits or self.out_features % splits:
            sizes = f"{self.in_features} inputs and {self.out_features} outputs"
            raise ValueError(f"{key} has {sizes}, which n_splits={splits} does not divide")
        self.r[name] = config.r
        shapes = ((config.r, self.in_features // splits), (self.out_features // splits, config.r))
        drawn = (torch.stack([uniform(*shape).T for _ in range(splits * skills)]) for shape in shapes)
        first, second = (part.unflatten(0, (splits, skills)) for part in drawn)  # (splits, skills, I, r) and (…, r, O)
        self.hold(name, poly_lora_A=first, poly_lora_B=torch.zeros_like(second) if config.init_weights else second)
        self.poly_router[name] = Router(config)
        self.settings[name] = config

    def after(self, name: str, x: Tensor, y: Tensor) -> Tensor:
        tasks, known = self.task_ids, self.settings[name].n_tasks
        if tasks is None:
            raise ValueError("adapters of skills need task_ids, the task of each row")
        if int(tasks.max()) >= known:
            raise ValueError(f"task_ids has task {int(tasks.max())}, and the adapter knows {known}, from 0")
        shares = self.poly_router[name](tasks)
        first = torch.einsum("bqs,qsir->bqir", shares, self.poly_lora_A[name]).flatten(1, 2)  # (B, I, r)
        second = torch.einsum("bqs,qsro->brqo", shares, self.poly_lora_B[name]).flatten(2)  # (B, r, O)
        return y + self.cast(x, name) @ first @ second / self.r[name]

    def merged_with(self, names: Sequence[str]) -> Any:
        raise UnsupportedPeftFeature("each task has a change of its own: none can be merged into a weight")

    def delete_adapter(self, name: str) -> None:
        super().delete_adapter(name)
        self.r.pop(name, None)
