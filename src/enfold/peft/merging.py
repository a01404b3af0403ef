"""Making one low-rank adapter of several.

Sources: TIES, Yadav et al., 2023, https://arxiv.org/abs/2306.01708; DARE, Yu et al., 2023, https://arxiv.org/abs/2311.03099
"""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from enfold.errors import nearest
from enfold.peft.lora import LoraLayer
from enfold.peft.whole import ModulesToSaveWrapper

if TYPE_CHECKING:
    from enfold.peft.tuner import Tuner

__all__ = [
    "COMBINATIONS",
    "add_scales",
    "combine",
    "dare_linear",
    "dare_ties",
    "magnitude_prune",
    "task_arithmetic",
    "ties",
]


def task_arithmetic(tensors: list[Tensor], weights: Tensor) -> Tensor:
    """Return the weighted sum of tensors of one shape."""
    stacked = torch.stack(tensors)
    return (stacked * _shaped(weights, stacked)).sum(0)


def magnitude_prune(tensors: list[Tensor], weights: Tensor, density: float) -> Tensor:
    """Return the weighted sum of what is left of each tensor when only its largest share ``density`` stays."""
    return task_arithmetic([_largest(tensor, density) for tensor in tensors], weights)


def ties(tensors: list[Tensor], weights: Tensor, density: float, majority_sign_method: str = "total") -> Tensor:
    """Return the weighted mean of the largest shares, of those entries that have the sign of the majority."""
    return _elected(torch.stack([_largest(tensor, density) for tensor in tensors]), weights, majority_sign_method)


def dare_linear(tensors: list[Tensor], weights: Tensor, density: float) -> Tensor:
    """Return the weighted sum of what is left of each tensor when a random share ``density`` stays, made larger."""
    return task_arithmetic([_random(tensor, density) for tensor in tensors], weights)


def dare_ties(tensors: list[Tensor], weights: Tensor, density: float, majority_sign_method: str = "total") -> Tensor:
    """Return the weighted mean of random shares, of those entries that have the sign of the majority."""
    return _elected(torch.stack([_random(tensor, density) for tensor in tensors]), weights, majority_sign_method)


def _shaped(weights: Tensor, stacked: Tensor) -> Tensor:
    return weights.to(stacked).view(-1, *[1] * (stacked.dim() - 1))


def _largest(tensor: Tensor, density: float) -> Tensor:
    flat = tensor.flatten()
    kept = flat.abs().topk(int(density * flat.numel())).indices
    return torch.zeros_like(flat).index_copy(0, kept, flat[kept]).view_as(tensor)


def _random(tensor: Tensor, density: float) -> Tensor:
    return tensor * torch.bernoulli(torch.full_like(tensor, density)) / density


def _elected(stacked: Tensor, weights: Tensor, method: str) -> Tensor:
    signs = {"total": lambda: stacked.sum(0).sign(), "frequency": lambda: stacked.sign().sum(0).sign()}
    if method not in signs:
        raise ValueError(f"majority_sign_method={method!r} is unknown{nearest(method, signs)}; 'total' or 'frequency'")
    majority = torch.where(signs[method]() >= 0, 1.0, -1.0)
    agree = stacked.sign() == majority
    weighted = stacked * _shaped(weights, stacked)
    return (weighted * agree).sum(0) / agree.sum(0).clamp(min=1.0)


# name → (merge, whether it needs a density, whether it elects signs)
_MERGES: dict[str, tuple[Any, bool, bool]] = {
    "linear": (task_arithmetic, False, False),
    "ties": (ties, True, True),
    "dare_linear": (dare_linear, True, False),
    "dare_ties": (dare_ties, True, True),
    "magnitude_prune": (magnitude_prune, True, False),
}
COMBINATIONS = ("cat", "svd", *_MERGES, *(f"{name}_svd" for name in _MERGES if name != "linear"))


@torch.no_grad()
def combine(
    tuner: Tuner,
    adapters: list[str],
    weights: list[float],
    name: str,
    kind: str = "svd",
    *,
    rank: int | None = None,
    clamp: float | None = None,
    driver: str | None = None,
    density: float | None = None,
    sign: str = "total",
) -> None:
    """Make the adapter ``name`` of others.

    Args:
        tuner: has the adapters.
        adapters: which of them.
        weights: one number an adapter.
        name: of the new adapter; nothing happens when there is one.
        kind: "cat" puts factors beside each other and is exact; "linear", "ties", "dare_linear", "dare_ties" and
            "magnitude_prune" merge the factors of one rank, and with "_svd" at the end (or "svd" alone) the changes
            themselves, which are then given a rank again.
        rank: rank of the result for kinds of "svd"; the largest of the adapters' by default.
        clamp: quantile that the factors are cut off at.
        driver: of the decomposition, on GPUs.
        density: share of the numbers that stay, 0 to 1, for the kinds that leave some out.
        sign: "total" or "frequency", how signs are elected.

    Raises:
        ValueError: names, ranks or numbers do not fit together.
    """
    if name in tuner.peft_config:
        return
    if kind not in COMBINATIONS:
        raise ValueError(
            f"combination_type={kind!r} is unknown{nearest(kind, COMBINATIONS)}; there are {', '.join(COMBINATIONS)}"
        )
    if len(adapters) != len(weights):
        raise ValueError(f"there are {len(adapters)} adapters and {len(weights)} weights")
    kind = "linear" if len(adapters) == 1 else kind
    configs: list[Any] = [tuner.peft_config[adapter] for adapter in adapters]
    base = kind.removesuffix("_svd")
    if base in _MERGES and _MERGES[base][1] and not (density is not None and 0 <= density <= 1):
        raise ValueError(f"combination_type={kind!r} needs density, a share between 0 and 1, not {density}")
    for place in tuner.places.values():
        if isinstance(place, ModulesToSaveWrapper) and sum(place.has_adapter(adapter) for adapter in adapters) > 1:
            raise ValueError("adapters that train the same module whole cannot be combined")
    ranks = [max([config.r, *config.rank_pattern.values()]) for config in configs]
    by_layer = [
        [layer.r[adapter] for adapter in adapters if layer.has_adapter(adapter)]
        for layer in tuner.layers_with_adapters.values()
        if isinstance(layer, LoraLayer)
    ]
    if kind == "cat":
        new_rank = sum(ranks)
    elif kind == "svd" or kind.endswith("_svd"):
        new_rank = rank or max(ranks)
    else:
        if any(len(set(found)) > 1 for found in by_layer) or len(set(ranks)) > 1:
            raise ValueError(
                f"combination_type={kind!r} needs adapters of one rank, and they have {sorted(set(ranks))}"
            )
        new_rank = ranks[0]
    targets = [config.target_modules for config in configs]
    if len({type(target) for target in targets}) > 1:
        raise ValueError("target_modules of all adapters must be of one type: names or an expression")
    config = copy.copy(configs[0])
    config.r = config.lora_alpha = new_rank
    config.rank_pattern, config.alpha_pattern = {}, {}
    config.init_lora_weights = True  # whatever start they had is in the weights
    config.target_modules = (
        "|".join(f"({target})" for target in targets) if isinstance(targets[0], str) else set().union(*targets)
    )
    tuner.add_adapter(name, config)
    for layer in tuner.layers_with_adapters.values():
        if isinstance(layer, LoraLayer) and layer.has_adapter(name):
            own = [
                (adapter, weight)
                for adapter, weight in zip(adapters, weights, strict=True)
                if layer.has_adapter(adapter)
            ]
            a, b = _factors(layer, own, kind, new_rank, clamp, driver, density, sign)
            first, second = layer.factors(name)
            first.zero_()
            second.zero_()
            first[: len(a)].copy_(a.view(len(a), *first.shape[1:]))
            second[:, : b.shape[1]].copy_(b.view(*b.shape, *second.shape[2:]))
            for factor in (first, second):
                factor.requires_grad_(False)


def _factors(
    layer: LoraLayer,
    own: list[tuple[str, float]],
    kind: str,
    rank: int,
    clamp: float | None,
    driver: str | None,
    density: float | None,
    sign: str,
) -> tuple[Tensor, Tensor]:
    """Return A (r, I) and B (O, r) of the combination, whose scale is 1."""
    pairs = [tuple(factor.flatten(1) for factor in layer.factors(adapter)) for adapter, _ in own]
    if kind == "cat":
        a = torch.cat(
            [pair[0] * weight * layer.scaling[adapter] for pair, (adapter, weight) in zip(pairs, own, strict=True)]
        )
        return a, torch.cat([pair[1] for pair in pairs], 1)
    base = kind.removesuffix("_svd")
    merge, thinned, elects = _MERGES["linear" if base == "svd" else base]
    options: list[Any] = ([density] if thinned else []) + ([sign] if elects else [])
    if base == kind and kind != "svd":
        scaled = [weight * layer.scaling[adapter] for adapter, weight in own]
        roots = torch.tensor([math.sqrt(abs(value)) for value in scaled])
        signs = torch.tensor([1.0 if value >= 0 else -1.0 for value in scaled])
        a = merge([pair[0] for pair in pairs], roots * signs, *options)
        return a, merge([pair[1] for pair in pairs], roots, *options)
    weights = torch.tensor([weight for _, weight in own])
    delta = merge([layer.delta(adapter) for adapter, _ in own], weights, *options).flatten(1)
    left, size, right = torch.linalg.svd(delta, full_matrices=False, driver=driver)
    left, right = left[:, :rank] * size[:rank], right[:rank]
    if clamp is not None:
        limit = torch.quantile(torch.cat([left.flatten(), right.flatten()]), clamp)
        left, right = left.clamp(-limit, limit), right.clamp(-limit, limit)
    return right, left


@torch.no_grad()
def add_scales(tuner: Tuner, adapters: list[str], weights: list[float], name: str) -> None:
    """Make an adapter of learnt scales that is the weighted sum of others; nothing happens when ``name`` is taken."""
    from enfold.peft.ia3 import IA3Layer

    if name in tuner.peft_config:
        return
    configs: list[Any] = [tuner.peft_config[adapter] for adapter in adapters]
    config = copy.copy(configs[0])
    for field in ("target_modules", "feedforward_modules"):
        given = [getattr(one, field) for one in configs]
        if len({type(value) for value in given}) > 1:
            raise ValueError(f"{field} of all adapters must be of one type: names or an expression")
        joined = "|".join(f"({value})" for value in given) if isinstance(given[0], str) else set().union(*given)
        setattr(config, field, joined)
    tuner.add_adapter(name, config)
    for layer in tuner.layers_with_adapters.values():
        if isinstance(layer, IA3Layer) and layer.has_adapter(name):
            total = layer.ia3_l[name].zero_()
            for adapter, weight in zip(adapters, weights, strict=True):
                if layer.has_adapter(adapter):
                    total += layer.ia3_l[adapter] * weight
            total.requires_grad_(False)
