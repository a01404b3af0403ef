"""Which device each part of a model goes to: as much as fits on the first, the rest on the next, at last on disk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from enfold.accelerate.sizes import (
    Place,
    compute_module_sizes,
    find_tied_parameters,
    get_max_layer_size,
    transient_buffers,
)
from enfold.checkpoints import parse_size
from enfold.errors import EnfoldError

__all__ = [
    "check_device_map",
    "clean_device_map",
    "free_memory",
    "get_balanced_memory",
    "get_max_memory",
    "infer_auto_device_map",
    "resolve_device_map",
]

AUTOMATIC = ("auto", "balanced", "balanced_low_0", "sequential")
Budget = Mapping[Any, int | str]


def get_max_memory(max_memory: Budget | None = None) -> dict[Any, int]:
    """Return the bytes that may be used on each device: what is free, or what the caller allows.

    Args:
        max_memory: device → bytes or ``"10GB"``; a device that is not named is not used.

    Returns:
        GPUs by number, then ``"cpu"``, in this order.
    """
    if max_memory is not None:
        given = {device: parse_size(size) for device, size in max_memory.items()}
        numbers = sorted(device for device in given if isinstance(device, int))
        for number in numbers:
            if number >= torch.cuda.device_count():
                raise EnfoldError(f"max_memory names GPU {number}, but this machine has {torch.cuda.device_count()}")
        return {device: given[device] for device in [*numbers, *(name for name in given if name not in numbers)]}
    free: dict[Any, int] = {number: torch.cuda.mem_get_info(number)[0] for number in range(torch.cuda.device_count())}
    return {**free, "cpu": free_memory()}


def free_memory() -> int:
    """Return how many bytes of the computer's memory can be had without paging."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    import os

    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def get_balanced_memory(
    model: nn.Module,
    max_memory: Budget | None = None,
    no_split_module_classes: list[str] | None = None,
    dtype: str | torch.dtype | None = None,
    special_dtypes: Mapping[str, str | torch.dtype] | None = None,
    low_zero: bool = False,
) -> dict[Any, int]:
    """Return budgets under which GPUs share a model evenly.

    Args:
        model: the model.
        max_memory: upper limits.
        no_split_module_classes: names of classes that stay in one place.
        dtype, special_dtypes: types of the loaded tensors.
        low_zero: keep the first GPU as empty as possible, for example for what ``generate`` makes.
    """
    limits = get_max_memory(max_memory)
    gpus = [device for device in limits if isinstance(device, int) and limits[device] > 0]
    if len(gpus) < 2:
        return limits
    sizes = compute_module_sizes(model, dtype, special_dtypes)
    sharing = len(gpus) - 1 if low_zero else len(gpus)
    largest, _ = get_max_layer_size(list(model.named_children()), sizes, no_split_module_classes or [])
    # A share, the largest part on top so that cutting between parts fits, and a little for what sits beside them.
    share = int(sizes[""] / sharing * 1.1) + largest
    for gpu in gpus[:-1]:  # the last one takes what remains
        limits[gpu] = min(0 if low_zero and gpu == 0 else share, limits[gpu])
    if low_zero:
        limits[0] = max(0, sizes[""] - sum(limits[gpu] for gpu in gpus[1:]))
    return limits


def infer_auto_device_map(
    model: nn.Module,
    max_memory: Budget | None = None,
    no_split_module_classes: list[str] | str | None = None,
    dtype: str | torch.dtype | None = None,
    special_dtypes: Mapping[str, str | torch.dtype] | None = None,
    verbose: bool = False,
    clean_result: bool = True,
    offload_buffers: bool = False,
    fallback_allocation: bool = False,
) -> dict[str, Any]:
    """Decide where each part of a model goes, filling devices in order.

    Parts that share a parameter stay together. The first device, and the processor behind it, keep room for the
    largest part: parts that do not stay there are brought there to compute.

    Args:
        model: the model, best on the meta device.
        max_memory: device → bytes or ``"10GB"``; by default what is free.
        no_split_module_classes: names of classes that stay in one place, such as blocks with a residual connection.
        dtype, special_dtypes: types that the loaded tensors will have.
        verbose: print each decision.
        clean_result: name a whole module instead of all its parts where these go to one device.
        offload_buffers: parts on ``"cpu"`` or ``"disk"`` are brought with their buffers.
        fallback_allocation: when nothing at all fits on the first device in order, put the first smaller part there.

    Returns:
        Name of a module or tensor → GPU number, ``"cpu"`` or ``"disk"``.

    Example:
        >>> with torch.device("meta"):
        ...     model = nn.Sequential(nn.Linear(10, 10), nn.Linear(10, 10))
        >>> infer_auto_device_map(model, {"cpu": 1000})
        {'0': 'cpu', '1': 'disk'}
    """
    limits = get_max_memory(max_memory)
    never = [no_split_module_classes] if isinstance(no_split_module_classes, str) else no_split_module_classes or []
    devices = [*limits, *(["disk"] if "disk" not in limits else [])]
    gpus = [device for device in devices if device not in ("cpu", "disk")]
    keeping = {*gpus[:1], "cpu"}  # devices on which parts from elsewhere compute
    if not gpus:
        keeping = {"cpu"}
    sizes = compute_module_sizes(model, dtype, special_dtypes)
    tied = find_tied_parameters(model)
    waiting = _parts(model)
    result: dict[str, Any] = {}
    used: dict[Any, int] = dict.fromkeys(devices, 0)
    at = 0
    largest, largest_names = get_max_layer_size(waiting, sizes, never)
    while waiting:
        name, part = waiting.pop(0)
        largest_names = [other for other in largest_names if other != name and not other.startswith(f"{name}.")]
        if not largest_names:
            modules = [item for item in waiting if isinstance(item[1], nn.Module)]
            largest, largest_names = get_max_layer_size(modules, sizes, never)
        device = devices[at]
        limit = limits.get(device) if device != "disk" else None
        room = None if limit is None else limit - used[device] - (largest if device in keeping else 0)
        partners = _partners(name, tied, waiting)
        # a shared parameter is counted once in `sizes`, under the name that comes first
        together = sizes.get(name, 0) + sum(sizes.get(other, 0) for other, _ in partners)
        if room is None or together <= room:
            for other, _ in [(name, part), *partners]:
                result[other] = device
            waiting = [item for item in waiting if item[0] not in {other for other, _ in partners}]
            used[device] += together
            if verbose:
                print(f"{name} on {device}: {together:,} bytes, {used[device]:,} of {limit or 'any'} used")
            continue
        children = _parts(part, name) if isinstance(part, nn.Module) and type(part).__name__ not in never else []
        if any(isinstance(child, nn.Module) for _, child in children):
            waiting = children + waiting
            modules = [item for item in waiting if isinstance(item[1], nn.Module)]
            largest, largest_names = get_max_layer_size(modules, sizes, never)
            continue
        small = _first_smaller(waiting, sizes, room) if fallback_allocation and not used[device] else None
        if small is not None:
            waiting.remove(small)
            waiting = [small, (name, part), *waiting]
            continue
        waiting.insert(0, (name, part))
        if name not in largest_names:
            largest, largest_names = get_max_layer_size(waiting, sizes, never)
        at += 1
    if not offload_buffers:
        _warn_of_buffers(model, result, gpus)
    return clean_device_map(result) if clean_result else result


def _parts(module: nn.Module, prefix: str = "") -> list[tuple[str, Any]]:
    dot = f"{prefix}." if prefix else ""
    named = [*module.named_parameters(recurse=False), *module.named_children(), *module.named_buffers(recurse=False)]
    return [(dot + name, part) for name, part in named]


def _inside(name: str, part: str) -> bool:
    return name == part or name.startswith(f"{part}.")


def _partners(name: str, tied: list[list[str]], waiting: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """The waiting parts that share a parameter with ``name``."""
    others = {other for group in tied if any(_inside(one, name) for one in group) for other in group}
    return [item for item in waiting if any(_inside(other, item[0]) for other in others)]


def _first_smaller(waiting: list[tuple[str, Any]], sizes: Mapping[str, int], room: int) -> tuple[str, Any] | None:
    return next((item for item in waiting if 0 < sizes.get(item[0], 0) <= room), None)


def _warn_of_buffers(model: nn.Module, result: Mapping[str, Any], gpus: list[Any]) -> None:
    away = {name for name, device in result.items() if gpus and device in ("cpu", "disk")}
    passing = transient_buffers(model)
    count = sum(
        buffer.nbytes
        for name, buffer in model.named_buffers()
        if name not in passing and any(_inside(name, part) for part in away)
    )
    if count > 2**20:
        import warnings

        warnings.warn(
            f"{count:,} bytes of buffers belong to parts that are kept elsewhere and still sit on the first device; "
            "offload_buffers=True brings them along with the parts",
            stacklevel=3,
        )


def clean_device_map(device_map: dict[str, Any], module_name: str = "") -> dict[str, Any]:
    """Name a whole module instead of its parts where all of them go to one device; changes ``device_map``."""
    dot = f"{module_name}." if module_name else ""
    inside = [name for name in device_map if name.startswith(dot)]
    places = {str(device_map[name]) for name in inside}
    if len(places) == 1 and len(inside) > 1:
        place = device_map[inside[0]]
        for name in inside:
            del device_map[name]
        device_map[module_name] = place
    children = dict.fromkeys(dot + name[len(dot) :].split(".")[0] for name in inside if len(name) > len(dot))
    if len(places) > 1:
        for child in children:
            clean_device_map(device_map, child)
    return device_map


def check_device_map(model: nn.Module, device_map: Mapping[str, Any]) -> None:
    """Refuse a map that leaves out tensors of the model, naming them."""
    missing = [name for name in model.state_dict() if not any(part == "" or _inside(name, part) for part in device_map)]
    if missing:
        raise EnfoldError(f"the device map says nothing about {', '.join(missing[:5])}{' …' if missing[5:] else ''}")


def place_of(name: str, device_map: Mapping[str, Any]) -> Any:
    """Return the device of a tensor: that of the longest name in the map that it is inside of."""
    while name and name not in device_map:
        name = name.rpartition(".")[0]
    return device_map[name]


def resolve_device_map(
    model: nn.Module,
    device_map: str | Place | Mapping[str, Any],
    max_memory: Budget | None = None,
    no_split_module_classes: Iterable[str] | None = None,
    dtype: str | torch.dtype | None = None,
    offload_buffers: bool = False,
) -> dict[str, Any]:
    """Turn any way of saying where a model goes into name → device.

    Args:
        model: the model.
        device_map: ``"auto"``, ``"balanced"``, ``"balanced_low_0"``, ``"sequential"``, one device, or the map itself.
        max_memory, no_split_module_classes, dtype, offload_buffers: as in :func:`infer_auto_device_map`.
    """
    if isinstance(device_map, Mapping):
        check_device_map(model, device_map)
        return dict(device_map)
    if not isinstance(device_map, str) or device_map not in AUTOMATIC:
        try:
            return {"": torch.device(device_map)}
        except RuntimeError as error:
            raise EnfoldError(f"{device_map!r} is neither a device nor one of {', '.join(AUTOMATIC)}") from error
    never = list(no_split_module_classes or [])
    if device_map != "sequential":
        low = device_map == "balanced_low_0"
        max_memory = get_balanced_memory(model, max_memory, never, dtype, low_zero=low)
    return infer_auto_device_map(model, max_memory, never, dtype, offload_buffers=offload_buffers)
