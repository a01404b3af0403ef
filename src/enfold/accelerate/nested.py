"""What is inside nested lists, tuples and dictionaries of tensors: their numbers, their shapes, their types."""

from __future__ import annotations

import functools
import pickle
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from enfold.accelerate.operations import honor_type, is_namedtuple, is_torch_tensor, recursively_apply, reduce

__all__ = [
    "ConvertOutputsToFp32",
    "TensorInformation",
    "convert_outputs_to_fp32",
    "convert_to_fp32",
    "copy_tensor_to_devices",
    "get_data_structure",
    "get_shape",
    "honor_type",
    "initialize_tensors",
    "is_namedtuple",
    "is_tensor_information",
    "is_torch_tensor",
    "listify",
    "merge_dicts",
    "pad_input_tensors",
    "recursive_getattr",
]


@dataclass
class TensorInformation:
    """What another process needs to know to make room for a tensor."""

    shape: torch.Size
    dtype: torch.dtype


def is_tensor_information(tensor_info: Any) -> bool:
    """Return whether something is a :class:`TensorInformation`."""
    return isinstance(tensor_info, TensorInformation)


def get_data_structure(data: Any) -> Any:
    """Return the structure with a :class:`TensorInformation` in the place of every tensor."""
    return recursively_apply(lambda tensor: TensorInformation(tensor.shape, tensor.dtype), data)


def get_shape(data: Any) -> Any:
    """Return the structure with its shape, as a list, in the place of every tensor."""
    return recursively_apply(lambda tensor: list(tensor.shape), data)


def initialize_tensors(data_structure: Any) -> Any:
    """Return a structure of tensors that hold nothing yet, from one of :func:`get_data_structure`."""
    return recursively_apply(
        lambda told: torch.empty(told.shape, dtype=told.dtype), data_structure, test_type=is_tensor_information
    )


def listify(data: Any) -> Any:
    """Return the structure with numbers in the place of tensors.

    Example:
        >>> listify({"a": torch.tensor([1, 2])})
        {'a': [1, 2]}
    """
    return recursively_apply(lambda tensor: tensor.tolist(), data)


def copy_tensor_to_devices(tensor: Tensor | None = None) -> Tensor:
    """Give every process the tensor that one of them holds; the others need not know its shape and pass None."""
    from enfold.accelerate.operations import gather_object
    from enfold.accelerate.state import PartialState

    told = next(info for info in gather_object([get_data_structure(tensor)]) if info is not None)
    if tensor is None:
        tensor = torch.zeros(told.shape, dtype=told.dtype, device=PartialState().device)
    copied: Tensor = reduce(tensor, reduction="sum")
    return copied


def pad_input_tensors(tensor: Any, batch_size: int, num_processes: int, dim: int = 0) -> Any:
    """Lengthen tensors with zeros until every process can be given a share.

    Args:
        tensor: the structure, of ``batch_size`` along ``dim``.
        batch_size: examples there are.
        num_processes: how many shares there will be.
        dim: the axis of the examples.

    Example:
        >>> pad_input_tensors(torch.ones(3, 2), 3, 2).shape
        torch.Size([4, 2])
    """
    missing = -batch_size % num_processes

    def pad(value: Tensor) -> Tensor:
        shape = list(value.shape)
        shape[dim] = missing
        return torch.cat([value, value.new_zeros(shape)], dim=dim)

    return recursively_apply(pad, tensor, error_on_other_type=True)


def convert_to_fp32(tensor: Any) -> Any:
    """Return the structure with tensors in half precision turned into float32."""

    def is_half(value: Any) -> bool:
        return getattr(value, "dtype", None) in (torch.float16, torch.bfloat16)

    return recursively_apply(lambda value: value.float(), tensor, test_type=is_half)


class ConvertOutputsToFp32:
    """A forward whose outputs in half precision are turned into float32.

    Args:
        model_forward: the forward, which stays at hand as ``__wrapped__``.
    """

    def __init__(self, model_forward: Callable[..., Any]) -> None:
        self.model_forward = model_forward
        functools.update_wrapper(self, model_forward)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return convert_to_fp32(self.model_forward(*args, **kwargs))

    def __getstate__(self) -> Any:
        raise pickle.PicklingError(
            "a model prepared for mixed precision cannot be pickled: take Accelerator.unwrap_model(model, "
            "keep_fp32_wrapper=False) first"
        )


def convert_outputs_to_fp32(model_forward: Callable[..., Any]) -> Callable[..., Any]:
    """Return a forward whose outputs in half precision are turned into float32."""
    converting = ConvertOutputsToFp32(model_forward)

    def forward(*args: Any, **kwargs: Any) -> Any:
        return converting(*args, **kwargs)

    forward.__wrapped__ = converting  # type: ignore[attr-defined]
    return forward


def merge_dicts(source: Mapping[str, Any], destination: dict[str, Any]) -> dict[str, Any]:
    """Put the entries of nested dictionaries into others, in place, and return these.

    Example:
        >>> merge_dicts({"a": {"b": 2}}, {"a": {"c": 3}})
        {'a': {'c': 3, 'b': 2}}
    """
    for key, value in source.items():
        if isinstance(value, Mapping):
            merge_dicts(value, destination.setdefault(key, {}))
        else:
            destination[key] = value
    return destination


def recursive_getattr(obj: Any, attr: str) -> Any:
    """Return an attribute of an attribute, such as ``"encoder.layer"``."""
    parts: Iterable[str] = attr.split(".")
    return functools.reduce(getattr, parts, obj)
