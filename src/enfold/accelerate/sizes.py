"""How much memory a module's parts take, and where single tensors of it are put."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from enfold.errors import EnfoldError, nearest

__all__ = [
    "calculate_maximum_sizes",
    "compute_module_sizes",
    "dtype_byte_size",
    "find_tied_parameters",
    "get_max_layer_size",
    "get_non_persistent_buffers",
    "named_module_tensors",
    "retie_parameters",
    "set_module_tensor_to_device",
]

Place = int | str | torch.device


def dtype_byte_size(dtype: torch.dtype) -> int | float:
    """Return the bytes that one element takes; a truth value counts as an eighth, as the ecosystem counts it.

    Example:
        >>> dtype_byte_size(torch.bfloat16)
        2
    """
    return 1 / 8 if dtype == torch.bool else dtype.itemsize


def as_dtype(dtype: str | torch.dtype | None) -> torch.dtype | None:
    """Return a type by its name, such as ``"float16"`` or ``"torch.float16"``."""
    return getattr(torch, dtype.removeprefix("torch.")) if isinstance(dtype, str) else dtype


def named_module_tensors(
    module: nn.Module, include_buffers: bool = True, recurse: bool = False, remove_non_persistent: bool = False
) -> Iterator[tuple[str, Tensor]]:
    """Yield names and tensors of a module: parameters, then buffers.

    Args:
        module: whose tensors.
        include_buffers: buffers too.
        recurse: those of submodules too.
        remove_non_persistent: leave out buffers that no checkpoint holds.
    """
    yield from module.named_parameters(recurse=recurse)
    if not include_buffers:
        return
    passing = transient_buffers(module, recurse) if remove_non_persistent else set()
    yield from ((name, buffer) for name, buffer in module.named_buffers(recurse=recurse) if name not in passing)


def transient_buffers(module: nn.Module, recurse: bool = True) -> set[str]:
    """Return the names of buffers that no checkpoint holds."""
    owners = module.named_modules(remove_duplicate=False) if recurse else [("", module)]
    return {f"{path}.{leaf}" if path else leaf for path, owner in owners for leaf in owner._non_persistent_buffers_set}


def get_non_persistent_buffers(module: nn.Module, recurse: bool = False, fqns: bool = False) -> set[str]:
    """Return the names of buffers that no checkpoint holds.

    Args:
        module: whose buffers.
        recurse: those of submodules too.
        fqns: names from the top, such as ``"layer.bias"``, instead of those inside their modules.
    """
    names = transient_buffers(module, recurse)
    return names if fqns else {name.rpartition(".")[2] for name in names}


def set_module_tensor_to_device(
    module: nn.Module,
    tensor_name: str,
    device: Place,
    value: Tensor | None = None,
    dtype: str | torch.dtype | None = None,
    non_blocking: bool = False,
    **ignored: Any,
) -> None:
    """Put one parameter or buffer of a module on a device, possibly with a new value.

    Args:
        module: the module.
        tensor_name: dotted name inside it.
        device: where to; ``"meta"`` gives the memory back.
        value: the new value; needed when the tensor is on the meta device and shall leave it.
        dtype: type of a floating-point value; by default that of ``value``.
        non_blocking: do not wait for the copy.
        ignored: options of the ecosystem that change nothing here (``tied_params_map``, ``clear_cache`` …).
    """
    path, _, leaf = tensor_name.rpartition(".")
    owner = module.get_submodule(path)
    if leaf not in owner._parameters and leaf not in owner._buffers:
        known = [*owner._parameters, *owner._buffers]
        raise EnfoldError(f"{type(owner).__name__} has no tensor {leaf!r}{nearest(leaf, known)}")
    old: Any = getattr(owner, leaf)
    target = torch.device(device)
    if value is None:
        if old.is_meta and target.type != "meta":
            raise EnfoldError(f"{tensor_name} is on the meta device and holds no value: give one to put it on {target}")
        value = old.detach()
    elif old is not None and tuple(value.shape) != tuple(old.shape):
        raise EnfoldError(f"{tensor_name} is of shape {tuple(old.shape)}; a value of {tuple(value.shape)} does not fit")
    wanted = as_dtype(dtype)
    if wanted is not None and value.is_floating_point():
        value = value.to(wanted)
    value = value.to(target, non_blocking=non_blocking)
    if leaf in owner._buffers:
        owner._buffers[leaf] = value
        return
    kept = {name: item for name, item in vars(old).items() if name != "requires_grad"}
    owner._parameters[leaf] = nn.Parameter(value.detach(), requires_grad=old.requires_grad and _has_gradient(value))
    vars(owner._parameters[leaf]).update(kept)


def _has_gradient(value: Tensor) -> bool:
    return value.is_floating_point() or value.is_complex()


def find_tied_parameters(model: nn.Module, **ignored: Any) -> list[list[str]]:
    """Return groups of names that share one parameter, each sorted.

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
        >>> model[1].weight = model[0].weight
        >>> find_tied_parameters(model)
        [['0.weight', '1.weight']]
    """
    groups: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        groups.setdefault(id(parameter), []).append(name)
    return sorted(sorted(names) for names in groups.values() if len(names) > 1)


def retie_parameters(model: nn.Module, tied_params: Iterable[Iterable[str]]) -> None:
    """Let every group of names share one parameter again: the first that holds a value."""
    for names in map(list, tied_params):
        found = [model.get_parameter(name) for name in names]
        shared = next((parameter for parameter in found if not parameter.is_meta), found[0])
        for name in names:
            path, _, leaf = name.rpartition(".")
            model.get_submodule(path)._parameters[leaf] = shared


def compute_module_sizes(
    model: nn.Module,
    dtype: str | torch.dtype | None = None,
    special_dtypes: Mapping[str, str | torch.dtype] | None = None,
    buffers_only: bool = False,
) -> dict[str, int]:
    """Return the bytes of every tensor and of every module, the whole under ``""``.

    Args:
        model: the model, on the meta device or elsewhere.
        dtype: type that floating-point tensors will have, when that takes fewer bytes than now.
        special_dtypes: name → type, for single tensors.
        buffers_only: count buffers alone.
    """
    wanted, special = as_dtype(dtype), {name: as_dtype(kind) for name, kind in (special_dtypes or {}).items()}
    named = model.named_buffers() if buffers_only else named_module_tensors(model, recurse=True)
    sizes: dict[str, int] = {}
    for name, tensor in named:
        each = dtype_byte_size(tensor.dtype)
        if special.get(name) is not None:
            each = dtype_byte_size(special[name])  # type: ignore[arg-type]
        elif wanted is not None and tensor.is_floating_point():
            each = min(dtype_byte_size(wanted), each)
        size = int(tensor.numel() * each)
        parts = name.split(".")
        for end in range(len(parts) + 1):
            key = ".".join(parts[:end])
            sizes[key] = sizes.get(key, 0) + size
    return sizes


def get_max_layer_size(
    modules: list[tuple[str, Any]], module_sizes: Mapping[str, int], no_split_module_classes: Iterable[str]
) -> tuple[int, list[str]]:
    """Return the size of the largest part that is never split, and the names of all parts of that size.

    Args:
        modules: names and modules or tensors to look into.
        module_sizes: of :func:`compute_module_sizes`.
        no_split_module_classes: names of classes that stay in one place.
    """
    largest, names = 0, []
    waiting = list(modules)
    while waiting:
        name, part = waiting.pop(0)
        children = list(part.named_children()) if isinstance(part, nn.Module) else []
        if not children or type(part).__name__ in no_split_module_classes:
            size = module_sizes.get(name, 0)
            if size > largest:
                largest, names = size, [name]
            elif size == largest:
                names.append(name)
        else:
            waiting = [(f"{name}.{child}", module) for child, module in children] + waiting
    return largest, names


def calculate_maximum_sizes(model: nn.Module) -> tuple[int, tuple[int, list[str]]]:
    """Return the bytes of a model, and those of its largest part that is never split with its names."""
    sizes = compute_module_sizes(model)
    never = list(getattr(model, "_no_split_modules", None) or [])
    return sizes[""], get_max_layer_size(list(model.named_children()), sizes, never)
