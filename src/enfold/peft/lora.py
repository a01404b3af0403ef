"""Low-rank adapters on one layer: the layer they wrap keeps its weights, beside it train A and B.

Source: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", https://arxiv.org/abs/2106.09685
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.peft.config import LoraConfig, UnsupportedPeftFeature
from enfold.peft.targets import pattern_value

__all__ = ["LoraEmbedding", "LoraLayer", "LoraLinear", "is_conv1d", "is_linear", "lora_layer"]


def is_conv1d(module: nn.Module) -> bool:
    """Say whether ``module`` is GPT-2's linear layer, whose weight is (in, out)."""
    return type(module).__name__ == "Conv1D" and getattr(module, "weight", torch.empty(0)).ndim == 2


def is_linear(module: nn.Module) -> bool:
    """Say whether ``module`` multiplies by a matrix: ``nn.Linear`` or GPT-2's Conv1D."""
    return isinstance(module, nn.Linear) or is_conv1d(module)


class LoraLayer(nn.Module, ABC):
    """A layer with any number of low-rank adapters beside it; subclasses say how an adapter changes the result.

    Attributes:
        base_layer: the wrapped layer, under the name that adapter files expect.
        lora_A, lora_B: adapter name → the two factors.
        scaling: adapter name → factor of the product.
        active_adapters: names in use.
        merged_adapters: names whose product is added into the weight of ``base_layer``.
    """

    def __init__(self, base_layer: nn.Module, fan_in_fan_out: bool = False) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.fan_in_fan_out = fan_in_fan_out
        self.r: dict[str, int] = {}
        self.lora_alpha: dict[str, int] = {}
        self.scaling: dict[str, float] = {}
        self.lora_dropout = nn.ModuleDict()
        self.active_adapters: list[str] = []
        self.merged_adapters: list[str] = []
        self.disable_adapters = False

    @property
    def merged(self) -> bool:
        """Whether some adapter is added into the weight."""
        return bool(self.merged_adapters)

    @property
    def active_adapter(self) -> list[str]:
        """The adapters in use."""
        return self.active_adapters

    @property
    def weight(self) -> Tensor:
        """The wrapped layer's weight."""
        return self.base_layer.weight  # type: ignore[return-value]

    @property
    def bias(self) -> Tensor | None:
        """The wrapped layer's bias."""
        return getattr(self.base_layer, "bias", None)

    def get_base_layer(self) -> nn.Module:
        """Return the wrapped layer."""
        return self.base_layer

    def has_adapter(self, name: str) -> bool:
        """Say whether this layer has the adapter ``name``."""
        return name in self.r

    def add_adapter(self, name: str, config: LoraConfig, rank: int, alpha: int) -> None:
        """Put a new adapter beside the layer, initialised as ``config`` says, on the layer's device."""
        self.r[name], self.lora_alpha[name] = rank, alpha
        self.scaling[name] = alpha / (math.sqrt(rank) if config.use_rslora else rank)
        self.lora_dropout[name] = nn.Dropout(config.lora_dropout) if config.lora_dropout > 0 else nn.Identity()
        self._make(name, rank, config.init_lora_weights)

    @abstractmethod
    def factors(self, name: str) -> list[nn.Parameter]:
        """Return the two trainable matrices of an adapter."""

    @abstractmethod
    def delta(self, name: str) -> Tensor:
        """Return what the adapter adds to the weight, in the weight's own layout, in float32."""

    @abstractmethod
    def _make(self, name: str, rank: int, init: bool | str) -> None: ...

    @abstractmethod
    def _drop(self, name: str) -> None: ...

    def delete_adapter(self, name: str) -> None:
        """Remove an adapter, taking it out of the weight first if it is merged."""
        if name in self.merged_adapters:
            self.unmerge([name])
        for table in (self.r, self.lora_alpha, self.scaling):
            table.pop(name, None)
        if name in self.lora_dropout:
            del self.lora_dropout[name]
        self._drop(name)
        self.active_adapters = [active for active in self.active_adapters if active != name]

    def set_adapter(self, names: list[str], trainable: bool = True) -> None:
        """Use these adapters from now on; those of them that this layer has become trainable, the others do not."""
        self.active_adapters = [name for name in names if name in self.r]
        for name in self.r:
            for factor in self.factors(name):
                factor.requires_grad_(trainable and name in self.active_adapters)

    @torch.no_grad()
    def merge(self, names: list[str] | None = None, safe: bool = False) -> None:
        """Add adapters into the weight.

        Args:
            names: which adapters; None for the active ones.
            safe: compute the new weight aside and refuse it when it is not finite.

        Raises:
            ValueError: ``safe`` and a merged weight holds NaN or infinity.
        """
        wanted = self.active_adapters if names is None else names
        for name in wanted:
            if name not in self.r or name in self.merged_adapters:
                continue
            weight = self.weight
            # Sum in the wider of the two types, so that a half-precision base loses nothing on the way.
            change = self.delta(name)
            merged = (weight.to(change.dtype) + change).to(weight.dtype)
            if safe and not torch.isfinite(merged).all():
                raise ValueError(f"merging adapter {name!r} gives weights that are not finite; nothing was changed")
            weight.copy_(merged)
            self.merged_adapters.append(name)

    @torch.no_grad()
    def unmerge(self, names: list[str] | None = None) -> None:
        """Take merged adapters out of the weight again."""
        for name in reversed(list(self.merged_adapters)):
            if names is None or name in names:
                weight, change = self.weight, self.delta(name)
                weight.copy_((weight.to(change.dtype) - change).to(weight.dtype))
                self.merged_adapters.remove(name)

    def _in_use(self) -> list[str]:
        if self.disable_adapters:
            if self.merged_adapters:
                self.unmerge()
            return []
        if self.merged_adapters:
            return []
        return self.active_adapters


class LoraLinear(LoraLayer):
    """Adapters on a linear layer (``nn.Linear`` or GPT-2's Conv1D)."""

    def __init__(self, base_layer: nn.Module, fan_in_fan_out: bool = False) -> None:
        super().__init__(base_layer, fan_in_fan_out)
        shape = self.weight.shape
        self.out_features, self.in_features = (shape[1], shape[0]) if fan_in_fan_out else (shape[0], shape[1])
        self.lora_A = nn.ModuleDict()
        self.lora_B = nn.ModuleDict()

    def _make(self, name: str, rank: int, init: bool | str) -> None:
        first, second = nn.Linear(self.in_features, rank, bias=False), nn.Linear(rank, self.out_features, bias=False)
        if init is not False:
            if init is True:
                nn.init.kaiming_uniform_(first.weight, a=math.sqrt(5))
            else:
                nn.init.normal_(first.weight, std=1 / rank)
            nn.init.zeros_(second.weight)
        self.lora_A[name], self.lora_B[name] = first.to(self.weight.device), second.to(self.weight.device)

    def _drop(self, name: str) -> None:
        del self.lora_A[name], self.lora_B[name]

    def factors(self, name: str) -> list[nn.Parameter]:
        return [self.lora_A[name].weight, self.lora_B[name].weight]  # type: ignore[list-item]

    def delta(self, name: str) -> Tensor:
        first, second = (factor.float() for factor in self.factors(name))
        product = (second @ first) * self.scaling[name]  # (out, in)
        return product.T if self.fan_in_fan_out else product

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        result = self.base_layer(x, *args, **kwargs)
        names = self._in_use()
        if not names:
            return result
        dtype = result.dtype
        for name in names:
            first, second = self.factors(name)
            small = x if x.dtype == first.dtype or torch.is_autocast_enabled(x.device.type) else x.to(first.dtype)
            # Scaling the rank-r middle and accumulating in the second product saves two passes over the output.
            small = F.linear(self.lora_dropout[name](small), first) * self.scaling[name]  # (…, r)
            flat = result.reshape(-1, self.out_features)
            if not torch.is_autocast_enabled(x.device.type) and flat.dtype != small.dtype:
                flat = flat.to(small.dtype)
            result = torch.addmm(flat, small.reshape(-1, small.shape[-1]), second.t()).view(result.shape)
        return result.to(dtype)


class LoraEmbedding(LoraLayer):
    """Adapters on an embedding table: A is (r, rows) and B is (width, r)."""

    def __init__(self, base_layer: nn.Module, fan_in_fan_out: bool = False) -> None:
        super().__init__(base_layer, fan_in_fan_out)
        self.lora_embedding_A = nn.ParameterDict()
        self.lora_embedding_B = nn.ParameterDict()

    def _make(self, name: str, rank: int, init: bool | str) -> None:
        rows, width = self.weight.shape
        device = self.weight.device
        first, second = torch.randn(rank, rows, device=device), torch.randn(width, rank, device=device)
        if init is not False:
            first, second = torch.zeros_like(first), torch.randn_like(second)
        self.lora_embedding_A[name], self.lora_embedding_B[name] = nn.Parameter(first), nn.Parameter(second)

    def _drop(self, name: str) -> None:
        del self.lora_embedding_A[name], self.lora_embedding_B[name]

    def factors(self, name: str) -> list[nn.Parameter]:
        return [self.lora_embedding_A[name], self.lora_embedding_B[name]]

    def delta(self, name: str) -> Tensor:
        first, second = (factor.float() for factor in self.factors(name))
        return (second @ first).T * self.scaling[name]  # (rows, width)

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        result = self.base_layer(x, *args, **kwargs)
        dtype = result.dtype
        for name in self._in_use():
            rows = F.embedding(
                x, self.lora_embedding_A[name].T, padding_idx=getattr(self.base_layer, "padding_idx", None)
            )
            result = result + (rows @ self.lora_embedding_B[name].T) * self.scaling[name]
        return result.to(dtype)


def lora_layer(module: nn.Module, key: str, config: LoraConfig) -> LoraLayer:
    """Wrap the module named ``key``, without an adapter yet.

    Raises:
        UnsupportedPeftFeature: the module is of a kind that takes no adapter.
    """
    if is_conv1d(module):
        return LoraLinear(module, fan_in_fan_out=True)
    if isinstance(module, nn.Linear):
        return LoraLinear(module)
    if isinstance(module, nn.Embedding):
        return LoraEmbedding(module)
    raise UnsupportedPeftFeature(
        f"target module {key!r} is a {type(module).__name__}; adapters go on Linear, Embedding and Conv1D layers"
    )


def rank_and_alpha(config: LoraConfig, key: str) -> tuple[int, int]:
    """Return rank and alpha for the module ``key``, after ``rank_pattern`` and ``alpha_pattern``."""
    return pattern_value(config.rank_pattern, key, config.r), pattern_value(
        config.alpha_pattern, key, config.lora_alpha
    )
