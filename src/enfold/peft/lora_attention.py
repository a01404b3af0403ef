"""Low-rank adapters on torch's own attention, whose projections are not layers that could be wrapped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from enfold.peft.config import UnsupportedPeftFeature
from enfold.peft.layer import AdapterLayer
from enfold.peft.lora import EMPTY, LoraLayer
from enfold.peft.starts import start

__all__ = ["LoraAttention"]


class LoraAttention(LoraLayer):
    """Adapters on ``nn.MultiheadAttention``: on query, key and value at once, and on the output.

    The changes are added to both weights for the length of a forward pass, so that the layer computes as it does.
    There is no dropout on the way, and no row of a batch has an adapter of its own.
    """

    holders = (*LoraLayer.holders, "out_A", "out_B")

    def __init__(self, base_layer: nn.Module, config: Any) -> None:
        super().__init__(base_layer, config)
        self.lora_A, self.lora_B = nn.ModuleDict(), nn.ModuleDict()
        self.out_A, self.out_B = nn.ModuleDict(), nn.ModuleDict()

    def __getattr__(self, name: str) -> Any:
        """Return what the wrapped attention has: layers around it ask for its widths and weights."""
        try:
            return nn.Module.__getattr__(self, name)
        except AttributeError:
            if name == "base_layer":
                raise
            if name == "_qkv_same_embed_dim":  # torch's encoder layers would compute past a layer that says so
                return not self.in_use() and self.get_base_layer()._qkv_same_embed_dim
            return getattr(self.get_base_layer(), name)

    @classmethod
    def wrap(cls, module: nn.Module, config: Any) -> AdapterLayer:
        if not getattr(module, "_qkv_same_embed_dim", True):
            raise UnsupportedPeftFeature("is an attention whose keys or values are of another width than its queries")
        for name in ("use_dora", "lora_bias"):
            if getattr(config, name, False):
                raise UnsupportedPeftFeature(f"is a MultiheadAttention, which takes no {name}")
        return cls(module, config)

    def make_factors(self, name: str, rank: int, config: Any) -> None:
        width = int(self.get_base_layer().embed_dim)  # type: ignore[arg-type]
        shapes = {"lora_A": (width, rank), "lora_B": (rank, 3 * width), "out_A": (width, rank), "out_B": (rank, width)}
        for holder, (into, out) in shapes.items():
            getattr(self, holder)[name] = nn.Linear(into, out, bias=False)
        if config.init_lora_weights is not EMPTY:
            for part in ("in", "out"):
                start(_Part(self, part), name, config)  # type: ignore[arg-type]

    def factors(self, name: str) -> list[nn.Parameter]:
        return [self.lora_A[name].weight, self.lora_B[name].weight]  # type: ignore[list-item]

    def parts(self, name: str) -> Iterator[nn.Parameter]:
        for holder in ("lora_A", "lora_B", "out_A", "out_B"):
            if name in getattr(self, holder):
                yield getattr(self, holder)[name].weight

    def saved_names(self, name: str) -> dict[str, str]:
        files = {"out_A": "base_layer.out_proj.lora_A", "out_B": "base_layer.out_proj.lora_B"}
        return {
            f"{files.get(holder, holder)}.weight": f"{holder}.{name}.weight"
            for holder in ("lora_A", "lora_B", "out_A", "out_B")
            if name in getattr(self, holder)
        }

    # --- the two weights --------------------------------------------------------------------------------------------

    @property
    def weight(self) -> Tensor:
        """The weight of query, key and value, one below the other."""
        return self.get_base_layer().in_proj_weight  # type: ignore[return-value]

    @property
    def bias(self) -> Tensor | None:
        """Their bias, which no adapter changes."""
        return None

    @property
    def out_weight(self) -> Tensor:
        """The weight of the output."""
        return self.get_base_layer().out_proj.weight  # type: ignore[union-attr, return-value]

    def out_delta(self, name: str) -> Tensor:
        """Return what an adapter adds to the weight of the output."""
        first, second = (part[name].get_parameter("weight").float() for part in (self.out_A, self.out_B))
        # The ecosystem adds it once as a weight and once more as a layer, and its adapters are trained so.
        return (second @ first) * (2 * self.scaling[name])

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        names = self.in_use()
        if self.batch is not None and not self.disable_adapters:
            raise UnsupportedPeftFeature("rows of a batch cannot have adapters of their own on a MultiheadAttention")
        if not names:
            return self.base_layer(x, *args, **kwargs)
        into, out = self.weight, self.out_weight
        for name in names:
            into = into + self.delta(name).to(into.dtype)
            out = out + self.out_delta(name).to(out.dtype)
        changed = {"in_proj_weight": into, "out_proj.weight": out}
        return torch.func.functional_call(self.base_layer, changed, (x, *args), kwargs)

    # --- merging ----------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def merge(self, safe_merge: bool = False, adapter_names: Sequence[str] | None = None) -> None:
        for name in self.active_adapters if adapter_names is None else adapter_names:
            if name in self.settings and name not in self.merged_adapters:
                out = self.out_weight + self.out_delta(name).to(self.out_weight.dtype)
                if safe_merge and not torch.isfinite(out).all():
                    raise ValueError(f"merging adapter {name!r} gives weights that are not finite; nothing was changed")
                super().merge(safe_merge, [name])
                self.out_weight.copy_(out)

    @torch.no_grad()
    def unmerge(self, names: Sequence[str] | None = None) -> None:
        for name in [name for name in reversed(self.merged_adapters) if names is None or name in names]:
            self.out_weight.sub_(self.out_delta(name).to(self.out_weight.dtype))
            super().unmerge([name])


class _Part:
    """One of the two weights, as a start sees a layer."""

    def __init__(self, layer: LoraAttention, part: str) -> None:
        self.layer, self.out = layer, part == "out"
        self.lora_embedding_A: dict[str, Any] = {}
        self.lora_B = layer.out_B if self.out else layer.lora_B
        self.r, self.scaling = layer.r, layer.scaling

    def factors(self, name: str) -> list[nn.Parameter]:
        layer = self.layer
        return [layer.out_A[name].weight, layer.out_B[name].weight] if self.out else layer.factors(name)  # type: ignore[list-item]

    def get_weight(self) -> Tensor:
        return self.layer.out_weight if self.out else self.layer.weight

    def set_weight(self, weight: Tensor) -> None:
        self.get_weight().copy_(weight)
