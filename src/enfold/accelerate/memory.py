"""Batches that fit: try, and try again with fewer examples when memory runs out."""

from __future__ import annotations

import functools
import gc
import inspect
from collections.abc import Callable
from typing import Any

import torch

from enfold.errors import EnfoldError
from enfold.log import get_logger

__all__ = [
    "BatchSizeGivenError",
    "NoBatchFitsError",
    "clear_device_cache",
    "find_executable_batch_size",
    "release_memory",
    "should_reduce_batch_size",
]

logger = get_logger(__name__)


class NoBatchFitsError(EnfoldError, RuntimeError):
    """Memory runs out with one example."""


class BatchSizeGivenError(EnfoldError, TypeError):
    """A batch size is passed to a function that is given one."""


# How running out of memory is said by CUDA, cuDNN and the processor's allocator.
_OUT_OF_MEMORY = ("out of memory", "CUDNN_STATUS_NOT_SUPPORTED", "can't allocate memory")


def clear_device_cache(garbage_collection: bool = False) -> None:
    """Give memory that torch holds ready back to the device."""
    if garbage_collection:
        gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def release_memory(*objects: Any) -> list[Any]:
    """Return a None for each object, to overwrite the caller's names with, and give free memory back."""
    clear_device_cache(garbage_collection=True)
    return [None] * len(objects)


def should_reduce_batch_size(exception: Exception) -> bool:
    """Return whether an error says that memory ran out."""
    if isinstance(exception, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(exception, RuntimeError) and any(text in str(exception) for text in _OUT_OF_MEMORY)


def find_executable_batch_size(
    function: Callable[..., Any] | None = None,
    starting_batch_size: int = 128,
    reduce_batch_size_fn: Callable[[], int] | None = None,
) -> Any:
    """Let a function whose first argument is a batch size be called again with a smaller one when memory runs out.

    Args:
        function: the function; without it, a decorator.
        starting_batch_size: the first size.
        reduce_batch_size_fn: returns the next size; by default nine tenths of the last.

    Raises:
        NoBatchFitsError: not even one example fits.
        BatchSizeGivenError: the caller passes the batch size.

    Example:
        >>> @find_executable_batch_size(starting_batch_size=4)
        ... def train(batch_size):
        ...     if batch_size > 2:
        ...         raise torch.OutOfMemoryError("out of memory")
        ...     return batch_size
        >>> train()
        2
    """
    if function is None:
        return functools.partial(
            find_executable_batch_size,
            starting_batch_size=starting_batch_size,
            reduce_batch_size_fn=reduce_batch_size_fn,
        )
    names = list(inspect.signature(function).parameters)

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        if len(names) < len(args) + 1:
            usage = ", ".join(f"{name}={value!r}" for name, value in zip(names[1:], args[1:], strict=False))
            raise BatchSizeGivenError(
                f"{function.__name__} is given its batch size: call it as {function.__name__}({usage})"
            )
        size = starting_batch_size
        while size > 0:
            clear_device_cache(garbage_collection=True)
            try:
                return function(size, *args, **kwargs)
            except Exception as error:
                if not should_reduce_batch_size(error):
                    raise
                fewer = reduce_batch_size_fn() if reduce_batch_size_fn is not None else int(size * 0.9)
                logger.warning("a batch of %d does not fit; trying %d", size, fewer)
                size = fewer
        raise NoBatchFitsError(
            f"{function.__name__}: not even one example fits into memory. Take a smaller model, shorter inputs, "
            'mixed_precision="bf16", gradient checkpointing, or FullyShardedDataParallelPlugin over more processes.'
        )

    return run
