"""Low-rank adapters on one layer: the layer they wrap keeps its weights, beside it train A and B.

Source: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", https://arxiv.org/abs/2106.09685; with
``use_dora``, Liu et al., "DoRA: Weight-Decomposed Low-Rank Adaptation", https://arxiv.org/abs/2402.09353
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.checkpoints import without_weights
from enfold.peft.config import UnsupportedPeftFeature
from enfold.peft.layer import AdapterLayer, is_conv1d, is_linear
from enfold.peft.lora_config import LoraConfig
from enfold.peft.starts import start
from enfold.peft.targets import pattern_value

__all__ = ["LoraConv", "LoraEmbedding", "LoraLayer", "LoraLinear", "is_conv1d", "is_linear", "rank_and_alpha"]


class LoraLayer(AdapterLayer):
    """A layer with any number of low-rank adapters beside it; subclasses say how x meets the factors.

    Attributes:
        r, lora_alpha: adapter → its numbers.
        scaling: adapter → factor of the product.
        lora_magnitude_vector: adapter → the learnt lengths of the weight's rows, where it has them.
    """

    kind: ClassVar[str] = "LORA"
    bare: ClassVar[bool] = True
    holders: ClassVar[tuple[str, ...]] = (
        "lora_A",
        "lora_B",
        "lora_embedding_A",
        "lora_embedding_B",
        "lora_magnitude_vector",
    )

    def __init__(self, base_layer: nn.Module, config: LoraConfig) -> None:
        super().__init__(base_layer, config)
        self.r: dict[str, int] = {}
        self.lora_alpha: dict[str, int] = {}
        self.scaling: dict[str, float] = {}
        self.unscaled: dict[str, float] = {}  # as the configuration says, whatever set_scale makes of it
        self.lora_dropout = nn.ModuleDict()
        self.norms: tuple[Any, Tensor] | None = None

    @classmethod
    def wrap(cls, module: nn.Module, config: Any) -> AdapterLayer:
        plain = module.get_base_layer() if isinstance(module, AdapterLayer) else module  # beneath another kind's
        if is_linear(plain):
            return LoraLinear(module, config)
        if isinstance(plain, nn.Embedding):
            return LoraEmbedding(module, config)
        if isinstance(plain, nn.Conv1d | nn.Conv2d | nn.Conv3d):
            return LoraConv(module, config)
        if isinstance(module, nn.MultiheadAttention):
            from enfold.peft.lora_attention import LoraAttention

            return LoraAttention.wrap(module, config)
        raise UnsupportedPeftFeature(
            f"is a {type(module).__name__}; adapters go on Linear, Embedding, Conv1d, Conv2d, Conv3d, Conv1D and "
            "MultiheadAttention layers"
        )

    def check(self, plain: nn.Module) -> None:
        return None

    def make(self, name: str, config: Any, key: str) -> None:
        rank, alpha = rank_and_alpha(config, key)
        self.resize(name, rank, alpha, config.use_rslora)
        self.settings[name] = config
        self.lora_dropout[name] = nn.Dropout(config.lora_dropout) if config.lora_dropout > 0 else nn.Identity()
        self.make_factors(name, rank, config)
        if config.use_dora:
            with torch.no_grad():
                self.hold(name, lora_magnitude_vector=self.spread(self.lengths(name)))

    def resize(self, name: str, rank: int, alpha: int, rslora: bool) -> None:
        """Note rank and alpha, and the scale that follows."""
        self.r[name], self.lora_alpha[name] = rank, alpha
        self.scaling[name] = self.unscaled[name] = alpha / (math.sqrt(rank) if rslora else rank)

    def make_factors(self, name: str, rank: int, config: Any) -> None:
        """Make A and B."""
        raise NotImplementedError

    def factors(self, name: str) -> list[nn.Parameter]:
        """Return the two trainable matrices of an adapter."""
        raise NotImplementedError

    def project(self, name: str, x: Tensor) -> Tensor:
        """Return scale · B A x."""
        raise NotImplementedError

    def delete_adapter(self, name: str) -> None:
        super().delete_adapter(name)
        for table in (self.r, self.lora_alpha, self.scaling, self.unscaled):
            table.pop(name, None)
        if name in self.lora_dropout:
            del self.lora_dropout[name]

    def delta(self, name: str) -> Tensor:
        first, second = (factor.float() for factor in self.factors(name))
        product = (second.flatten(1) @ first.flatten(1)) * self.scaling[name]
        return product.view(product.shape[0], *first.shape[1:])

    def get_delta_weight(self, name: str) -> Tensor:
        """Return what the adapter adds to the weight, in the weight's own layout."""
        delta = self.delta(name)
        return delta.T if self.fan_in_fan_out else delta

    def set_scale(self, adapter: str, scale: float) -> None:
        """Multiply what the configuration says of an adapter's scale by ``scale``."""
        if adapter in self.scaling:
            self.scaling[adapter] = scale * self.unscaled[adapter]

    def scale_layer(self, scale: float) -> None:
        """Multiply the scale of the active adapters by ``scale``."""
        for name in self.active_adapters:
            self.scaling[name] *= scale

    def unscale_layer(self, scale: float | None = None) -> None:
        """Take ``scale`` out of the active adapters' scale again; None returns to the configuration's."""
        for name in self.active_adapters:
            self.scaling[name] = self.unscaled[name] if scale is None else self.scaling[name] / scale

    # --- lengths and directions apart (DoRA) --------------------------------------------------------------------------

    def lengths(self, name: str) -> Tensor:
        """Return the lengths (O,) of the rows of W + scale · B A, without making that matrix.

        |w + s b A|² = |w|² + 2 s ⟨w Aᵀ, b⟩ + s² ⟨b A Aᵀ, b⟩ row by row; |w|² is kept while the weight stays.
        """
        weight = self.get_weight().flatten(1)
        state = (weight.data_ptr(), weight._version, weight.shape)
        if self.norms is None or self.norms[0] != state:
            self.norms = (state, weight.float().square().sum(1))
        first, second = (factor.float().flatten(1) for factor in self.factors(name))
        scale = self.scaling[name]
        crossed = ((weight.float() @ first.T) * second).sum(1)
        own = ((second @ (first @ first.T)) * second).sum(1)
        return (self.norms[1] + 2 * scale * crossed + scale**2 * own).clamp(min=0).sqrt()

    def spread(self, rows: Tensor) -> Tensor:
        """Return one number an output in the shape that files hold and outputs are multiplied by."""
        return rows

    def stretch(self, name: str) -> Tensor:
        """Return the learnt length of each row as a share of its length now."""
        with torch.no_grad():
            now = self.spread(self.lengths(name))
        return self.lora_magnitude_vector[name] / now

    def changed(self, name: str, weight: Tensor) -> Tensor:
        weight = weight + self.delta(name).to(weight.dtype)
        if name in self.lora_magnitude_vector:
            share = (self.lora_magnitude_vector[name].flatten() / weight.flatten(1).norm(dim=1)).view(-1)
            self.__dict__.setdefault("shares", {})[name] = share
            weight = weight * share.view(-1, *[1] * (weight.dim() - 1))
        return weight

    def restored(self, name: str, weight: Tensor) -> Tensor:
        if name in self.lora_magnitude_vector:
            weight = weight / self.__dict__["shares"].pop(name).view(-1, *[1] * (weight.dim() - 1))
        return weight - self.delta(name).to(weight.dtype)

    def after(self, name: str, x: Tensor, y: Tensor) -> Tensor:
        dropout = self.lora_dropout[name]
        small = dropout(self.cast(x, name))
        if name not in self.lora_magnitude_vector:
            return y + self.project(name, small)
        share = self.stretch(name)
        if self.training and not isinstance(dropout, nn.Identity):
            plain = self.through(small, self.get_weight().to(small.dtype))
        else:
            plain = y if self.bias is None else y - self.spread(self.bias)
        return y + (share - 1) * plain + share * self.project(name, small)


class LoraLinear(LoraLayer):
    """Adapters on a linear layer (``nn.Linear``, GPT-2's Conv1D, or one of quantised weights)."""

    def __init__(self, base_layer: nn.Module, config: LoraConfig) -> None:
        super().__init__(base_layer, config)
        self.lora_A, self.lora_B = nn.ModuleDict(), nn.ModuleDict()

    def make_factors(self, name: str, rank: int, config: Any) -> None:
        if config.init_lora_weights is EMPTY:  # all of it comes from a file
            with without_weights():
                first = nn.Linear(self.in_features, rank, bias=False)
                second = nn.Linear(rank, self.out_features, bias=config.lora_bias)
            first, second = first.to_empty(device="cpu"), second.to_empty(device="cpu")
        else:
            first = nn.Linear(self.in_features, rank, bias=False)
            second = nn.Linear(rank, self.out_features, bias=config.lora_bias)
        self.lora_A[name], self.lora_B[name] = first, second
        if config.init_lora_weights is not EMPTY:
            start(self, name, config)

    def factors(self, name: str) -> list[nn.Parameter]:
        return [self.lora_A[name].weight, self.lora_B[name].weight]  # type: ignore[list-item]

    def parts(self, name: str) -> Iterator[nn.Parameter]:
        if name in self.lora_A:
            first, second = self.factors(name)
            yield first
            if self.settings[name] is None or self.settings[name].init_lora_weights != "mica":  # whose B stays
                yield second
            if self.lora_B[name].bias is not None:
                yield self.lora_B[name].bias  # type: ignore[misc]
        if name in self.lora_magnitude_vector:
            yield self.lora_magnitude_vector[name]

    def project(self, name: str, x: Tensor) -> Tensor:
        first, second = self.factors(name)
        bias: Any = self.lora_B[name].bias
        small = F.linear(x, first) * self.scaling[name]
        return F.linear(small, second, None if bias is None else bias * self.scaling[name])

    def after(self, name: str, x: Tensor, y: Tensor) -> Tensor:
        if name in self.lora_magnitude_vector or self.lora_B[name].bias is not None:
            return super().after(name, x, y)
        first, second = self.factors(name)
        # Scaling the rank-r middle and accumulating in the second product saves two passes over the output.
        small = F.linear(self.lora_dropout[name](self.cast(x, name)), first) * self.scaling[name]  # (…, r)
        flat = y.reshape(-1, self.out_features)
        if not torch.is_autocast_enabled(x.device.type) and flat.dtype != small.dtype:
            flat = flat.to(small.dtype)
        return torch.addmm(flat, small.reshape(-1, small.shape[-1]), second.t()).view(y.shape)

    def fold(self, name: str, sign: float) -> bool:
        first, second = self.factors(name)
        plain: Any = self.get_base_layer()
        weight = plain._parameters.get("weight")
        simple = name not in self.lora_magnitude_vector and self.lora_B[name].bias is None and first.dim() == 2
        if weight is None or not simple or not weight.dtype == first.dtype == torch.float32:
            return False
        # One pass over the weight, and no matrix of its size beside it.
        (weight.T if self.fan_in_fan_out else weight).addmm_(second, first, alpha=sign * float(self.scaling[name]))
        return True

    def _mixed(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        batch = self.batch or []
        own = [name for name in dict.fromkeys(batch) if name in self.settings]
        simple = all(name not in self.lora_magnitude_vector and self.lora_B[name].bias is None for name in own)
        fits = simple and own and x.dim() == 3 and x.shape[0] == len(batch) and not self.merged_adapters
        if not fits or len({self.r[name] for name in own}) > 1 or type(self) is not LoraLinear:
            return super()._mixed(x, *args, **kwargs)
        # One product for all rows: factors side by side, zeros where a row has no adapter.
        y = self._plain(x, *args, **kwargs)
        place = {name: index for index, name in enumerate(own)}
        rows = torch.tensor([place.get(name, 0) for name in batch], device=x.device)
        scales = [float(self.scaling[name]) if name in place else 0.0 for name in batch]
        first = torch.stack([self.factors(name)[0] for name in own])[rows]  # (B, r, I)
        second = torch.stack([self.factors(name)[1] for name in own])[rows]  # (B, O, r)
        small = torch.bmm(self.cast(x, own[0]), first.mT) * torch.tensor(scales, device=x.device)[:, None, None]
        return torch.baddbmm(y.to(small.dtype), small, second.mT).to(y.dtype)

    def changed_bias(self, name: str, bias: Tensor) -> Tensor:
        own: Any = self.lora_B[name].bias
        return bias if own is None else bias + own * self.scaling[name]

    def restored_bias(self, name: str, bias: Tensor) -> Tensor:
        own: Any = self.lora_B[name].bias
        return bias if own is None else bias - own * self.scaling[name]

    def merged_with(self, names: Any) -> Any:
        for name in names:
            if self.lora_B[name].bias is not None and self.bias is None:
                raise ValueError(f"adapter {name!r} has a bias and the layer has none: it cannot be merged")
        return super().merged_with(names)


class LoraConv(LoraLinear):
    """Adapters on a convolution: A is one of the same window to r channels, B mixes those into the outputs."""

    def make_factors(self, name: str, rank: int, config: Any) -> None:
        plain: Any = self.get_base_layer()
        if rank % plain.groups:
            raise UnsupportedPeftFeature(
                f"a convolution of {plain.groups} groups needs a rank that they divide, not {rank}"
            )
        kind, ones = type(plain), (1,) * len(plain.kernel_size)
        first = kind(plain.in_channels, rank, plain.kernel_size, plain.stride, plain.padding, bias=False)
        second = kind(rank, plain.out_channels, ones, ones, groups=plain.groups, bias=config.lora_bias)
        self.lora_A[name], self.lora_B[name] = first, second
        if config.init_lora_weights is not EMPTY:
            start(self, name, config)

    def project(self, name: str, x: Tensor) -> Tensor:
        return self.lora_B[name](self.lora_A[name](x)) * self.scaling[name]

    def after(self, name: str, x: Tensor, y: Tensor) -> Tensor:
        return LoraLayer.after(self, name, x, y)

    def spread(self, rows: Tensor) -> Tensor:
        return rows.view(1, -1, *[1] * (self.weight.dim() - 2))

    def merged_with(self, names: Any) -> Any:
        groups: Any = self.get_base_layer().groups
        if groups > 1:  # A sees all inputs and the layer only its group's: no weight of the layer's shape does the same
            raise ValueError(f"an adapter cannot be merged into a convolution of {groups} groups")
        return super().merged_with(names)


class LoraEmbedding(LoraLayer):
    """Adapters on an embedding table: A is (r, rows) and B is (width, r)."""

    def make_factors(self, name: str, rank: int, config: Any) -> None:
        if config.lora_bias:
            raise UnsupportedPeftFeature("lora_bias is not for embeddings")
        rows, width = self.weight.shape
        first, second = torch.randn(rank, rows), torch.randn(width, rank)
        self.hold(name, lora_embedding_A=first, lora_embedding_B=second)
        if config.init_lora_weights is not EMPTY:
            start(self, name, config)

    def factors(self, name: str) -> list[nn.Parameter]:
        return [self.lora_embedding_A[name], self.lora_embedding_B[name]]

    def cast(self, x: Tensor, name: str) -> Tensor:
        return x

    def project(self, name: str, x: Tensor) -> Tensor:
        padding = getattr(self.get_base_layer(), "padding_idx", None)
        rows = F.embedding(x, self.lora_embedding_A[name].T, padding_idx=padding)
        return (rows @ self.lora_embedding_B[name].T) * self.scaling[name] * self._factor()

    def _factor(self) -> Any:
        """What the table's rows are multiplied by on their way out, in models that do."""
        return getattr(self.get_base_layer(), "embed_scale", 1.0)

    def after(self, name: str, x: Tensor, y: Tensor) -> Tensor:
        if name not in self.lora_magnitude_vector:
            return y + self.project(name, x)
        share = self.stretch(name)
        return share * y + share * self.project(name, x)


EMPTY = "empty"  # a value of init_lora_weights that no file has: leave the numbers to what is read next


def rank_and_alpha(config: LoraConfig, key: str) -> tuple[int, int]:
    """Return rank and alpha for the module ``key``, after ``rank_pattern`` and ``alpha_pattern``."""
    rank = pattern_value(config.rank_pattern, key, config.r)
    return rank, pattern_value(config.alpha_pattern, key, config.lora_alpha)
