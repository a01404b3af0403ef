"""Weights in a folder, one memory-mapped file each: what a model keeps on disk while it runs.

The format is the ecosystem's: ``<name>.dat`` holds the bare bytes, ``index.json`` the type and shape of each; bfloat16,
which numpy does not know, is written as int16.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor

from enfold.checkpoints import CheckpointError, atomic_write
from enfold.checkpoints.read import open_tensors

__all__ = [
    "OffloadedWeightsLoader",
    "PrefixedDataset",
    "extract_submodules_state_dict",
    "load_offloaded_weight",
    "offload_state_dict",
    "offload_weight",
    "save_offload_index",
]

Index = dict[str, dict[str, Any]]


def offload_weight(
    weight: Tensor, weight_name: str, offload_folder: str | os.PathLike[str], index: Index | None = None
) -> Index:
    """Write one tensor into the folder and return ``index`` with its entry.

    Args:
        weight: the tensor.
        weight_name: its name; the file is ``<name>.dat``.
        offload_folder: the folder.
        index: entries written so far.
    """
    if weight_name != os.path.basename(weight_name) or weight_name in ("", ".", ".."):
        raise CheckpointError(f"{weight_name!r} cannot be the name of a file in {offload_folder}")
    kind = str(weight.dtype).removeprefix("torch.")
    data = weight.detach().cpu().contiguous()
    array = (data.view(torch.int16) if data.dtype == torch.bfloat16 else data).numpy()
    if index is None:
        index = {}
    index[weight_name] = {"dtype": kind, "shape": list(array.shape)}
    atomic_write(Path(offload_folder) / f"{weight_name}.dat", array.tobytes())
    return index


def load_offloaded_weight(weight_file: str | os.PathLike[str], weight_info: Mapping[str, Any]) -> Tensor:
    """Return the tensor in a file of the folder; its bytes are read when they are used.

    Args:
        weight_file: path of ``<name>.dat``.
        weight_info: its entry in ``index.json``.

    Raises:
        CheckpointError: when the file is not as long as its entry says.
    """
    shape, kind = tuple(weight_info["shape"]), getattr(torch, weight_info["dtype"])
    length = int(numpy.prod(shape)) * kind.itemsize
    found = os.path.getsize(weight_file)
    if found != length:
        raise CheckpointError(f"{weight_file} has {found:,} bytes; a {kind} of shape {shape} takes {length:,}")
    if length == 0:
        return torch.empty(shape, dtype=kind)
    # private pages: nothing that is done to the tensor reaches the file
    mapped = numpy.memmap(weight_file, dtype=numpy.uint8, mode="c", shape=(length,))
    return torch.from_numpy(mapped).view(kind).reshape(shape)


def save_offload_index(index: Index, offload_folder: str | os.PathLike[str]) -> None:
    """Write ``index.json``, with the entries of an earlier one that ``index`` does not replace."""
    if not index:
        return
    path = Path(offload_folder) / "index.json"
    known = json.loads(path.read_text()) if path.is_file() else {}
    atomic_write(path, json.dumps({**known, **index}, indent=2))


def offload_state_dict(save_dir: str | os.PathLike[str], state_dict: Mapping[str, Tensor]) -> None:
    """Write all tensors into a folder.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     offload_state_dict(folder, {"a": torch.ones(2)})
        ...     OffloadedWeightsLoader(save_folder=folder)["a"].tolist()
        [1.0, 1.0]
    """
    os.makedirs(save_dir, exist_ok=True)
    index: Index = {}
    for name, tensor in state_dict.items():
        index = offload_weight(tensor, name, save_dir, index)
    save_offload_index(index, save_dir)


class OffloadedWeightsLoader(Mapping[str, Tensor]):
    """Tensors by name, from memory, from an offload folder, or from the safetensors files they came in.

    Args:
        state_dict: tensors in memory.
        save_folder: an offload folder with its ``index.json``.
        index: entries of that folder, or name → ``{"safetensors_file": path, "weight_name": name, "dtype": type}``.
        device: where tensors of safetensors files go; by default the processor.
    """

    def __init__(
        self,
        state_dict: Mapping[str, Tensor] | None = None,
        save_folder: str | os.PathLike[str] | None = None,
        index: Mapping[str, Any] | None = None,
        device: Any = None,
    ) -> None:
        if state_dict is None and save_folder is None and index is None:
            raise ValueError("give tensors (state_dict), a folder of them (save_folder), or an index")
        self.state_dict = dict(state_dict or {})
        self.save_folder, self.device = save_folder, device
        if index is None and save_folder is not None:
            index = json.loads((Path(save_folder) / "index.json").read_text())
        self.index: dict[str, Any] = dict(index or {})
        self.all_keys = list(dict.fromkeys([*self.state_dict, *self.index]))

    def __getitem__(self, key: str) -> Tensor:
        if key in self.state_dict:
            return self.state_dict[key]
        entry = self.index[key]
        if entry.get("safetensors_file") is None:
            return load_offloaded_weight(Path(str(self.save_folder)) / f"{key}.dat", entry)
        with open_tensors(entry["safetensors_file"]) as (_, get):
            tensor = get(entry.get("weight_name", key))
        if entry.get("dtype") is not None:
            tensor = tensor.to(getattr(torch, str(entry["dtype"]).removeprefix("torch.")))
        return tensor if self.device is None else tensor.to(self.device)

    def __iter__(self) -> Iterator[str]:
        return iter(self.all_keys)

    def __len__(self) -> int:
        return len(self.all_keys)


class PrefixedDataset(Mapping[str, Tensor]):
    """The tensors of a mapping whose names begin with a prefix, under the rest of their names."""

    def __init__(self, dataset: Mapping[str, Tensor], prefix: str) -> None:
        self.dataset, self.prefix = dataset, prefix

    def __getitem__(self, key: str) -> Tensor:
        return self.dataset[f"{self.prefix}{key}"]

    def __iter__(self) -> Iterator[str]:
        return (key[len(self.prefix) :] for key in self.dataset if key.startswith(self.prefix))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def extract_submodules_state_dict(
    state_dict: Mapping[str, Tensor], submodule_names: Iterable[str]
) -> dict[str, Tensor]:
    """Return the tensors of some submodules."""
    names = list(submodule_names)
    return {
        key: value
        for key, value in state_dict.items()
        if any(key == name or key.startswith(f"{name}.") for name in names)
    }
