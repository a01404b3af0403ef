"""Checkpoints of Flax models (``flax_model.msgpack``), whole or sharded, as torch's names and tensors, and back."""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from enfold.errors import EnfoldError
from enfold.transformers.frameworks.flax_names import flat, nested, to_torch, torch_names
from enfold.transformers.frameworks.msgpack import pack, unpack

__all__ = ["FLAX", "flax_state_dict", "save_flax"]

FLAX = "flax_model.msgpack"


def flax_state_dict(paths: Sequence[str | os.PathLike[str]]) -> dict[str, Tensor]:
    """Return the weights of Flax files under torch's names and in torch's layout.

    Args:
        paths: the file, or the shards of one. Shards' keys may be joined by ``/``.

    Raises:
        EnfoldError: a file is cut off or no Flax file.
    """
    found: dict[str, Tensor] = {}
    for path in paths:
        if os.path.getsize(path) == 0:
            raise EnfoldError(f"{path} is empty")
        with open(path, "rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)  # unmapped with the last view of it
        try:
            tree = _split(unpack(data))
        except EnfoldError as error:
            raise EnfoldError(f"{path}: {error}") from error
        values = flat(tree)
        for place, (name, turned) in torch_names(tree).items():
            value = values[place]
            if isinstance(value, Tensor):
                found[name] = to_torch(value, turned).contiguous()
    return found


def _split(tree: dict[str, Any]) -> dict[str, Any]:
    """Undo keys that are whole paths."""
    if not any("/" in name for name in tree):
        return tree
    return nested({tuple(name.split("/")): value for name, value in tree.items()})


def save_flax(tree: Mapping[str, Any], folder: str | os.PathLike[str]) -> str:
    """Write nested arrays to ``flax_model.msgpack`` in a folder, all or nothing, and return the path."""
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, FLAX)
    part = f"{path}.{os.getpid()}.part"
    try:
        with open(part, "wb") as file:
            for chunk in pack(tree):
                file.write(chunk)
        os.replace(part, path)
    finally:
        if os.path.exists(part):
            os.remove(part)
    return path
