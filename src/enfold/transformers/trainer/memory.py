"""What happens when a batch does not fit memory, and how much memory a stage of a training took."""

from __future__ import annotations

import resource
from typing import Any

import torch
from torch import Tensor

from enfold.errors import EnfoldError

__all__ = ["BatchTooLarge", "MemoryMeter", "batch_rows", "halved", "is_out_of_memory"]

_SIGNS = (
    "out of memory",
    "can't allocate memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "cuDNN error: CUDNN_STATUS_NOT_SUPPORTED",
)


class BatchTooLarge(RuntimeError, EnfoldError):
    """A batch does not fit memory; the message says what to change."""

    @classmethod
    def of(cls, batches: list[Any], args: Any) -> BatchTooLarge:
        """Return the error for a window of batches."""
        largest = max(batches, key=lambda batch: sum(value.numel() for value in _tensors(batch)))
        shapes = ", ".join(
            f"{name} {tuple(value.shape)}" for name, value in largest.items() if isinstance(value, Tensor)
        )
        size, window = args.per_device_train_batch_size, args.gradient_accumulation_steps
        hints = [
            f"per_device_train_batch_size={max(size // 2, 1)} with gradient_accumulation_steps={window * 2} (the same "
            "updates)"
            if size > 1
            else "shorter rows",
            "auto_find_batch_size=True" if not args.auto_find_batch_size else "",
            "gradient_checkpointing=True" if not args.gradient_checkpointing else "",
            "bf16=True" if not (args.bf16 or args.fp16) else "",
            "train_sampling_strategy='group_by_length'" if args.train_sampling_strategy == "random" else "",
        ]
        return cls(f"a batch does not fit memory: {shapes}. Try {', or '.join(hint for hint in hints if hint)}")


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory ran out."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)


def _tensors(batch: Any) -> list[Tensor]:
    return [value for value in batch.values() if isinstance(value, Tensor)]


def batch_rows(inputs: Any) -> int:
    """Return how many rows a batch has: the length of its first tensor that has one."""
    for value in inputs.values() if hasattr(inputs, "values") else inputs:
        if isinstance(value, Tensor) and value.ndim:
            return value.shape[0]
    return 0


def halved(batch: Any, rows: int) -> list[Any]:
    """Return a batch as parts of at most ``rows`` rows; what has no rows is in every part."""
    count = batch_rows(batch)
    if count <= rows:
        return [batch]
    return [
        {
            name: value[start : start + rows] if isinstance(value, Tensor) and value.shape[:1] == (count,) else value
            for name, value in batch.items()
        }
        for start in range(0, count, rows)
    ]


class MemoryMeter:
    """Measures what a stage allocates and peaks at, in bytes, from its making on.

    Args:
        off: measure nothing.
    """

    def __init__(self, off: bool = False) -> None:
        self._off, self._cuda = off, torch.cuda.is_available() and not off
        if off:
            return
        self._before, self._peak = _resident(), _peak()
        if self._cuda:
            torch.cuda.reset_peak_memory_stats()
            self._held = torch.cuda.memory_allocated()

    def add_to(self, stage: str, metrics: dict[str, Any]) -> None:
        """Add what was measured to ``metrics``, under the ecosystem's names."""
        if self._off:
            return
        after = _resident()
        metrics[f"{stage}_mem_cpu_alloc_delta"] = after - self._before
        # The peak of the whole process is all that is known: what it rose by is this stage's.
        metrics[f"{stage}_mem_cpu_peaked_delta"] = max(_peak() - max(self._peak, after), 0)
        if self._cuda:
            now = torch.cuda.memory_allocated()
            metrics[f"{stage}_mem_gpu_alloc_delta"] = now - self._held
            metrics[f"{stage}_mem_gpu_peaked_delta"] = torch.cuda.max_memory_allocated() - now


def _resident() -> int:
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        return _peak()


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
