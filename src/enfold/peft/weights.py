"""Adapter weights: their names in memory and on disk, and the file ``adapter_model.safetensors``.

In memory a key is ``base_model.model.<path>.lora_A.<adapter>.weight``; on disk the adapter's name is left out, so
that an adapter can be loaded under any name. A module that trains whole is written under its own path.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from enfold.checkpoints import cut_like, read_state_dict, save
from enfold.errors import EnfoldError, nearest
from enfold.log import get_logger
from enfold.peft.config import find_adapter_file, split_source_arguments
from enfold.peft.layer import Adapted, AdapterLayer
from enfold.peft.tuner import Tuner

__all__ = [
    "SAFETENSORS_WEIGHTS_NAME",
    "WEIGHTS_NAME",
    "AdapterMismatch",
    "AdapterNotFound",
    "LoadResult",
    "get_peft_model_state_dict",
    "load_peft_weights",
    "save_adapter_file",
    "set_peft_model_state_dict",
]

SAFETENSORS_WEIGHTS_NAME = "adapter_model.safetensors"
WEIGHTS_NAME = "adapter_model.bin"
_EMBEDDING_NAMES = ("embed_tokens", "lm_head")  # saved with the adapter under save_embedding_layers="auto"

_ONE_FILE = 1 << 62  # bytes: an adapter is never cut into shards

logger = get_logger(__name__)


class AdapterMismatch(ValueError, RuntimeError, EnfoldError):
    """Weights do not fit the adapter they are loaded into; nothing was changed."""


class AdapterNotFound(FileNotFoundError, EnfoldError):
    """A folder or repository holds no adapter weights."""


class LoadResult(NamedTuple):
    """What loading an adapter left over."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def _tuner(model: nn.Module) -> Any:
    """Return what holds the adapters of a model, or None where they were put into the model itself by other means."""
    for candidate in (model, getattr(model, "base_model", None), *vars(model).get("_tuner", ())):
        if "places" in vars(candidate) if candidate is not None else False:
            return candidate
    return None


def _is_prompt(model: nn.Module, adapter: str) -> bool:
    config = _config_of(model, adapter)
    return bool(config is not None and config.is_prompt_learning)


def _places(model: nn.Module) -> list[tuple[str, Any]]:
    """Return path and place of everything that holds adapters, paths as in the state dict of ``model``."""
    tuner = _tuner(model)
    if tuner is None or any(not isinstance(place, Adapted) for place in tuner.places.values()):
        return [(path, module) for path, module in model.named_modules() if isinstance(module, Adapted)]
    lead = "" if tuner.model is model else "model." if tuner is model else "base_model.model."
    return [(lead + key, place) for key, place in tuner.places.items()]


def _file_names(model: nn.Module, adapter: str, save_embedding_layers: bool | str = "auto") -> dict[str, str]:
    """Return file key → state-dict key for everything that belongs to ``adapter``."""
    config = _config_of(model, adapter)
    bias = getattr(config, "bias", "none")
    targets = getattr(config, "target_modules", None) or ()
    auto = save_embedding_layers == "auto" and not isinstance(targets, str)
    if getattr(config, "trainable_token_indices", None) or getattr(config, "kind", None) == "TRAINABLE_TOKENS":
        auto = False  # the rows that train are saved, and no others
    names: dict[str, str] = {}
    biases: dict[str, str] = {}
    prompt = _is_prompt(model, adapter)
    for path, place in _places(model):
        if not place.has_adapter(adapter):
            continue
        outside = path.replace("base_model.model.", "base_model.", 1) if prompt else path.replace(".base_layer", "")
        for key, source in place.saved_names(adapter).items():
            names[f"{outside}.{key}"] = f"{path}.{source}"
        if not isinstance(place, AdapterLayer):
            continue
        last = path.rpartition(".")[2]
        embedding = isinstance(place.base_layer, nn.Embedding) or last in _EMBEDDING_NAMES
        if embedding and (save_embedding_layers is True or (auto and last in _EMBEDDING_NAMES)):
            names[f"{path}.base_layer.weight"] = f"{path}.base_layer.weight"
        if bias.endswith("_only") and place.bias is not None:
            biases[f"{path}.base_layer.bias"] = f"{path}.base_layer.bias"
    if bias == "all":
        inside = (".original_module.", ".modules_to_save.", ".lora_")
        for name in model.state_dict():
            if name.endswith("bias") and not any(part in f".{name}" for part in inside):
                biases[name] = name
    tuner = _tuner(model)
    if isinstance(tuner, Tuner):
        lead = "" if tuner is model else "base_model."
        names.update({f"{lead}{key}": f"{lead}{key}.{adapter}" for key in tuner.shared_parts(adapter)})
    return {**names, **biases}


def _config_of(model: nn.Module, adapter: str) -> Any:
    configs = getattr(model, "peft_config", None)
    if not isinstance(configs, dict):
        return None
    if adapter not in configs:
        raise ValueError(f"there is no adapter named {adapter!r}{nearest(adapter, configs)}")
    return configs[adapter]


def get_peft_model_state_dict(
    model: nn.Module,
    state_dict: dict[str, Tensor] | None = None,
    adapter_name: str = "default",
    unwrap_compiled: bool = False,
    save_embedding_layers: bool | str = "auto",
) -> dict[str, Tensor]:
    """Return an adapter's weights under the names they have in a file.

    Args:
        model: a model with adapters.
        state_dict: values to take instead of the model's own.
        adapter_name: which adapter.
        unwrap_compiled: look through ``torch.compile``'s wrapper.
        save_embedding_layers: also the weights of adapted embeddings; ``"auto"`` for those named ``embed_tokens``
            and ``lm_head``.

    Returns:
        File key → tensor.
    """
    if unwrap_compiled:
        model = getattr(model, "_orig_mod", model)
    names = _file_names(model, adapter_name, save_embedding_layers)
    values = _own(model) if state_dict is None else state_dict
    tensors = {key: values[source].detach() for key, source in names.items() if source in values}
    tuner = _tuner(model)
    if _is_prompt(model, adapter_name):
        return {**{key: tensor.detach() for key, tensor in tuner.state(adapter_name).items()}, **tensors}
    return tuner.written(adapter_name, tensors) if isinstance(tuner, Tuner) else tensors


def _own(model: nn.Module) -> dict[str, Tensor]:
    found: dict[str, Tensor] = dict(model.named_parameters(remove_duplicate=False))
    found.update(model.named_buffers(remove_duplicate=False))
    return found


def set_peft_model_state_dict(
    model: nn.Module,
    peft_model_state_dict: dict[str, Tensor],
    adapter_name: str = "default",
    ignore_mismatched_sizes: bool = False,
    low_cpu_mem_usage: bool = False,
) -> LoadResult:
    """Copy weights named as in a file into an adapter of ``model``.

    Args:
        model: a model that has the adapter already.
        peft_model_state_dict: file key → tensor.
        adapter_name: which adapter to fill.
        ignore_mismatched_sizes: leave out tensors of another shape instead of refusing them.
        low_cpu_mem_usage: take the given tensors as they are instead of copying them.

    Returns:
        The adapter's keys that got nothing and the given keys that fit nothing.

    Raises:
        AdapterMismatch: a tensor has another shape than the adapter's, or no tensor fits anything.
    """
    tuner = _tuner(model)
    if isinstance(tuner, Tuner):
        tuner.about_to_read(adapter_name)
    names = _file_names(model, adapter_name, save_embedding_layers=True)
    required = set(_file_names(model, adapter_name, save_embedding_layers=False))
    parameters = _parts(model, names)
    own: dict[str, Tensor] = {key: parameters[source] for key, source in names.items()}
    if _is_prompt(model, adapter_name):
        made = dict(tuner.own(adapter_name))
        own.update(made)
        required |= set(made)
    if own and "base_model.model." in next(iter(peft_model_state_dict), "") and "base_model." not in next(iter(own)):
        # the adapters sit in the model itself, which has no such lead
        lead = "base_model.model."
        peft_model_state_dict = {key.removeprefix(lead): value for key, value in peft_model_state_dict.items()}
    wrong = [
        f"{key}: {tuple(tensor.shape)} in the file, {tuple(own[key].shape)} in the model"
        for key, tensor in peft_model_state_dict.items()
        if key in own and own[key].shape != tensor.shape
    ]
    if wrong and not ignore_mismatched_sizes:
        raise AdapterMismatch(
            "the adapter is for another base model: weights of another shape:\n  " + "\n  ".join(wrong)
        )
    skipped = {line.partition(":")[0] for line in wrong}
    with torch.no_grad():
        for key, tensor in peft_model_state_dict.items():
            if key in own and key not in skipped:
                if own[key].is_meta or (low_cpu_mem_usage and key in names):
                    _replace(model, names[key], tensor)
                else:
                    own[key].copy_(cut_like(tensor, own[key]))
    missing = sorted(required - set(peft_model_state_dict) | (skipped & required))
    repeated = tuner.repeated if isinstance(tuner, Tuner) else ()
    unexpected = sorted(key for key in peft_model_state_dict if key not in own and not key.endswith(repeated))
    return LoadResult(missing, unexpected)


def _parts(model: nn.Module, names: dict[str, str]) -> dict[str, Tensor]:
    """Return state-dict key → tensor for the keys in ``names``, without walking through the whole model."""
    found: dict[str, Tensor] = {}
    for source in names.values():
        path, _, leaf = source.rpartition(".")
        part: Any = model
        for step in path.split("."):
            part = part._modules[step] if isinstance(part, nn.Module) and step in part._modules else getattr(part, step)
        found[source] = part[leaf] if isinstance(part, nn.ParameterDict) else getattr(part, leaf)
    return found


def _replace(model: nn.Module, source: str, tensor: Tensor) -> None:
    """Put ``tensor`` in the place of the parameter called ``source``, in that one's type where it is memory already."""
    path, _, leaf = source.rpartition(".")
    holder: Any = model
    for step in path.split("."):
        holder = holder._modules[step] if step in holder._modules else getattr(holder, step)
    old = holder[leaf] if isinstance(holder, nn.ParameterDict) else getattr(holder, leaf)
    if leaf in holder._buffers:
        holder._buffers[leaf] = tensor.to(old.dtype)
        return
    made = nn.Parameter(tensor.to(old.dtype), requires_grad=old.requires_grad)
    if isinstance(holder, nn.ParameterDict):
        holder[leaf] = made
    else:
        setattr(holder, leaf, made)


def load_peft_weights(
    model_id: str | os.PathLike[str],
    device: str | torch.device | None = None,
    subfolder: str | None = None,
    key_mapping: dict[str, str] | None = None,
    **kwargs: Any,
) -> dict[str, Tensor]:
    """Read an adapter's weights from a folder or a repository.

    Args:
        model_id: folder or repository id.
        device: where to put the tensors; None for the processor's memory.
        subfolder: folder inside it.
        key_mapping: regular expression → replacement, applied to the keys.
        kwargs: ``revision``, ``cache_dir``, ``token``, ``local_files_only``, ``force_download``.

    Returns:
        File key → tensor. A ``.bin`` file is read without unpickling anything but tensors.
    """
    import re

    where, _ = split_source_arguments(kwargs)
    path = find_adapter_file(model_id, SAFETENSORS_WEIGHTS_NAME, subfolder=subfolder, required=False, **where)
    target = str(device) if device is not None else "cpu"
    if path is None:
        path = find_adapter_file(model_id, WEIGHTS_NAME, subfolder=subfolder, required=False, **where)
    if path is None:
        raise AdapterNotFound(f"{os.fspath(model_id)} has neither {SAFETENSORS_WEIGHTS_NAME} nor {WEIGHTS_NAME}")
    tensors = {key: value.to(target) for key, value in read_state_dict(path).items()}
    if not key_mapping:
        return tensors
    renamed = {}
    for key, value in tensors.items():
        # Patterns are of the model's own names, which follow ours.
        lead = next((lead for lead in ("base_model.model.", "base_model.") if key.startswith(lead)), "")
        name = key.removeprefix(lead)
        for pattern, replacement in key_mapping.items():
            name, count = re.subn(pattern, replacement, name)
            if count:
                break
        renamed[lead + name] = value
    return renamed


def save_adapter_file(tensors: dict[str, Tensor], folder: str, safe_serialization: bool = True) -> str:
    """Write an adapter's tensors into ``folder`` under a temporary name, then rename; return the path."""
    path = os.path.join(folder, SAFETENSORS_WEIGHTS_NAME if safe_serialization else WEIGHTS_NAME)
    # Two names for one tensor (tied weights) are written twice: a reader looks each of them up.
    seen: set[int] = set()
    apart: dict[str, Tensor] = {}
    for key, value in tensors.items():
        apart[key] = value.detach().clone() if value.data_ptr() in seen else value.detach()
        seen.add(value.data_ptr())
    if safe_serialization:
        save(apart, folder, name=SAFETENSORS_WEIGHTS_NAME, max_shard_size=_ONE_FILE)
    else:
        torch.save(apart, path + ".tmp")
        os.replace(path + ".tmp", path)
    return path
