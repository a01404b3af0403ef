"""Adapter weights: their names in memory and on disk, and the file ``adapter_model.safetensors``.

In memory a key is ``base_model.model.<path>.lora_A.<adapter>.weight``; on disk the adapter's name is left out, so
that an adapter can be loaded under any name. A module that trains whole is written under its own path.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from enfold.checkpoints import read_state_dict, save
from enfold.errors import EnfoldError
from enfold.log import get_logger
from enfold.peft.config import LoraConfig, find_adapter_file, split_source_arguments
from enfold.peft.lora import LoraLayer
from enfold.peft.whole import ModulesToSaveWrapper

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


class AdapterMismatch(ValueError, EnfoldError):
    """Weights do not fit the adapter they are loaded into; nothing was changed."""


class AdapterNotFound(FileNotFoundError, EnfoldError):
    """A folder or repository holds no adapter weights."""


class LoadResult(NamedTuple):
    """What loading an adapter left over."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def _file_names(model: nn.Module, adapter: str, save_embedding_layers: bool | str = "auto") -> dict[str, str]:
    """Return file key → state-dict key for everything that belongs to ``adapter``."""
    config = _config_of(model, adapter)
    bias = getattr(config, "bias", "none")
    targets = getattr(config, "target_modules", None) or ()
    names: dict[str, str] = {}
    biases: dict[str, str] = {}
    for path, module in model.named_modules():
        lead = f"{path}." if path else ""
        if isinstance(module, LoraLayer) and module.has_adapter(adapter):
            for name in module.state_dict():
                kind, _, rest = name.partition(".")
                if kind.startswith("lora_") and kind != "lora_dropout" and (rest + ".").startswith(f"{adapter}."):
                    tail = rest[len(adapter) :]  # ".weight" of a layer, "" of a bare parameter
                    names[f"{lead}{kind}{tail}"] = f"{lead}{name}"
            last = path.rpartition(".")[2]
            embedding = isinstance(module.base_layer, nn.Embedding) or last in _EMBEDDING_NAMES
            auto = save_embedding_layers == "auto" and last in _EMBEDDING_NAMES and not isinstance(targets, str)
            if embedding and (save_embedding_layers is True or auto):
                names[f"{lead}base_layer.weight"] = f"{lead}base_layer.weight"
            if bias == "lora_only" and module.bias is not None:
                biases[f"{lead}base_layer.bias"] = f"{lead}base_layer.bias"
        elif isinstance(module, ModulesToSaveWrapper) and adapter in module.modules_to_save:
            for name in module.modules_to_save[adapter].state_dict():
                names[f"{lead}{name}"] = f"{lead}modules_to_save.{adapter}.{name}"
    if bias == "all":
        inside = (".original_module.", ".modules_to_save.", ".lora_")
        for name in model.state_dict():
            if name.endswith("bias") and not any(part in f".{name}" for part in inside):
                biases[name] = name
    return {**names, **biases}


def _config_of(model: nn.Module, adapter: str) -> Any:
    configs = getattr(model, "peft_config", None)
    return configs[adapter] if isinstance(configs, dict) and adapter in configs else LoraConfig()


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
    values = model.state_dict() if state_dict is None else state_dict
    names = _file_names(model, adapter_name, save_embedding_layers)
    return {key: values[source] for key, source in names.items() if source in values}


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
        low_cpu_mem_usage: accepted; tensors are copied one by one in any case.

    Returns:
        The adapter's keys that got nothing and the given keys that fit nothing.

    Raises:
        AdapterMismatch: a tensor has another shape than the adapter's.
    """
    names = _file_names(model, adapter_name, save_embedding_layers=True)
    required = set(_file_names(model, adapter_name, save_embedding_layers=False))
    own = dict(model.named_parameters(remove_duplicate=False)) | dict(model.named_buffers(remove_duplicate=False))
    wrong = [
        f"{key}: {tuple(tensor.shape)} in the file, {tuple(own[names[key]].shape)} in the model"
        for key, tensor in peft_model_state_dict.items()
        if key in names and own[names[key]].shape != tensor.shape
    ]
    if wrong and not ignore_mismatched_sizes:
        raise AdapterMismatch("adapter weights of another shape:\n  " + "\n  ".join(wrong))
    skipped = {line.partition(":")[0] for line in wrong}
    with torch.no_grad():
        for key, tensor in peft_model_state_dict.items():
            if key in names and key not in skipped:
                own[names[key]].copy_(tensor)
    missing = sorted(required - set(peft_model_state_dict) | (skipped & required))
    unexpected = sorted(key for key in peft_model_state_dict if key not in names)
    return LoadResult(missing, unexpected)


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
    for pattern, replacement in (key_mapping or {}).items():
        tensors = {re.sub(pattern, replacement, key): value for key, value in tensors.items()}
    return tensors


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
