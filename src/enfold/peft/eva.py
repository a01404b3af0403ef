"""EVA: low-rank adapters that begin with the directions in which a layer's inputs vary most.

Source: Paischer et al., 2024, "One Initialization to Rule them All: Fine-tuning via Explained Variance Adaptation",
https://arxiv.org/abs/2410.07170
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from enfold.peft.lora import LoraLayer, LoraLinear
from enfold.peft.lora_config import EvaConfig
from enfold.progress import track

__all__ = ["get_eva_state_dict", "initialize_lora_eva_weights"]


class _Directions:
    """The singular vectors of all the rows seen so far, batch by batch (Ross et al., 2008, without the mean)."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.vectors: Tensor | None = None  # (k, I)
        self.values: Tensor | None = None
        self.rows, self.settled = 0, False

    def add(self, rows: Tensor, tau: float) -> None:
        """Take rows (N, I) in; settled when the wanted vectors turn less than ``tau`` allows."""
        self.rows += len(rows)
        known = (
            rows
            if self.vectors is None or self.values is None
            else torch.cat((self.values[:, None] * self.vectors, rows))
        )
        _, values, vectors = torch.linalg.svd(known, full_matrices=False)
        values, vectors = values[: self.count], vectors[: self.count]
        if self.vectors is not None and len(vectors) == len(self.vectors):
            self.settled = bool(((vectors * self.vectors).sum(1).abs() >= tau).all())
        self.vectors, self.values = vectors, values


def _text_mask(batch: Any, config: EvaConfig) -> Tensor | None:
    if not isinstance(batch, Mapping):
        return None
    mask = batch.get("attention_mask")
    labels = batch.get("labels")
    if config.use_label_mask and labels is not None and labels.dim() == 2:
        real = labels != config.label_mask_value
        return real if mask is None else mask.bool() & real
    return None if mask is None else mask.bool()


@torch.no_grad()
def get_eva_state_dict(
    model: nn.Module,
    dataloader: Iterable[Any],
    peft_config: Any = None,
    forward_fn: Callable[[nn.Module, Any], Any] | None = None,
    prepare_model_inputs_fn: Callable[[Any, Any], Any] | None = None,
    adapter_name: str = "default",
    show_progress_bar: bool = True,
    **_: Any,
) -> dict[str, Tensor]:
    """Return module name → the directions (r', I) in which that module's inputs vary most.

    Args:
        model: a model with low-rank adapters, whose ``init_lora_weights`` is ``"eva"``.
        dataloader: batches, the arguments of the forward pass by name; read again and again until nothing turns.
        peft_config: the adapter's configuration; the model's by default.
        forward_fn: (model, batch) → anything, for batches of another form.
        prepare_model_inputs_fn: accepted; masks are read from the batch.
        adapter_name: which adapter.
        show_progress_bar: show a bar.

    Raises:
        ValueError: the configuration does not ask for this, or there is no batch.
    """
    config: Any = peft_config or model.peft_config[adapter_name]  # type: ignore[union-attr,index]
    if config.init_lora_weights != "eva":
        raise ValueError(f"EVA needs init_lora_weights='eva', not {config.init_lora_weights!r}")
    asked = config.eva_config or EvaConfig()
    layers = {
        key: module
        for key, module in model.named_modules()
        if isinstance(module, LoraLinear) and module.has_adapter(adapter_name)
    }
    largest = {key: max(1, int(layer.r[adapter_name] * asked.rho)) for key, layer in layers.items()}
    seen = {key: _Directions(largest[key]) for key in layers}
    mask: list[Tensor | None] = [None]

    def watch(key: str) -> Callable[..., None]:
        def hook(_: nn.Module, inputs: tuple[Any, ...]) -> None:
            x = inputs[0].detach().float()
            if mask[0] is not None and mask[0].shape == x.shape[:-1]:
                x = x[mask[0]]
            seen[key].add(x.reshape(-1, x.shape[-1]), asked.tau)

        return hook

    hooks = [layer.register_forward_pre_hook(watch(key)) for key, layer in layers.items()]
    training = model.training
    model.eval()
    try:
        rounds = 0
        while rounds < 100 and not all(found.settled for found in seen.values()):
            batches = 0
            for batch in track(list(dataloader), "looking at inputs", quiet=not show_progress_bar):
                batches += 1
                mask[0] = _text_mask(batch, asked)
                forward_fn(model, batch) if forward_fn is not None else model(**batch)
            if not batches:
                raise ValueError("the dataloader has no batch")
            rounds += 1
    finally:
        for handle in hooks:
            handle.remove()
        model.train(training)
    return _shared_out(layers, seen, adapter_name, asked)


def _shared_out(
    layers: dict[str, LoraLinear], seen: dict[str, _Directions], adapter: str, config: EvaConfig
) -> dict[str, Tensor]:
    """Give the ranks of all layers to the directions that explain the largest shares of variance."""
    budget = sum(layer.r[adapter] for layer in layers.values())
    shares = []
    for key, found in seen.items():
        assert found.values is not None
        energy = found.values.square()
        shares += [(float(value), key) for value in energy / energy.sum()]
    shares.sort(reverse=True)
    counts = dict.fromkeys(layers, 0)
    for _, key in shares[:budget]:
        counts[key] += 1
    result = {}
    for key, count in counts.items():
        vectors, values = seen[key].vectors, seen[key].values
        assert vectors is not None and values is not None
        chosen = vectors[:count]
        if config.whiten:
            chosen = chosen / values[:count, None].clamp(min=1e-6) * (seen[key].rows - 1) ** 0.5
        result[key] = chosen
    return result


@torch.no_grad()
def initialize_lora_eva_weights(
    model: Any,
    dataloader: Iterable[Any] | None = None,
    eva_state_dict: dict[str, Tensor] | None = None,
    adapter_name: str = "default",
    **kwargs: Any,
) -> None:
    """Let the adapter of a model begin with the directions in which its layers' inputs vary most, in place.

    Ranks move to where there is more to explain: ``rank_pattern`` and ``alpha_pattern`` of the configuration say so.

    Args:
        model: a model whose adapter has ``init_lora_weights="eva"``.
        dataloader: see :func:`get_eva_state_dict`.
        eva_state_dict: what that function returned, instead of a dataloader.
        adapter_name: which adapter.
        kwargs: further arguments of that function.

    Raises:
        ValueError: neither a dataloader nor directions were given.
    """
    if eva_state_dict is None:
        if dataloader is None:
            raise ValueError("give a dataloader, or eva_state_dict")
        eva_state_dict = get_eva_state_dict(model, dataloader, adapter_name=adapter_name, **kwargs)
    config: Any = model.peft_config[adapter_name]
    adjust = config.eva_config is None or config.eva_config.adjust_scaling_factors
    root = model.get_base_model() if hasattr(model, "get_base_model") else model
    by_name = dict(model.named_modules())
    names = {id(module): key for key, module in root.named_modules()}
    for key, vectors in eva_state_dict.items():
        layer: Any = by_name[key]
        name = names[id(layer)]
        rank = len(vectors)
        if rank == 0:
            layer.delete_adapter(adapter_name)
            config.exclude_modules = _with(config.exclude_modules, name)
            continue
        alpha = layer.lora_alpha[adapter_name]
        if rank != layer.r[adapter_name]:
            if adjust:
                alpha = alpha * rank / layer.r[adapter_name]
                config.alpha_pattern[name] = alpha
            config.rank_pattern[name] = rank
            _resize(layer, adapter_name, rank, alpha, config)
        layer.factors(adapter_name)[0].copy_(vectors)


def _with(names: Any, name: str) -> Any:
    return {*names, name} if isinstance(names, (set, list)) else {name} if names is None else f"({names})|({name})"


def _resize(layer: LoraLayer, name: str, rank: int, alpha: Any, config: Any) -> None:
    first = layer.factors(name)[0]
    training = first.requires_grad
    layer.resize(name, rank, alpha, config.use_rslora)
    layer.make_factors(name, rank, config)
    for part in layer.parts(name):
        part.data = part.data.to(first.device, first.dtype)
        part.requires_grad_(training)
