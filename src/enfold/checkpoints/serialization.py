"""Weights in files by the calls of `huggingface_hub`: split into shards, saved, and loaded again."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from enfold.checkpoints.files import find_weights
from enfold.checkpoints.load import load_into
from enfold.checkpoints.read import read_state_dict
from enfold.checkpoints.write import parse_size, save

__all__ = [
    "StateDictSplit",
    "get_torch_storage_id",
    "get_torch_storage_size",
    "load_state_dict_from_file",
    "load_torch_model",
    "save_torch_model",
    "save_torch_state_dict",
    "split_state_dict_into_shards_factory",
    "split_torch_state_dict_into_shards",
]

_SAFE, _BIN = "model{suffix}.safetensors", "pytorch_model{suffix}.bin"


@dataclass
class StateDictSplit:
    """Which tensor goes into which file.

    Args:
        metadata: ``total_size``, the bytes of all tensors.
        filename_to_tensors: file → the names in it.
        tensor_to_filename: name → its file.
    """

    metadata: dict[str, Any]
    filename_to_tensors: dict[str, list[str]]
    tensor_to_filename: dict[str, str]
    is_sharded: bool = field(init=False)

    def __post_init__(self) -> None:
        self.is_sharded = len(self.filename_to_tensors) > 1


class _Loaded(NamedTuple):
    missing_keys: list[str]
    unexpected_keys: list[str]


def split_state_dict_into_shards_factory(
    state_dict: Mapping[str, Any],
    *,
    get_storage_size: Callable[[Any], int],
    filename_pattern: str,
    get_storage_id: Callable[[Any], Any] = lambda tensor: None,
    max_shard_size: int | str = "5GB",
) -> StateDictSplit:
    """Split tensors of any framework into files, in their order.

    Args:
        state_dict: name → tensor.
        get_storage_size: the bytes of a tensor.
        filename_pattern: the files' names, with ``{suffix}`` where "-00001-of-00003" goes.
        get_storage_id: what tensors that share memory have in common, or None; such tensors stay in one file.
        max_shard_size: bytes, or "5GB"; a tensor alone may be larger.
    """
    limit = parse_size(max_shard_size)
    groups: dict[Any, list[str]] = {}
    for name, tensor in state_dict.items():
        if not isinstance(tensor, str):  # as bitsandbytes saves the names of its types
            shared = get_storage_id(tensor)
            groups.setdefault(("own", name) if shared is None else ("shared", shared), []).append(name)
    shards: list[list[str]] = []
    filled: list[int] = []
    open_shard, total = -1, 0
    for names in groups.values():
        size = get_storage_size(state_dict[names[0]])
        total += size
        if size > limit:  # alone, while the shard before it stays open
            shards.append(list(names))
            filled.append(size)
            continue
        if open_shard < 0 or filled[open_shard] + size > limit:
            shards.append([])
            filled.append(0)
            open_shard = len(shards) - 1
        shards[open_shard] += names
        filled[open_shard] += size
    if open_shard >= 0 and open_shard != len(shards) - 1:  # the open one is closed last
        shards.append(shards.pop(open_shard))
    count = len(shards)
    files = {
        filename_pattern.format(suffix=f"-{number:05d}-of-{count:05d}" if count > 1 else ""): names
        for number, names in enumerate(shards, 1)
    }
    return StateDictSplit({"total_size": total}, files, {name: file for file, names in files.items() for name in names})


def get_torch_storage_id(tensor: Tensor) -> tuple[torch.device, int, int] | None:
    """Return what tensors that share their memory have in common; None for a tensor without memory."""
    if tensor.device.type == "meta":
        return None
    return tensor.device, tensor.untyped_storage().data_ptr(), get_torch_storage_size(tensor)


def get_torch_storage_size(tensor: Tensor) -> int:
    """Return the bytes of the memory that a tensor is in."""
    return int(tensor.untyped_storage().nbytes())


def split_torch_state_dict_into_shards(
    state_dict: Mapping[str, Tensor], *, filename_pattern: str = _SAFE, max_shard_size: int | str = "5GB"
) -> StateDictSplit:
    """Split torch tensors into files, in their order; see :func:`split_state_dict_into_shards_factory`.

    Example:
        >>> split = split_torch_state_dict_into_shards({"a": torch.zeros(4), "b": torch.zeros(4)}, max_shard_size=20)
        >>> split.tensor_to_filename["b"]
        'model-00002-of-00002.safetensors'
    """
    return split_state_dict_into_shards_factory(
        state_dict,
        get_storage_size=get_torch_storage_size,
        filename_pattern=filename_pattern,
        get_storage_id=get_torch_storage_id,
        max_shard_size=max_shard_size,
    )


def save_torch_state_dict(
    state_dict: Mapping[str, Tensor],
    save_directory: str | os.PathLike[str],
    *,
    filename_pattern: str | None = None,
    force_contiguous: bool = True,
    max_shard_size: int | str = "5GB",
    metadata: dict[str, str] | None = None,
    safe_serialization: bool = True,
    is_main_process: bool = True,
    shared_tensors_to_discard: list[str] | None = None,
) -> None:
    """Write tensors into a folder, in shards with an index where they are large.

    Args:
        state_dict: name → tensor.
        save_directory: the folder, made when it is not there.
        filename_pattern: the files' names, with ``{suffix}`` where "-00001-of-00003" goes.
        force_contiguous: accepted: tensors are always written contiguous.
        max_shard_size: bytes, or "5GB".
        metadata: accepted: the files say that they are torch's.
        safe_serialization: safetensors; False for pickled ``.bin`` files.
        is_main_process: whether this process writes.
        shared_tensors_to_discard: of tensors that share memory, the names that are not kept.
    """
    if not is_main_process:
        return
    pattern = filename_pattern or (_SAFE if safe_serialization else _BIN)
    save(
        state_dict,
        save_directory,
        max_shard_size=max_shard_size,
        name=pattern.format(suffix=""),
        tied=shared_tensors_to_discard or (),
        safe_serialization=safe_serialization,
    )


def save_torch_model(model: nn.Module, save_directory: str | os.PathLike[str], **options: Any) -> None:
    """Write a module's weights into a folder; options as in :func:`save_torch_state_dict`."""
    discarded = getattr(model, "_tied_weights_keys", None) or []
    options.setdefault("shared_tensors_to_discard", list(discarded))
    save_torch_state_dict(model.state_dict(), save_directory, **options)


def load_state_dict_from_file(
    checkpoint_file: str | os.PathLike[str],
    map_location: Any = None,
    weights_only: bool = True,
    mmap: bool = False,
    safe: bool = True,
) -> dict[str, Tensor]:
    """Return the tensors of a file, safetensors or ``.bin``; nothing but tensors is unpickled.

    Args:
        checkpoint_file: the file.
        map_location: the device to put tensors on.
        weights_only: accepted: False changes nothing.
        mmap: accepted: safetensors are always mapped.
        safe: accepted: every file is read safely.
    """
    found = read_state_dict(checkpoint_file)
    return {name: tensor.to(map_location) for name, tensor in found.items()} if map_location is not None else found


def load_torch_model(
    model: nn.Module,
    checkpoint_path: str | os.PathLike[str],
    *,
    strict: bool = False,
    safe: bool = True,
    weights_only: bool = True,
    map_location: Any = None,
    mmap: bool = False,
    filename_pattern: str | None = None,
) -> _Loaded:
    """Fill a module from a file or a folder of shards.

    Args:
        model: the module.
        checkpoint_path: the file or folder.
        strict: raise when names are missing or unexpected.
        safe: look for safetensors in a folder before ``.bin`` files; only these with False.
        weights_only: accepted: nothing but tensors is ever unpickled.
        map_location: the device to put tensors on.
        mmap: accepted: safetensors are always mapped.
        filename_pattern: accepted: files are found by the names that the ecosystem gives them.

    Returns:
        ``missing_keys`` and ``unexpected_keys``.

    Raises:
        ValueError: there is no such file or folder.
        RuntimeError: with ``strict``, names do not fit.
    """
    path = Path(checkpoint_path)
    if not path.exists():
        raise ValueError(f"there is no file or folder {str(path)!r}")
    files = [str(path)] if path.is_file() else list(find_weights(path, use_safetensors=None if safe else False) or [])
    report = load_into(model, files, device=map_location)
    if strict and (report.missing or report.unexpected):
        raise RuntimeError(f"names do not fit: missing {report.missing}, unexpected {report.unexpected}")
    return _Loaded(report.missing, report.unexpected)
