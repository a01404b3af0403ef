"""Small functions on nested arrays, lengths and processes, which programs with loops of their own import."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from enfold.accelerate.operations import gather

__all__ = [
    "EvalLoopContainer",
    "RemoveColumnsCollator",
    "atleast_1d",
    "denumpify_detensorize",
    "distributed_concat",
    "expand_like",
    "get_model_param_count",
    "get_module_class_from_name",
    "has_length",
    "is_main_process",
    "joined_arrays",
    "nested_concat",
    "nested_detach",
    "nested_gather",
    "nested_new_like",
    "nested_numpify",
    "nested_truncate",
    "seed_worker",
    "total_processes_number",
]

Array = np.ndarray[Any, Any]


def _leaves(function: Callable[[Any], Any], value: Any) -> Any:
    """Apply a function to everything inside tuples, lists and dictionaries."""
    if isinstance(value, (tuple, list)):
        return tuple(_leaves(function, item) for item in value)
    if isinstance(value, dict):
        return {name: _leaves(function, item) for name, item in value.items()}
    return function(value)


def nested_numpify(value: Any) -> Any:
    """Return nested tensors as arrays; half precision becomes float32."""

    def turn(item: Any) -> Any:
        if not isinstance(item, Tensor):
            return item
        item = item.detach()
        return (item.float() if item.dtype in (torch.bfloat16, torch.float16) else item).cpu().numpy()

    return _leaves(turn, value)


def nested_detach(value: Any) -> Any:
    """Return nested tensors without their graphs."""
    return _leaves(lambda item: item.detach() if isinstance(item, Tensor) else item, value)


def nested_truncate(value: Any, limit: int) -> Any:
    """Return the first ``limit`` rows of nested arrays."""
    return _leaves(lambda item: item if item is None else item[:limit], value)


def joined_arrays(parts: Sequence[Any], fill: int = -100) -> Array:
    """Return arrays one below another, narrower ones filled on the right.

    Example:
        >>> joined_arrays([np.array([[1, 2]]), np.array([[3]])]).tolist()
        [[1, 2], [3, -100]]
    """
    arrays = [np.atleast_1d(part) for part in parts]
    if arrays[0].ndim > 1:
        width = max(array.shape[1] for array in arrays)
        arrays = [_widened(array, width, fill) for array in arrays]
    return np.concatenate(arrays)


def _widened(array: Array, width: int, fill: int) -> Array:
    if array.shape[1] == width:
        return array
    filled = np.full((array.shape[0], width, *array.shape[2:]), fill, dtype=array.dtype)
    filled[:, : array.shape[1]] = array
    return filled


def nested_concat(tensors: Any, new_tensors: Any, padding_index: int = -100) -> Any:
    """Return two nested structures of tensors or arrays as one, rows below rows, narrower ones filled on the right."""
    if isinstance(tensors, (tuple, list)):
        pairs = zip(tensors, new_tensors, strict=True)
        return tuple(nested_concat(one, other, padding_index) for one, other in pairs)
    if isinstance(tensors, dict):
        return {name: nested_concat(tensors[name], new_tensors[name], padding_index) for name in tensors}
    joined = joined_arrays([nested_numpify(tensors), nested_numpify(new_tensors)], padding_index)
    return torch.from_numpy(joined).to(tensors) if isinstance(tensors, Tensor) else joined


def atleast_1d(value: Any) -> Any:
    """Return a tensor or an array of at least one axis."""
    return torch.atleast_1d(value) if isinstance(value, Tensor) else np.atleast_1d(value)


def expand_like(arrays: Array, new_seq_length: int, padding_index: int = -100) -> Array:
    """Return an array widened to ``new_seq_length`` columns, filled on the right."""
    return _widened(arrays, new_seq_length, padding_index)


def nested_new_like(arrays: Any, num_samples: int, padding_index: int = -100) -> Any:
    """Return nested arrays of ``num_samples`` rows each, filled."""
    return _leaves(lambda item: np.full_like(item, padding_index, shape=(num_samples, *item.shape[1:])), arrays)


def distributed_concat(tensor: Any, num_total_examples: int | None = None) -> Any:
    """Return the rows of nested tensors of all processes, the first ``num_total_examples`` of them if that is given."""
    gathered = gather(_leaves(atleast_1d, tensor))
    return gathered if num_total_examples is None else nested_truncate(gathered, num_total_examples)


def nested_gather(tensors: Any, parallel_mode: Any = None, name: str | None = None) -> Any:
    """Return the rows of nested tensors of all processes; None stays None.

    Args:
        tensors: a tensor, or tuples, lists and dictionaries of them.
        parallel_mode, name: accepted.
    """
    return None if tensors is None else distributed_concat(tensors)


class EvalLoopContainer:
    """Outputs of an evaluation, batch by batch.

    Args:
        do_nested_concat: keep one structure, narrower batches filled on the right; a list of the batches' otherwise.
        padding_index: what fills them.
    """

    def __init__(self, do_nested_concat: bool = True, padding_index: int = -100) -> None:
        self.do_nested_concat, self.padding_index = do_nested_concat, padding_index
        self.tensors: Any = None
        self.arrays: Any = None

    def add(self, tensors: Any) -> None:
        """Keep a batch's outputs."""
        self.tensors = self._with(self.tensors, tensors if self.do_nested_concat else [tensors])

    def to_cpu_and_numpy(self) -> None:
        """Turn what was added since the last call into arrays."""
        if self.tensors is None:
            return
        fresh = nested_numpify(self.tensors)
        self.arrays = self._with(self.arrays, fresh if self.do_nested_concat else list(fresh))
        self.tensors = None

    def get_arrays(self) -> Any:
        """Return all that was added as arrays; None where nothing was."""
        self.to_cpu_and_numpy()
        return self.arrays

    def _with(self, kept: Any, fresh: Any) -> Any:
        if kept is None:
            return fresh
        return nested_concat(kept, fresh, self.padding_index) if self.do_nested_concat else kept + fresh


def get_module_class_from_name(module: nn.Module, name: str) -> type[nn.Module] | None:
    """Return the class called ``name`` of a module or of one inside it; None where there is none."""
    return next((type(part) for part in module.modules() if type(part).__name__ == name), None)


def denumpify_detensorize(metrics: Any) -> Any:
    """Return nested metrics with plain numbers for arrays and tensors of one value."""
    if isinstance(metrics, (tuple, list)):
        return type(metrics)(denumpify_detensorize(item) for item in metrics)
    if isinstance(metrics, dict):
        return {name: denumpify_detensorize(item) for name, item in metrics.items()}
    one = isinstance(metrics, np.generic) or (isinstance(metrics, Tensor) and metrics.numel() == 1)
    return metrics.item() if one else metrics


def has_length(dataset: Any) -> bool:
    """Return whether a data set or loader knows how many items it has."""
    try:
        return len(dataset) is not None
    except (TypeError, AttributeError):
        return False


def get_model_param_count(model: nn.Module, trainable_only: bool = False) -> int:
    """Return how many numbers a model's parameters hold."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad or not trainable_only)


def seed_worker(worker_id: int, num_workers: int | None = None, rank: int | None = None) -> None:
    """Seed the other sources of randomness of a loader's worker from torch's."""
    seed = torch.initial_seed() % 2**32
    random.seed(seed)
    np.random.seed(seed)


def is_main_process(local_rank: int) -> bool:
    """Return whether this is the first of all processes; ``local_rank`` says so where there is only one."""
    return int(os.environ.get("RANK", max(local_rank, 0))) == 0


def total_processes_number(local_rank: int) -> int:
    """Return how many processes train together."""
    return int(os.environ.get("WORLD_SIZE", 1))


class RemoveColumnsCollator:
    """A collator that first drops from each row what the model does not take.

    Args:
        data_collator: rows → batch.
        signature_columns: the names that stay.
        logger, model_name, description: accepted.
    """

    def __init__(
        self,
        data_collator: Callable[..., Any],
        signature_columns: Sequence[str],
        logger: Any = None,
        model_name: str | None = None,
        description: str | None = None,
    ) -> None:
        self.data_collator, self.signature_columns = data_collator, set(signature_columns)

    def __call__(self, features: list[Any]) -> Any:
        if features and hasattr(features[0], "keys"):
            features = [{name: row[name] for name in row if name in self.signature_columns} for row in features]
        return self.data_collator(features)
