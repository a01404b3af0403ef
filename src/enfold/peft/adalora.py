"""AdaLoRA: low-rank adapters that begin with a rank too many, and lose those that matter least while they train.

Source: Zhang et al., 2023, "AdaLoRA: Adaptive Budget Allocation for Parameter-Efficient Fine-Tuning",
https://arxiv.org/abs/2303.10512
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from enfold.peft.config import UnsupportedPeftFeature, spelled
from enfold.peft.layer import is_linear
from enfold.peft.lora import LoraLayer
from enfold.peft.lora_config import LoraConfig
from enfold.peft.tuner import Tuner

__all__ = ["AdaLoraConfig", "AdaLoraLayer", "AdaLoraModel", "RankAllocator"]


@spelled({"alpha": "lora_alpha"})
@dataclass
class AdaLoraConfig(LoraConfig):
    """How adapters that lose ranks are put into a model; ``r`` is not looked at.

    Args:
        target_r: average rank in the end.
        init_r: rank of every layer at first.
        tinit: steps before the first rank goes.
        tfinal: steps after the last rank has gone.
        deltaT: steps between two changes.
        beta1, beta2: how slowly the averages of sensitivity and of its uncertainty move.
        orth_reg_weight: weight of the term that keeps A and B orthogonal.
        total_step: steps of training in all.
        rank_pattern: file key of each E → which of its ranks are left.
    """

    kind: ClassVar[str | None] = "ADALORA"

    target_r: int = 8
    init_r: int = 12
    tinit: int = 0
    tfinal: int = 0
    deltaT: int = 1
    beta1: float = 0.85
    beta2: float = 0.85
    orth_reg_weight: float = 0.5
    total_step: int | None = None
    rank_pattern: dict[str, Any] | None = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.use_dora or self.loftq_config:
            raise ValueError("AdaLoRA takes neither use_dora nor loftq_config")
        if self.total_step is None or self.total_step < 1:
            raise ValueError(f"AdaLoRA needs to know total_step, the number of training steps; it is {self.total_step}")
        if self.tinit >= self.total_step - self.tfinal:
            raise ValueError(
                f"tinit={self.tinit} and tfinal={self.tfinal} leave no step of {self.total_step} to lose ranks"
            )
        if self.orth_reg_weight < 0:
            raise ValueError(f"orth_reg_weight must not be negative, and is {self.orth_reg_weight}")


class AdaLoraLayer(LoraLayer):
    """A linear layer with the change B diag(E) A."""

    kind: ClassVar[str] = "ADALORA"
    holders = ("lora_A", "lora_B", "lora_E", "ranknum")
    untrained = frozenset({"ranknum"})
    bare = False  # files do not have ranknum

    @classmethod
    def wrap(cls, module: nn.Module, config: Any) -> AdaLoraLayer:
        return cls(module, config)

    def check(self, plain: nn.Module) -> None:
        if not is_linear(plain):
            raise UnsupportedPeftFeature(f"AdaLoRA goes on linear layers, not on a {type(plain).__name__}")

    def make(self, name: str, config: Any, key: str) -> None:
        rank = config.init_r
        self.r[name], self.lora_alpha[name] = rank, config.lora_alpha
        self.scaling[name] = self.unscaled[name] = float(config.lora_alpha if config.lora_alpha > 0 else rank)
        self.lora_dropout[name] = nn.Dropout(config.lora_dropout) if config.lora_dropout > 0 else nn.Identity()
        first, scales = torch.randn(rank, self.in_features), torch.randn(rank, 1)
        second = torch.randn(self.out_features, rank)
        if config.init_lora_weights:
            scales = torch.zeros_like(scales)
            nn.init.normal_(first, std=0.02)
            nn.init.normal_(second, std=0.02)
        self.hold(name, lora_A=first, lora_B=second, lora_E=scales)
        self.ranknum[name] = nn.Parameter(torch.tensor([float(rank)]), requires_grad=False)
        self.settings[name] = config

    def keep(self, name: str, ranks: list[bool]) -> None:
        """Keep only some ranks of an adapter, as files of trained ones do; what divides the change stays."""
        kept = torch.tensor(ranks)
        if len(kept) != len(self.lora_E[name]):
            return
        training = self.lora_E[name].requires_grad
        first, second, scales = self.lora_A[name], self.lora_B[name], self.lora_E[name]
        self.hold(name, lora_A=first.detach()[kept], lora_B=second.detach()[:, kept], lora_E=scales.detach()[kept])
        self.r[name] = int(kept.sum())
        for part in self.parts(name):
            part.requires_grad_(training)

    def factors(self, name: str) -> list[Any]:
        return [self.lora_A[name] * self.lora_E[name] / (self.ranknum[name] + 1e-5), self.lora_B[name]]

    def project(self, name: str, x: Tensor) -> Tensor:
        first, second = self.factors(name)
        return (x @ first.T) @ second.T * self.scaling[name]

    def after(self, name: str, x: Tensor, y: Tensor) -> Tensor:
        return y + self.project(name, self.lora_dropout[name](self.cast(x, name)))

    def changed(self, name: str, weight: Tensor) -> Tensor:
        return weight + self.delta(name).to(weight.dtype)

    def restored(self, name: str, weight: Tensor) -> Tensor:
        return weight - self.delta(name).to(weight.dtype)


class RankAllocator:
    """Decides which ranks go: those whose entries, times their gradients, have been small and surely so.

    Args:
        layers: module name → layer.
        config: of the adapter.
        adapter_name: the adapter.
    """

    def __init__(self, layers: dict[str, AdaLoraLayer], config: AdaLoraConfig, adapter_name: str) -> None:
        self.layers, self.peft_config, self.adapter_name = layers, config, adapter_name
        self.init_bgt = sum(layer.r[adapter_name] for layer in layers.values())
        self.target_bgt = config.target_r * len(layers)
        self.reset_ipt()

    def reset_ipt(self) -> None:
        """Forget what was seen."""
        self.exp_avg_ipt: dict[tuple[str, str], Tensor] = {}
        self.exp_avg_unc: dict[tuple[str, str], Tensor] = {}

    def budget_schedule(self, step: int) -> tuple[int, bool]:
        """Return how many ranks there may be in all at a step, and whether that is acted on."""
        config = self.peft_config
        total = config.total_step or 0
        if step <= config.tinit:
            return self.init_bgt, False
        if step > total - config.tfinal:
            return self.target_bgt, True
        left = 1 - (step - config.tinit) / (total - config.tfinal - config.tinit)
        budget = int((self.init_bgt - self.target_bgt) * left**3 + self.target_bgt)
        return budget, step % config.deltaT == 0

    @torch.no_grad()
    def update_ipt(self) -> None:
        """Take the gradients of this step into the averages."""
        first, second = self.peft_config.beta1, self.peft_config.beta2
        for key, layer in self.layers.items():
            for holder in ("lora_A", "lora_B", "lora_E"):
                part = getattr(layer, holder)[self.adapter_name]
                if part.grad is None:
                    raise ValueError(f"{key}.{holder} has no gradient: call update_and_allocate after backward()")
                now, place = (part * part.grad).abs(), (key, holder)
                average = self.exp_avg_ipt.get(place, torch.zeros_like(now))
                doubt = self.exp_avg_unc.get(place, torch.zeros_like(now))
                average = first * average + (1 - first) * now
                self.exp_avg_ipt[place] = average
                self.exp_avg_unc[place] = second * doubt + (1 - second) * (now - average).abs()

    @torch.no_grad()
    def mask_to_budget(self, budget: int) -> dict[str, list[bool]]:
        """Set the least important E to zero and return which are left, by name."""
        scores = {}
        for key in self.layers:
            a, b, e = (
                self.exp_avg_ipt[key, holder] * self.exp_avg_unc[key, holder]
                for holder in ("lora_A", "lora_B", "lora_E")
            )
            scores[key] = e.flatten() + (a.mean(1) + b.mean(0))
        dropped = self.init_bgt - budget
        everything = torch.cat(list(scores.values()))
        limit = everything.kthvalue(dropped)[0] if dropped > 0 else everything.new_tensor(float("-inf"))
        pattern = {}
        for key, layer in self.layers.items():
            kept = scores[key] > limit
            layer.lora_E[self.adapter_name].masked_fill_(~kept[:, None], 0.0)
            pattern[f"{key}.lora_E.{self.adapter_name}"] = kept.tolist()
        return pattern

    def update_and_allocate(self, step: int, force_mask: bool = False) -> tuple[int, dict[str, list[bool]] | None]:
        """Take a step; return the budget and, where ranks went, which are left."""
        config = self.peft_config
        if step < (config.total_step or 0) - config.tfinal:
            self.update_ipt()
        budget, due = self.budget_schedule(step)
        return budget, self.mask_to_budget(budget) if due or force_mask else None

    @torch.no_grad()
    def mask_using_rank_pattern(self, pattern: dict[str, Any]) -> None:
        """Set those E to zero that ``pattern`` leaves out."""
        for key, layer in self.layers.items():
            name = f"{key}.lora_E"
            kept = pattern.get(f"{name}.{self.adapter_name}", pattern.get(name))
            layer.lora_E[self.adapter_name].masked_fill_(~torch.tensor(kept)[:, None], 0.0)


class AdaLoraModel(Tuner):
    """A model with adapters that lose ranks: call :meth:`update_and_allocate` after every ``backward()``."""

    rankallocator: RankAllocator | None = None
    trainable_adapter_name: str | None = None

    def check(self, name: str, config: Any) -> None:
        if not config.inference_mode and any(not other.inference_mode for other in self.peft_config.values()):
            raise ValueError("one AdaLoRA adapter trains at a time: set inference_mode=True for the others")
        super().check(name, config)

    def add_adapter(self, name: str, config: Any, *args: Any, **kwargs: Any) -> None:
        super().add_adapter(name, config, *args, **kwargs)
        if not config.inference_mode:
            self.trainable_adapter_name = name
            self.rankallocator = RankAllocator(self._ours(name), config, name)

    def _ours(self, name: str) -> dict[str, AdaLoraLayer]:
        return {
            key: layer
            for key, layer in sorted(self.places.items())
            if isinstance(layer, AdaLoraLayer) and layer.has_adapter(name)
        }

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        output = self.model(*args, **kwargs)
        loss, name = getattr(output, "loss", None), self.trainable_adapter_name
        if not isinstance(loss, Tensor) or name is None:
            return output
        weight = self.peft_config[name].orth_reg_weight  # type: ignore[attr-defined]
        terms = []
        for layer in self._ours(name).values():
            a, b = layer.lora_A[name], layer.lora_B[name]
            for square in (a @ a.T, b.T @ b):
                terms.append(torch.linalg.norm(square - torch.eye(len(square)).to(square)))
        output.loss = loss + weight * torch.stack(terms).mean()
        return output

    def update_and_allocate(self, global_step: int) -> None:
        """Let ranks go as the schedule says; call it after ``backward()`` and before the gradients are cleared."""
        if self.rankallocator is None or self.trainable_adapter_name is None:
            raise ValueError("no adapter trains: ranks go during training only")
        config: Any = self.peft_config[self.trainable_adapter_name]
        last = config.total_step - config.tfinal
        if global_step > last:
            self.rankallocator.mask_using_rank_pattern(config.rank_pattern)
            return
        _, pattern = self.rankallocator.update_and_allocate(global_step, force_mask=global_step == last)
        if pattern:
            config.rank_pattern = pattern
        if global_step == last:
            self.rankallocator.reset_ipt()

    def written(self, adapter: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return what files hold: only the ranks that are left."""
        config: Any = self.peft_config[adapter]
        if not config.rank_pattern:
            return tensors
        ending = f".{adapter}"
        config.rank_pattern = {key.removesuffix(ending): value for key, value in config.rank_pattern.items()}
        for name, ranks in config.rank_pattern.items():
            kept = torch.tensor(ranks)
            place = name.removesuffix(".lora_E")
            for key in [key for key in tensors if key.rpartition(".")[0].endswith(place)]:
                part = tensors[key]
                across = key.endswith("lora_B")
                if part.shape[1 if across else 0] == len(kept):
                    tensors[key] = part[:, kept] if across else part[kept]
        return tensors

    def about_to_read(self, adapter: str) -> None:
        """Keep the ranks that the adapter's file holds."""
        config: Any = self.peft_config[adapter]
        for name, ranks in (config.rank_pattern or {}).items():
            layer = self.places.get(name.removesuffix(f".{adapter}").removesuffix(".lora_E"))
            if isinstance(layer, AdaLoraLayer):
                layer.keep(adapter, list(ranks))
