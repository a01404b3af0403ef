"""Functions that act on every tensor inside nested lists, tuples and dictionaries, and between processes."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor

from enfold.accelerate.state import PartialState

__all__ = [
    "CannotPadNestedTensorWarning",
    "DistributedOperationException",
    "broadcast",
    "broadcast_object_list",
    "concatenate",
    "find_batch_size",
    "find_device",
    "gather",
    "gather_object",
    "honor_type",
    "ignorant_find_batch_size",
    "is_namedtuple",
    "is_torch_tensor",
    "pad_across_processes",
    "recursively_apply",
    "reduce",
    "send_to_device",
    "slice_tensors",
]


def is_torch_tensor(tensor: Any) -> bool:
    """Return whether something is a tensor."""
    return isinstance(tensor, Tensor)


def is_namedtuple(data: Any) -> bool:
    """Return whether something is a named tuple."""
    return isinstance(data, tuple) and hasattr(data, "_asdict") and hasattr(data, "_fields")


def honor_type(obj: Any, generator: Iterable[Any]) -> Any:
    """Return items in a list, tuple or named tuple such as ``obj`` is."""
    return type(obj)(*generator) if is_namedtuple(obj) else type(obj)(generator)


def recursively_apply(
    func: Callable[..., Any],
    data: Any,
    *args: Any,
    test_type: Callable[[Any], bool] = is_torch_tensor,
    error_on_other_type: bool = False,
    **kwargs: Any,
) -> Any:
    """Apply ``func`` to every tensor of a nested structure and keep the structure.

    Args:
        func: called with the tensor and the further arguments.
        data: tensors in lists, tuples, named tuples and mappings.
        test_type: what counts as a leaf to change.
        error_on_other_type: refuse other leaves instead of keeping them.

    Example:
        >>> recursively_apply(lambda t: t + 1, {"a": torch.zeros(1)})
        {'a': tensor([1.])}
    """

    def walk(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return honor_type(value, [walk(item) for item in value])
        if isinstance(value, Mapping):
            return type(value)({key: walk(item) for key, item in value.items()})  # type: ignore[call-arg]
        if test_type(value):
            return func(value, *args, **kwargs)
        if error_on_other_type:
            raise TypeError(f"{getattr(func, '__name__', func)} cannot act on a {type(value).__name__}")
        return value

    return walk(data)


def send_to_device(
    tensor: Any, device: str | torch.device, non_blocking: bool = False, skip_keys: list[str] | str | None = None
) -> Any:
    """Move everything that has ``.to`` inside a nested structure to ``device``.

    Args:
        tensor: the structure.
        device: where to.
        non_blocking: do not wait for the copy.
        skip_keys: keys of a mapping to leave where they are.
    """
    skipped = [skip_keys] if isinstance(skip_keys, str) else skip_keys or []
    if isinstance(tensor, Mapping) and not hasattr(tensor, "to"):
        moved = {
            key: value if key in skipped else send_to_device(value, device, non_blocking, skipped)
            for key, value in tensor.items()
        }
        return type(tensor)(moved)  # type: ignore[call-arg]
    if hasattr(tensor, "to"):
        try:
            return tensor.to(device, non_blocking=non_blocking)
        except TypeError:  # a batch of the tokenizer takes the device alone
            return tensor.to(device)
    if isinstance(tensor, (list, tuple)):
        return honor_type(tensor, [send_to_device(item, device, non_blocking, skipped) for item in tensor])
    return tensor


def ignorant_find_batch_size(data: Any) -> int | None:
    """Return the length of the first tensor found in a nested structure, or None."""
    if isinstance(data, Tensor):
        return data.shape[0] if data.ndim else None
    items = data.values() if isinstance(data, Mapping) else data if isinstance(data, (list, tuple)) else ()
    return next((size for size in map(ignorant_find_batch_size, items) if size is not None), None)


def find_batch_size(data: Any) -> int:
    """Return the length of the first tensor found in a nested structure.

    Raises:
        ValueError: the structure is empty.
        TypeError: it holds no tensor.
    """
    if isinstance(data, (tuple, list, Mapping)) and not data:
        raise ValueError(f"an empty {type(data).__name__} has no batch size")
    found = ignorant_find_batch_size(data)
    if found is None:
        raise TypeError(f"the batch size is that of a tensor, and this {type(data).__name__} holds none")
    return found


def find_device(data: Any) -> torch.device | None:
    """Return the device of the first tensor found in a nested structure, or None."""
    if isinstance(data, Tensor):
        return data.device
    items = data.values() if isinstance(data, Mapping) else data if isinstance(data, (list, tuple)) else ()
    return next((device for device in map(find_device, items) if device is not None), None)


def slice_tensors(
    data: Any, tensor_slice: slice, process_index: int | None = None, num_processes: int | None = None
) -> Any:
    """Slice every tensor of a nested structure along its first axis."""
    return recursively_apply(lambda tensor: tensor[tensor_slice], data)


def concatenate(data: list[Any], dim: int = 0) -> Any:
    """Join structures of the same shape tensor by tensor."""
    first = data[0]
    if isinstance(first, (list, tuple)):
        return honor_type(first, [concatenate([item[i] for item in data], dim) for i in range(len(first))])
    if isinstance(first, Mapping):
        return type(first)({key: concatenate([item[key] for item in data], dim) for key in first})  # type: ignore[call-arg]
    if len(data) == 1 and not isinstance(first, Tensor):
        return first
    return torch.cat(data, dim=dim)


class DistributedOperationException(Exception):
    """Processes were about to exchange tensors of different shapes, or from another device than the accelerator's."""


Exchange = TypeVar("Exchange", bound=Callable[..., Any])


def _verified(function: Exchange) -> Exchange:
    """Let a function compare its tensors' shapes between the processes first, in debug mode."""

    @functools.wraps(function)
    def verified(tensor: Any, *args: Any, **kwargs: Any) -> Any:
        state = PartialState()
        if state.use_distributed and state.debug:
            name, found = f"accelerate.utils.operations.{function.__name__}", find_device(tensor)
            if found is not None and found.type != state.device.type:
                raise DistributedOperationException(
                    f"{name} was given tensors on {found.type}, and the accelerator is configured for "
                    f"{state.device.type}: move them there first"
                )
            shapes = gather_object([recursively_apply(lambda value: list(value.shape), tensor)])
            if any(shape != shapes[0] for shape in shapes):
                told = "\n".join(f"  - Process {index}: {shape}" for index, shape in enumerate(shapes))
                raise DistributedOperationException(
                    "Cannot apply desired operation due to shape mismatches. All shapes across devices must be valid."
                    f"\n\nOperation: `{name}`\nInput shapes:\n{told}"
                )
        return function(tensor, *args, **kwargs)

    return verified  # type: ignore[return-value]


@_verified
def gather(tensor: Any) -> Any:
    """Return every process's tensors, joined along the first axis, on every process."""
    state = PartialState()
    if not state.use_distributed:
        return tensor

    def one(value: Tensor) -> Tensor:
        value = value.reshape(1) if value.ndim == 0 else value.contiguous()
        parts = [torch.empty_like(value) for _ in range(state.num_processes)]
        torch.distributed.all_gather(parts, value)
        return torch.cat(parts)

    return recursively_apply(one, tensor, error_on_other_type=True)


def gather_object(object: list[Any]) -> list[Any]:
    """Return every process's list of objects as one list, on every process."""
    state = PartialState()
    if not state.use_distributed:
        return object
    parts: list[Any] = [None] * state.num_processes
    torch.distributed.all_gather_object(parts, object)
    return [item for part in parts for item in part]


@_verified
def broadcast(tensor: Any, from_process: int = 0) -> Any:
    """Give every process the tensors of one."""
    if not PartialState().use_distributed:
        return tensor

    def one(value: Tensor) -> Tensor:
        torch.distributed.broadcast(value, src=from_process)
        return value

    return recursively_apply(one, tensor, error_on_other_type=True)


def broadcast_object_list(object_list: list[Any], from_process: int = 0) -> list[Any]:
    """Give every process the objects of one; ``object_list`` is changed and returned."""
    if PartialState().use_distributed:
        torch.distributed.broadcast_object_list(object_list, src=from_process)
    return object_list


@_verified
def reduce(tensor: Any, reduction: str = "mean", scale: float = 1.0) -> Any:
    """Sum or average tensors over the processes, or take the largest of each entry.

    Args:
        tensor: the structure.
        reduction: ``"sum"``, ``"mean"``, ``"max"`` or ``"none"``.
        scale: factor of the result.
    """
    state = PartialState()

    def one(value: Tensor) -> Tensor:
        if state.use_distributed and reduction != "none":
            value = value.clone()
            kinds = torch.distributed.ReduceOp
            torch.distributed.all_reduce(value, kinds.MAX if reduction == "max" else kinds.SUM)
            if reduction == "mean":
                value = value / state.num_processes
        return value if scale == 1.0 else value * scale

    return recursively_apply(one, tensor, error_on_other_type=True)


class CannotPadNestedTensorWarning(UserWarning):
    """A nested tensor was to be lengthened."""


def pad_across_processes(tensor: Any, dim: int = 0, pad_index: int = 0, pad_first: bool = False) -> Any:
    """Lengthen tensors along ``dim`` to the longest of all processes, so that they can be gathered."""
    alone = not PartialState().use_distributed

    def one(value: Tensor) -> Tensor:
        if value.is_nested:
            warnings.warn("a nested tensor cannot be lengthened; it stays as it is", CannotPadNestedTensorWarning, 2)
            return value
        if alone or not -value.ndim <= dim < value.ndim:
            return value
        size = torch.tensor(value.shape, device=value.device)
        if PartialState().debug:
            gather(size)  # says so when the numbers of axes differ
        size = size[dim].reshape(1)
        longest = int(gather(size).max())
        missing = longest - value.shape[dim]
        if not missing:
            return value
        shape = list(value.shape)
        shape[dim] = missing
        filler = value.new_full(shape, pad_index)
        return torch.cat([filler, value] if pad_first else [value, filler], dim=dim)

    return recursively_apply(one, tensor, error_on_other_type=True)
