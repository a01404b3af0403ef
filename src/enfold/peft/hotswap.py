"""Replacing an adapter's weights in place, so that a compiled model stays compiled."""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor, nn

from enfold.peft.config import PeftConfig, UnsupportedPeftFeature, split_source_arguments
from enfold.peft.lora import LoraConv, LoraLayer, rank_and_alpha
from enfold.peft.weights import AdapterMismatch, _file_names, _parts, _places, load_peft_weights

__all__ = ["hotswap_adapter", "hotswap_adapter_from_state_dict", "prepare_model_for_compiled_hotswap"]

_SAME = ("use_rslora", "use_dora", "lora_bias", "lora_dropout")  # what the layers were made for


def hotswap_adapter(
    model: nn.Module,
    model_name_or_path: str | os.PathLike[str],
    adapter_name: str,
    torch_device: str | None = None,
    **kwargs: Any,
) -> None:
    """Read an adapter from a folder or repository into the place of another, without new tensors.

    Args:
        model: has the adapter ``adapter_name``.
        model_name_or_path: folder or repository of the new one; it goes into no layer that the old one is not in.
        adapter_name: which adapter is replaced.
        torch_device: where the new weights are read to.
        kwargs: ``subfolder``, ``revision``, ``token``, ``cache_dir``, ``local_files_only``, ``key_mapping``.

    Raises:
        UnsupportedPeftFeature: an adapter is not of low rank, or was made otherwise than the old one.
        AdapterMismatch: weights are for other layers, or of a higher rank than there is room for.
    """
    where, rest = split_source_arguments(kwargs)
    subfolder = rest.pop("subfolder", None)
    config = PeftConfig.from_pretrained(model_name_or_path, subfolder=subfolder, **where)
    old: Any = model.peft_config[adapter_name]  # type: ignore[union-attr,index]
    if config.kind != "LORA" or old.kind != "LORA":
        raise UnsupportedPeftFeature(f"adapters of low rank can be swapped, not {old.kind} for {config.kind}")
    for name in _SAME:
        if getattr(config, name) != getattr(old, name):
            raise UnsupportedPeftFeature(
                f"{name} is {getattr(old, name)!r} in the model and {getattr(config, name)!r} in the file"
            )
    tensors = load_peft_weights(model_name_or_path, torch_device, subfolder, rest.pop("key_mapping", None), **where)
    hotswap_adapter_from_state_dict(model, tensors, adapter_name, config)


@torch.no_grad()
def hotswap_adapter_from_state_dict(
    model: nn.Module,
    state_dict: dict[str, Tensor],
    adapter_name: str,
    config: PeftConfig,
    parameter_prefix: str = "lora_",
) -> None:
    """Write an adapter's weights, named as in a file, into the place of another.

    Layers that the new adapter is not in are left with a change of zero; a lower rank leaves the rest of the room zero.

    Raises:
        AdapterMismatch: weights are for other layers, or do not fit.
    """
    names = _file_names(model, adapter_name, save_embedding_layers=False)
    own = _parts(model, names)
    unknown = sorted(key for key in state_dict if key not in names)
    if unknown:
        raise AdapterMismatch(f"the adapter in the model is not in these layers: {', '.join(unknown)}")
    wrong = []
    for key, tensor in state_dict.items():
        room = own[names[key]].shape
        if len(room) != len(tensor.shape) or any(new > old for new, old in zip(tensor.shape, room, strict=True)):
            wrong.append(f"{key}: {tuple(tensor.shape)} in the file, room for {tuple(room)}")
    if wrong:
        raise AdapterMismatch("adapter weights do not fit:\n  " + "\n  ".join(wrong))
    asked: Any = config
    for path, layer in _places(model):
        if isinstance(layer, LoraLayer) and layer.has_adapter(adapter_name):
            rank, alpha = rank_and_alpha(asked, path)
            scale = alpha / (rank**0.5 if asked.use_rslora else rank)
            layer.unscaled[adapter_name] = scale
            held: Any = layer.scaling[adapter_name]
            if isinstance(held, Tensor):
                held.fill_(scale)
            else:
                layer.scaling[adapter_name] = scale
    for key, source in names.items():
        part = own[source].zero_()
        if key in state_dict:
            part[tuple(slice(size) for size in state_dict[key].shape)].copy_(state_dict[key])


@torch.no_grad()
def prepare_model_for_compiled_hotswap(
    model: nn.Module,
    *,
    target_rank: int | None = None,
    config: PeftConfig | dict[str, PeftConfig] | None = None,
    check_compiled: str = "error",
) -> None:
    """Make room for higher ranks, and scales that change without a new compilation; call it before ``torch.compile``.

    Args:
        model: has low-rank adapters.
        target_rank: the highest rank that will come; None leaves ranks as they are.
        config: accepted: ranks of its adapters are noted in them.
        check_compiled: "error", "warn" or "ignore", for a model that is compiled already.

    Raises:
        ValueError: the model is compiled, has no such adapters, or has some of a higher rank.
    """
    compiled = hasattr(model, "_orig_mod") or getattr(model, "_compiled_call_impl", None)
    if compiled and check_compiled == "error":
        raise ValueError("the model is compiled already: prepare it before")
    layers = [layer for _, layer in _places(model) if isinstance(layer, LoraLayer)]
    if not layers:
        raise ValueError("the model has no low-rank adapters")
    for layer in layers:
        for name in layer.names():
            if target_rank is not None:
                rank = len(layer.factors(name)[0])
                if rank > target_rank:
                    raise ValueError(f"adapter {name!r} has rank {rank}, more than target_rank={target_rank}")
                _widen(layer, name, target_rank)
            layer.scaling[name] = torch.tensor(float(layer.scaling[name]))  # type: ignore[assignment]
    for one in config.values() if isinstance(config, dict) else [config] if config is not None else []:
        changed: Any = one
        changed.r, changed.rank_pattern = target_rank or changed.r, {}


def _widen(layer: LoraLayer, name: str, rank: int) -> None:
    first, second = layer.factors(name)
    wide = first.new_zeros(rank, *first.shape[1:])
    wide[: len(first)] = first
    tall = second.new_zeros(second.shape[0], rank, *second.shape[2:])
    tall[:, : second.shape[1]] = second
    first.data, second.data = wide, tall
    if isinstance(layer, LoraConv):
        layer.lora_A[name].out_channels = layer.lora_B[name].in_channels = rank  # type: ignore[assignment,union-attr]
    elif name in getattr(layer, "lora_A", {}):
        layer.lora_A[name].out_features = layer.lora_B[name].in_features = rank  # type: ignore[assignment,union-attr]
