"""Models larger than a device: parts on several devices, in memory and on disk, brought when they compute."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from enfold.accelerate.hooks import (
    AlignDevicesHook,
    CpuOffload,
    UserCpuOffloadHook,
    add_hook_to_module,
    attach_align_device_hook,
    attach_align_device_hook_on_blocks,
)
from enfold.accelerate.maps import Budget, check_device_map, place_of, resolve_device_map
from enfold.accelerate.offload import (
    Index,
    OffloadedWeightsLoader,
    extract_submodules_state_dict,
    offload_state_dict,
    offload_weight,
    save_offload_index,
)
from enfold.accelerate.sizes import (
    Place,
    as_dtype,
    find_tied_parameters,
    named_module_tensors,
    retie_parameters,
    set_module_tensor_to_device,
)
from enfold.checkpoints import CheckpointError, find_weights, load_into, shard_files
from enfold.checkpoints.read import open_tensors
from enfold.errors import EnfoldError

__all__ = [
    "cpu_offload",
    "cpu_offload_with_hook",
    "disk_offload",
    "dispatch_model",
    "load_checkpoint_and_dispatch",
    "load_checkpoint_in_model",
    "main_device_of",
]


def cpu_offload(
    model: nn.Module,
    execution_device: Place | None = None,
    offload_buffers: bool = False,
    state_dict: Mapping[str, Tensor] | None = None,
    preload_module_classes: list[str] | None = None,
) -> nn.Module:
    """Keep a model's weights in memory, and bring each part to a device for its forward alone.

    Args:
        model: the model, changed in place.
        execution_device: where it computes; by default where its first parameter is.
        offload_buffers: bring buffers too, instead of leaving them there.
        state_dict: the weights in memory; by default the model's.
        preload_module_classes: names of classes whose weights are brought all at once.
    """
    place = execution_device if execution_device is not None else next(model.parameters()).device
    weights = state_dict or {name: tensor.to("cpu") for name, tensor in model.state_dict().items()}
    return _bring(model, place, weights, offload_buffers, preload_module_classes)


def disk_offload(
    model: nn.Module,
    offload_dir: str | os.PathLike[str],
    execution_device: Place | None = None,
    offload_buffers: bool = False,
    preload_module_classes: list[str] | None = None,
) -> nn.Module:
    """Keep a model's weights in a folder, and bring each part to a device for its forward alone.

    Args:
        model: the model, changed in place.
        offload_dir: the folder; used as it is when it already has an ``index.json``.
        execution_device, offload_buffers, preload_module_classes: as in :func:`cpu_offload`.
    """
    if not (Path(offload_dir) / "index.json").is_file():
        offload_state_dict(offload_dir, model.state_dict())
    place = execution_device if execution_device is not None else next(model.parameters()).device
    weights = OffloadedWeightsLoader(save_folder=offload_dir)
    return _bring(model, place, weights, offload_buffers, preload_module_classes)


def _bring(
    model: nn.Module, place: Place, weights: Mapping[str, Tensor], buffers: bool, preload: list[str] | None
) -> nn.Module:
    add_hook_to_module(model, AlignDevicesHook(io_same_device=True), append=True)
    attach_align_device_hook(model, place, True, weights, buffers, preload_module_classes=preload)
    return model


def cpu_offload_with_hook(
    model: nn.Module, execution_device: Place | None = None, prev_module_hook: UserCpuOffloadHook | None = None
) -> tuple[nn.Module, UserCpuOffloadHook]:
    """Keep a whole model on the processor until it is called; it then stays until ``hook.offload()``.

    Args:
        model: the model, changed in place.
        execution_device: where it computes.
        prev_module_hook: the hook of the model that runs before it, which is sent back when this one is called.

    Returns:
        The model, and its hook with ``offload()`` and ``remove()``.
    """
    hook = CpuOffload(execution_device, prev_module_hook)
    add_hook_to_module(model, hook, append=True)
    return model, UserCpuOffloadHook(model, hook)


def dispatch_model(
    model: nn.Module,
    device_map: Mapping[str, Any],
    main_device: Place | None = None,
    state_dict: Mapping[str, Tensor] | None = None,
    offload_dir: str | os.PathLike[str] | None = None,
    offload_index: Mapping[str, Any] | None = None,
    offload_buffers: bool = False,
    skip_keys: str | list[str] | None = None,
    preload_module_classes: list[str] | None = None,
    force_hooks: bool = False,
) -> nn.Module:
    """Spread a model over devices, memory and disk; its forward then brings what it needs.

    Args:
        model: the model with its weights, changed in place; parts on the meta device must be in ``offload_index``.
        device_map: name → GPU number, ``"cpu"`` or ``"disk"``, of the whole model.
        main_device: where parts in memory and on disk compute; by default the first GPU of the map, or the processor.
        state_dict: weights of the parts that are kept in memory for another device.
        offload_dir: folder for the parts on disk; those that the model still holds are written there.
        offload_index: name → where a tensor on disk is, as in :class:`OffloadedWeightsLoader`.
        offload_buffers: bring buffers too, instead of leaving them on the device that computes.
        skip_keys: keyword arguments that stay where they are, such as a cache.
        preload_module_classes: names of classes whose weights are brought all at once.
        force_hooks: add hooks even when everything goes to one device.

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model = dispatch_model(model, {"0": "cpu", "1": "disk"}, offload_dir=folder)
        ...     model[1].weight.device.type, model(torch.ones(1, 2)).shape
        ('meta', torch.Size([1, 2]))
    """
    check_device_map(model, device_map)
    places = dict(device_map)
    kinds = {str(place) for place in places.values()}
    if len(kinds) == 1 and "disk" not in kinds and not force_hooks:
        model.to(torch.device(next(iter(places.values()))))
        vars(model)["hf_device_map"] = places
        return model
    if main_device is None:
        main_device = main_device_of(places)
    beside = ("disk",) if str(main_device) == "cpu" else ("cpu", "disk")
    away = {name: str(place) in beside for name, place in places.items()}
    on_disk = [name for name, place in places.items() if place == "disk"]
    if on_disk and offload_dir is None and offload_index is None:
        raise EnfoldError(f"{', '.join(on_disk[:3])} go to disk: say into which folder with offload_dir")
    if on_disk and offload_index is None:
        moved = extract_submodules_state_dict(model.state_dict(), on_disk)
        at_hand = set() if offload_buffers else {name for name, _ in model.named_buffers()}
        # what is on the meta device was written when it was loaded
        fresh = {name: value for name, value in moved.items() if name not in at_hand and not value.is_meta}
        if fresh or not (Path(str(offload_dir)) / "index.json").is_file():
            offload_state_dict(str(offload_dir), fresh)
    if state_dict is None and any(gone and places[name] == "cpu" for name, gone in away.items()):
        kept = [name for name, place in places.items() if place == "cpu" and away[name]]
        state_dict = extract_submodules_state_dict(model.state_dict(), kept)
    weights = None
    if state_dict or on_disk:
        weights = OffloadedWeightsLoader(state_dict, offload_dir if on_disk else None, offload_index)
    tied = find_tied_parameters(model)
    devices = {name: main_device if away[name] else place for name, place in places.items()}
    for name, tensor in named_module_tensors(model, recurse=True):
        if name in places:  # a tensor beside modules has nobody who would bring it
            value = weights[name] if tensor.is_meta and weights is not None else None
            set_module_tensor_to_device(model, name, devices[name], value)
    attach_align_device_hook_on_blocks(
        model,
        devices,
        away,
        _with_tied(weights, tied, model),
        offload_buffers,
        skip_keys=skip_keys,
        preload_module_classes=preload_module_classes,
    )
    present = [[name for name in names if not model.get_parameter(name).is_meta] for names in tied]
    retie_parameters(model, [names for names in present if len({model.get_parameter(n).device for n in names}) == 1])
    vars(model)["hf_device_map"] = places
    return model


def main_device_of(places: Mapping[str, Any]) -> Any:
    """Where parts in memory and on disk compute: on the first GPU of a map, or on the processor."""
    return next((place for place in places.values() if str(place) not in ("cpu", "disk")), "cpu")


def _with_tied(
    weights: OffloadedWeightsLoader | None, tied: list[list[str]], model: nn.Module
) -> Mapping[str, Tensor] | None:
    """Let every name of a shared parameter find it, although a checkpoint holds it under one."""
    if weights is None:
        return None
    for names in tied:
        held = next((name for name in names if name in weights), None)
        real = next((model.get_parameter(name) for name in names if not model.get_parameter(name).is_meta), None)
        for name in names:
            if name in weights:
                continue
            if held is None:
                if real is not None:
                    weights.state_dict[name] = real.detach()
            elif held in weights.state_dict:
                weights.state_dict[name] = weights.state_dict[held]
            elif weights.index[held].get("safetensors_file") is not None:
                weights.index[name] = {"weight_name": held, **weights.index[held]}
            else:
                weights.state_dict[name] = weights[held]  # memory-mapped: takes no memory
    weights.all_keys = list(dict.fromkeys([*weights.state_dict, *weights.index]))
    return weights


def load_checkpoint_in_model(
    model: nn.Module,
    checkpoint: str | os.PathLike[str],
    device_map: Mapping[str, Any] | None = None,
    offload_folder: str | os.PathLike[str] | None = None,
    dtype: str | torch.dtype | None = None,
    offload_state_dict: bool = False,
    offload_buffers: bool = False,
    keep_in_fp32_modules: list[str] | None = None,
    offload_8bit_bnb: bool = False,
    strict: bool = False,
    full_state_dict: bool = True,
    broadcast_from_rank0: bool = False,
) -> None:
    """Fill a model from a checkpoint, each tensor on the device its part goes to; parts on disk are written there.

    Tensors are taken from the files one by one and memory-mapped until then, so that no more than one is in memory
    twice.

    Args:
        model: the model, best on the meta device.
        checkpoint: a file, an index of shards, or a folder with either.
        device_map: name → GPU number, ``"cpu"`` or ``"disk"``.
        offload_folder: folder for the parts on disk.
        dtype: type of floating-point tensors.
        offload_buffers: write buffers to disk too, instead of leaving them on the device that computes.
        offload_state_dict, offload_8bit_bnb, full_state_dict, broadcast_from_rank0: accepted for the
            ecosystem's callers; nothing is held in memory that these would spare.
        keep_in_fp32_modules: names of modules that stay in float32 whatever ``dtype`` says.
        strict: raise when a name is missing or not expected.
    """
    places: Mapping[str, Any] = device_map if device_map is not None else {"": "cpu"}
    if "disk" in map(str, places.values()) and offload_folder is None:
        raise EnfoldError("parts of the device map go to disk: say into which folder with offload_folder")
    exact, known, tied = keep_in_fp32_modules or [], set(model.state_dict()), find_tied_parameters(model)
    landing = Landing(model, places, offload_folder, offload_buffers)
    wide = {name for name in known if any(part in name.split(".") for part in exact)}
    loaded: set[str] = set()
    unexpected: list[str] = []
    for file in _weight_files(checkpoint):
        with open_tensors(file) as (names, get):
            for kind, chosen in ((as_dtype(dtype), known - wide), (torch.float32, wide)):
                here = [name for name in names if name in chosen]
                if here:
                    report = load_into(
                        model, _Chosen(here, get), dtype=kind, device=landing.place, divert=landing.divert
                    )
                    loaded |= report.loaded
            unexpected += [name for name in names if name not in known]
    landing.finish()
    shared = {name for names in tied if loaded & set(names) for name in names}
    missing = sorted(known - loaded - shared)
    if strict and (missing or unexpected):
        raise CheckpointError(f"missing: {missing or 'none'}; not expected: {unexpected or 'none'}")
    retie_parameters(model, tied)


class _Chosen(Mapping[str, Tensor]):
    """Some tensors of an open file, each read when it is asked for."""

    def __init__(self, names: list[str], get: Callable[[str], Tensor]) -> None:
        self.names, self.get_tensor = names, get

    def __getitem__(self, key: str) -> Tensor:
        return self.get_tensor(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


class Landing:
    """Where the tensors of a checkpoint go that is being read: to a device, or into a folder.

    Args:
        model: the model that is filled.
        places: name → GPU number, ``"cpu"`` or ``"disk"``.
        folder: for what goes to disk.
        offload_buffers: write buffers too, instead of leaving them on the device that computes.
    """

    def __init__(
        self, model: nn.Module, places: Mapping[str, Any], folder: Any = None, offload_buffers: bool = False
    ) -> None:
        self.places, self.folder = places, folder
        self.at_hand = set() if offload_buffers else {name for name, _ in model.named_buffers()}
        self.index: Index = {}

    def place(self, name: str) -> Any:
        """Return the device of a tensor; the processor for what is only passing through to disk."""
        place = place_of(name, self.places)
        if name in self.at_hand and str(place) in ("cpu", "disk"):
            place = main_device_of(self.places)
        return "cpu" if str(place) == "disk" else place

    def divert(self, name: str, tensor: Tensor) -> bool:
        """Write a tensor into the folder when that is its place; say whether it was."""
        if str(place_of(name, self.places)) != "disk" or name in self.at_hand:
            return False
        self.index = offload_weight(tensor, name, self.folder, self.index)
        return True

    def finish(self) -> None:
        """Write the folder's index."""
        if self.index:
            save_offload_index(self.index, self.folder)


def _weight_files(checkpoint: str | os.PathLike[str]) -> list[str]:
    path = Path(checkpoint)
    if path.is_file():
        if path.name.endswith(".index.json"):
            return [str(path.parent / name) for name in shard_files(path)]
        return [str(path)]
    return list(find_weights(path))


def load_checkpoint_and_dispatch(
    model: nn.Module,
    checkpoint: str | os.PathLike[str],
    device_map: str | Mapping[str, Any] | None = None,
    max_memory: Budget | None = None,
    no_split_module_classes: list[str] | None = None,
    offload_folder: str | os.PathLike[str] | None = None,
    offload_buffers: bool = False,
    dtype: str | torch.dtype | None = None,
    offload_state_dict: bool | None = None,
    skip_keys: str | list[str] | None = None,
    preload_module_classes: list[str] | None = None,
    force_hooks: bool = False,
    strict: bool = False,
    full_state_dict: bool = True,
    broadcast_from_rank0: bool = False,
) -> nn.Module:
    """Fill a model from a checkpoint and spread it over devices, memory and disk.

    Args:
        model: the model, best on the meta device.
        checkpoint: a file, an index of shards, or a folder with either.
        device_map: name → device, ``"auto"``, ``"balanced"``, ``"balanced_low_0"``, ``"sequential"``, or None for the
            processor alone.
        max_memory, no_split_module_classes: as in :func:`infer_auto_device_map`.
        offload_folder: folder for the parts on disk; a temporary one when it is needed and not given.
        dtype, strict, offload_state_dict, full_state_dict, broadcast_from_rank0: as in
            :func:`load_checkpoint_in_model`.
        offload_buffers, skip_keys, preload_module_classes, force_hooks: as in :func:`dispatch_model`.
    """
    if device_map is None:
        load_checkpoint_in_model(model, checkpoint, None, offload_folder, dtype, strict=strict)
        return model
    places = resolve_device_map(model, device_map, max_memory, no_split_module_classes, dtype, offload_buffers)
    if "disk" in map(str, places.values()) and offload_folder is None:
        offload_folder = folder_of(model)
    load_checkpoint_in_model(
        model, checkpoint, places, offload_folder, dtype, offload_buffers=offload_buffers, strict=strict
    )
    return dispatch_model(
        model,
        places,
        offload_dir=offload_folder,
        offload_buffers=offload_buffers,
        skip_keys=skip_keys,
        preload_module_classes=preload_module_classes,
        force_hooks=force_hooks,
    )


def folder_of(model: nn.Module) -> str:
    """Make a temporary folder that lives as long as the model."""
    kept = tempfile.TemporaryDirectory(prefix="enfold-offload-")
    vars(model)["_offload_folder"] = kept
    return kept.name
