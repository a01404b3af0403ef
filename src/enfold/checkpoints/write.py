"""Weights into a folder: safetensors in shards, each tensor once, old files replaced only by whole new ones."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from enfold.checkpoints.errors import CheckpointError
from enfold.checkpoints.files import BIN, SAFETENSORS, atomic_write, take_umask, with_variant

__all__ = ["parse_size", "save"]

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


def parse_size(size: int | str) -> int:
    """Return a size in bytes.

    Example:
        >>> parse_size("5GB"), parse_size("1MiB"), parse_size(7)
        (5000000000, 1048576, 7)
    """
    if isinstance(size, int):
        return size
    match = re.fullmatch(r"\s*([0-9.]+)\s*([A-Za-z]*)\s*", size)
    if not match or match[2].upper() not in _UNITS:
        raise CheckpointError(f"{size!r} is no size; write a number of bytes, or for example '5GB' or '500MiB'")
    return int(float(match[1]) * _UNITS[match[2].upper()])


def save(
    source: nn.Module | Mapping[str, Tensor],
    folder: str | os.PathLike[str],
    *,
    max_shard_size: int | str = "5GB",
    name: str = SAFETENSORS,
    variant: str | None = None,
    tied: Collection[str] = (),
    safe_serialization: bool = True,
) -> list[str]:
    """Write the weights of a module, or a dictionary of tensors, into a folder.

    Names that share one tensor are written once, under the name that is not in ``tied``, or else the first. Shards of
    an earlier save that the new one does not use are removed after everything is written.

    Args:
        source: module or name → tensor.
        folder: made when it does not exist.
        max_shard_size: bytes, or ``"5GB"``; one tensor alone may be larger.
        name: file name; shards are ``<stem>-00001-of-00003<extension>`` with ``<name>.index.json``.
        variant: an infix such as ``"fp16"``.
        tied: names to leave out when they share another name's tensor.
        safe_serialization: False writes ``pytorch_model.bin`` with ``torch.save`` for very old readers.

    Returns:
        The paths written.
    """
    tensors = dict(source.state_dict() if isinstance(source, nn.Module) else source)
    if any(tensor.is_meta for tensor in tensors.values()):
        empty = [name for name, tensor in tensors.items() if tensor.is_meta]
        raise CheckpointError(f"nothing to write: {', '.join(empty[:3])} … are on the meta device and hold no values")
    tensors = _once(tensors, set(tied))
    if not safe_serialization and name == SAFETENSORS:
        name = BIN
    write = _write_safetensors if name.endswith(".safetensors") else _write_bin
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    shards = _split(tensors, parse_size(max_shard_size))
    stem, extension = os.path.splitext(name)
    if len(shards) == 1:
        names = [with_variant(name, variant)]
    else:
        count = len(shards)
        infix = f".{variant}" if variant else ""
        names = [f"{stem}{infix}-{number + 1:05d}-of-{count:05d}{extension}" for number in range(count)]
    staged: list[tuple[str, Path]] = []
    try:
        for shard, file in zip(shards, names, strict=True):
            handle, temporary = tempfile.mkstemp(dir=target, prefix=f".{file}.")
            os.close(handle)
            staged.append((temporary, target / file))
            write(shard, temporary)
            take_umask(temporary)
        for temporary, path in staged:
            os.replace(temporary, path)
    except BaseException:
        for temporary, _ in staged:
            Path(temporary).unlink(missing_ok=True)
        raise
    written = [str(path) for _, path in staged]
    index = target / with_variant(f"{name}.index.json", variant)
    if len(shards) > 1:
        homes = {tensor: file for shard, file in zip(shards, names, strict=True) for tensor in shard}
        total = sum(tensor.nbytes for tensor in tensors.values())
        table = {"metadata": {"total_size": total}, "weight_map": dict(sorted(homes.items()))}
        atomic_write(index, json.dumps(table, indent=2) + "\n")
        written.append(str(index))
    _remove_stale(target, name, variant, keep={Path(path).name for path in written})
    return written


def _once(tensors: Mapping[str, Tensor], tied: set[str]) -> dict[str, Tensor]:
    """Keep one name of every shared tensor; give overlapping views memory of their own."""
    groups: dict[tuple[object, ...], list[str]] = {}
    for name, tensor in tensors.items():
        place = tensor.untyped_storage().data_ptr() if tensor.nbytes else id(tensor)
        key = (str(tensor.device), place, tensor.storage_offset(), tuple(tensor.shape), tensor.stride(), tensor.dtype)
        groups.setdefault(key, []).append(name)
    kept = {next((name for name in names if name not in tied), names[0]) for names in groups.values()}
    storages: set[int] = set()
    result: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name in kept:
            place = tensor.untyped_storage().data_ptr()
            shared = place in storages or tensor.untyped_storage().nbytes() != tensor.nbytes
            storages.add(place)
            result[name] = tensor.detach().clone() if shared else tensor.detach()
            result[name] = result[name].contiguous()
    return result


def _split(tensors: dict[str, Tensor], limit: int) -> list[dict[str, Tensor]]:
    shards: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, tensor in tensors.items():
        if shards[-1] and size + tensor.nbytes > limit:
            shards.append({})
            size = 0
        shards[-1][name] = tensor
        size += tensor.nbytes
    return shards


def _write_safetensors(tensors: dict[str, Tensor], path: str) -> None:
    save_file(tensors, path, metadata={"format": "pt"})


def _write_bin(tensors: dict[str, Tensor], path: str) -> None:
    torch.save(tensors, path)


def _remove_stale(folder: Path, name: str, variant: str | None, keep: set[str]) -> None:
    stem, extension = os.path.splitext(name)
    infix = re.escape(f".{variant}") if variant else ""
    whole = re.escape(with_variant(name, variant))
    index = re.escape(with_variant(f"{name}.index.json", variant))
    ours = re.compile(rf"{whole}|{index}|{re.escape(stem)}{infix}-\d{{5}}-of-\d{{5}}{re.escape(extension)}")
    for path in folder.iterdir():
        if ours.fullmatch(path.name) and path.name not in keep:
            path.unlink(missing_ok=True)


Writer = Callable[[dict[str, Tensor], str], None]
