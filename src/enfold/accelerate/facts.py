"""What an accelerator says about its process, as the shared state knows it."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch import Tensor

from enfold.accelerate import operations
from enfold.accelerate.state import AcceleratorState, DistributedType, GradientState, PartialState

__all__ = ["ProcessFacts"]


class ProcessFacts:
    """Device, ranks, and doing things on one process or on all of them, from ``state``."""

    state: AcceleratorState
    gradient_state: GradientState
    flag_tensor: Tensor | None = None

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        return self.state.device

    @property
    def distributed_type(self) -> DistributedType:
        """How the processes work together."""
        return self.state.distributed_type

    @property
    def use_distributed(self) -> bool:
        """Whether there are several processes."""
        return self.state.use_distributed

    @property
    def num_processes(self) -> int:
        """How many processes there are."""
        return self.state.num_processes

    @property
    def process_index(self) -> int:
        """Which of all processes this is."""
        return self.state.process_index

    @property
    def local_process_index(self) -> int:
        """Which of this machine's processes this is."""
        return self.state.local_process_index

    @property
    def is_main_process(self) -> bool:
        """Whether this is the first of all processes."""
        return self.state.is_main_process

    @property
    def is_local_main_process(self) -> bool:
        """Whether this is the first process of its machine."""
        return self.state.is_local_main_process

    @property
    def is_last_process(self) -> bool:
        """Whether this is the last of all processes."""
        return self.state.is_last_process

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print once per machine."""
        self.state.print(*args, **kwargs)

    def wait_for_everyone(self) -> None:
        """Wait until every process has come here."""
        self.state.wait_for_everyone()

    def on_main_process(self, function: Any = None) -> Any:
        """Make a function that does its work on the main process only."""
        return self.state.on_main_process(function)

    def on_local_main_process(self, function: Any = None) -> Any:
        """Make a function that does its work on the first process of each machine."""
        return self.state.on_local_main_process(function)

    def on_last_process(self, function: Any = None) -> Any:
        """Make a function that does its work on the last process."""
        return self.state.on_last_process(function)

    def on_process(self, function: Any = None, process_index: int | None = None) -> Any:
        """Make a function that does its work on one process."""
        return self.state.on_process(function, process_index)

    def on_local_process(self, function: Any = None, local_process_index: int | None = None) -> Any:
        """Make a function that does its work on one process of each machine."""
        return self.state.on_local_process(function, local_process_index)

    def main_process_first(self) -> contextlib.AbstractContextManager[None]:
        """Let the main process run the block before the others do."""
        return self.state.main_process_first()

    def local_main_process_first(self) -> contextlib.AbstractContextManager[None]:
        """Let the first process of each machine run the block before its others do."""
        return self.state.local_main_process_first()

    def split_between_processes(self, inputs: Any, apply_padding: bool = False) -> Any:
        """Give each process its share of ``inputs``, for the length of a ``with`` block."""
        return self.state.split_between_processes(inputs, apply_padding)

    def gather(self, tensor: Any) -> Any:
        """Return every process's tensors joined along the first axis."""
        return operations.gather(tensor)

    def gather_for_metrics(self, input_data: Any, use_gather_object: bool = False) -> Any:
        """Gather, and drop the examples that were repeated to fill the last batch.

        Args:
            input_data: tensors, or a list of objects.
            use_gather_object: gather objects rather than tensors.
        """
        tensors = operations.ignorant_find_batch_size(input_data) is not None
        objects = use_gather_object or not tensors
        data = operations.gather_object(input_data) if objects else operations.gather(input_data)
        state = self.gradient_state
        if not state.end_of_dataloader or state.remainder <= 0 or not PartialState().use_distributed:
            return data
        return data[: state.remainder] if objects else operations.slice_tensors(data, slice(0, state.remainder))

    def reduce(self, tensor: Any, reduction: str = "sum", scale: float = 1.0) -> Any:
        """Sum or average tensors over the processes."""
        return operations.reduce(tensor, reduction, scale)

    def pad_across_processes(self, tensor: Any, dim: int = 0, pad_index: int = 0, pad_first: bool = False) -> Any:
        """Lengthen tensors to the longest of all processes."""
        return operations.pad_across_processes(tensor, dim, pad_index, pad_first)

    def set_trigger(self) -> None:
        """Raise a flag that :meth:`check_trigger` sees on every process."""
        self.flag_tensor = torch.tensor(1, device=self.device)

    def check_trigger(self) -> bool:
        """Return whether any process has called :meth:`set_trigger` since the last look; every process must look."""
        mine = torch.tensor(0, device=self.device) if self.flag_tensor is None else self.flag_tensor
        raised = bool(operations.reduce(mine, "sum") > 0)
        if raised:
            self.flag_tensor = None
        return raised
