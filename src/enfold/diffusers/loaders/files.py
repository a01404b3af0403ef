"""Where the weights of adapters come from: a dictionary, a file, a folder or a repository."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from enfold.checkpoints import CheckpointError, read_state_dict
from enfold.hub.fetch import find_file

__all__ = ["find_weights_file", "read_adapter", "read_object"]

ADAPTER_METADATA = "lora_adapter_metadata"
# Files of a training run that are no adapters.
OTHER = ("scheduler", "optimizer", "checkpoint")


def find_weights_file(
    source: Any, weight_name: str | None, usual: Sequence[str], where: Mapping[str, Any], safe: bool | None = None
) -> str:
    """Return the path of an adapter's file.

    Args:
        source: a file, a folder or a repository's id.
        weight_name: of the file; by default one of the usual, or the only one of a folder.
        usual: names, the first one first.
        where: ``subfolder``, ``revision``, ``cache_dir``, ….
        safe: only safetensors, or only other files.

    Raises:
        OSError: there is no such file; it names those that were looked for.
    """
    if os.path.isfile(source):
        return os.fspath(source)
    wanted = [weight_name] if weight_name else [name for name in usual if safe is None or _is_safe(name) is safe]
    if weight_name is None and os.path.isdir(source):
        folder = Path(source, where.get("subfolder", ""))
        there = sorted(path.name for path in folder.iterdir() if path.suffix in (".safetensors", ".bin", ".pt"))
        there = [name for name in there if not any(other in name for other in OTHER)]
        wanted += [name for name in sorted(there, key=lambda name: not _is_safe(name)) if name not in wanted]
    for name in wanted[:-1]:
        found = find_file(source, name, required=False, **where)
        if found is not None:
            return os.fspath(found)
    return os.fspath(find_file(source, wanted[-1], **where) or "")


def _is_safe(name: str) -> bool:
    return name.endswith(".safetensors")


def read_adapter(
    source: Any, weight_name: str | None, usual: Sequence[str], where: Mapping[str, Any], safe: bool | None = None
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return an adapter's tensors, and what its file says of its configuration; see ``find_weights_file``."""
    if isinstance(source, Mapping):
        return dict(source), {}
    path = find_weights_file(source, weight_name, usual, where, safe)
    told: dict[str, Any] = {}
    if _is_safe(path):
        with safe_open(path, framework="pt") as file:
            told = json.loads((file.metadata() or {}).get(ADAPTER_METADATA, "{}"))
    return read_state_dict(path), told


def read_object(path: str) -> Any:
    """Return what a file holds: tensors by name, and in other files than safetensors also plain values around them.

    Raises:
        CheckpointError: the file is damaged, or a pickle with code in it, which is never run.
    """
    if _is_safe(path):
        return read_state_dict(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} holds code beside its weights, which is not run; ask for a .safetensors file, or convert it "
            f"where you trust it ({_first_line(error)})"
        ) from error
    except Exception as error:  # damaged bytes fail in any way
        raise CheckpointError(f"{path} cannot be read as weights: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200]
