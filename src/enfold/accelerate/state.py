"""What is true of this process and its siblings: device, rank, precision, and where gradient accumulation stands."""

from __future__ import annotations

import contextlib
import enum
import functools
import os
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch

from enfold.accelerate.groups import join_group, leave_group
from enfold.accelerate.options import flag
from enfold.errors import EnfoldError

__all__ = ["AcceleratorState", "DistributedType", "GradientState", "PartialState"]

T = TypeVar("T")

_FACTS = ("backend", "debug", "mixed_precision")  # beside ranks and device


class DistributedType(str, enum.Enum):
    """How the processes work together. Programs compare with all of them; here it is one of the first four."""

    NO = "NO"
    MULTI_CPU = "MULTI_CPU"
    MULTI_GPU = "MULTI_GPU"
    FSDP = "FSDP"
    DEEPSPEED = "DEEPSPEED"
    MEGATRON_LM = "MEGATRON_LM"
    XLA = "XLA"
    MULTI_HPU = "MULTI_HPU"
    MULTI_MLU = "MULTI_MLU"
    MULTI_MUSA = "MULTI_MUSA"
    MULTI_NEURON = "MULTI_NEURON"
    MULTI_NPU = "MULTI_NPU"
    MULTI_SDAA = "MULTI_SDAA"
    MULTI_XPU = "MULTI_XPU"


class PartialState:
    """Facts about this process, the same object's worth of them wherever it is asked for.

    The variables of ``torchrun`` (``RANK``, ``WORLD_SIZE``, ``LOCAL_RANK``) say whether there are several processes;
    the process group is then joined, over gloo on processors and nccl on GPUs.

    Args:
        cpu: stay on the processor although there is a GPU.
        backend: of ``torch.distributed``; by default what fits the device.

    Attributes:
        device: where this process computes.
        num_processes, process_index, local_process_index: count and ranks.

    Example:
        >>> PartialState(cpu=True).device.type
        'cpu'
    """

    _shared_state: dict[str, Any] = {}

    def __init__(self, cpu: bool = False, *, backend: str | None = None, **kwargs: Any) -> None:
        self.__dict__ = self._shared_state
        if self.initialized:
            return
        cpu = cpu or flag("ACCELERATE_USE_CPU")
        self._cpu = cpu
        self.debug = flag("ACCELERATE_DEBUG_MODE")  # compare shapes before tensors travel
        cuda = torch.cuda.is_available() and not cpu
        self.num_processes = int(os.environ.get("WORLD_SIZE", "1"))
        self.process_index = int(os.environ.get("RANK", "0"))
        self.local_process_index = int(os.environ.get("LOCAL_RANK", "0"))
        usual = f"cuda:{self.local_process_index}" if cuda else "cpu"
        self.device = torch.device(os.environ.get("ACCELERATE_TORCH_DEVICE", usual))
        self.backend: str | None = None
        self.distributed_type = DistributedType.NO
        if self.num_processes > 1:
            self.backend = backend or ("nccl" if cuda else "gloo")
            if not torch.distributed.is_initialized():
                join_group(self.backend, timeout=kwargs.get("timeout"), init_method=kwargs.get("init_method"))
            self.distributed_type = DistributedType.MULTI_GPU if cuda else DistributedType.MULTI_CPU
            if cuda:
                torch.cuda.set_device(self.device)

    def __getattr__(self, name: str) -> Any:
        own = type(self).__name__
        if name in ("device", "num_processes", "process_index", "local_process_index", "distributed_type", *_FACTS):
            raise AttributeError(
                f"`{own}` object has no attribute `{name}`. This happens if `{own}._reset_state()` was called after "
                "an `Accelerator` or `PartialState` was made: make a new one."
            )
        raise AttributeError(f"{own!r} object has no attribute {name!r}")

    def __repr__(self) -> str:
        backend = f"  Backend: {self.backend}" if self.backend else ""
        return (
            f"Distributed environment: {self.distributed_type}{backend}\n"
            f"Num processes: {self.num_processes}\n"
            f"Process index: {self.process_index}\n"
            f"Local process index: {self.local_process_index}\n"
            f"Device: {self.device}\n"
        )

    @property
    def initialized(self) -> bool:
        """Whether the facts have been gathered."""
        return "device" in self.__dict__

    @classmethod
    def _reset_state(cls) -> None:
        cls._shared_state.clear()

    @property
    def use_distributed(self) -> bool:
        """Whether there are several processes."""
        return self.num_processes > 1

    @property
    def is_main_process(self) -> bool:
        """Whether this is the first of all processes."""
        return self.process_index == 0

    @property
    def is_local_main_process(self) -> bool:
        """Whether this is the first process of its machine."""
        return self.local_process_index == 0

    @property
    def is_last_process(self) -> bool:
        """Whether this is the last of all processes."""
        return self.process_index == self.num_processes - 1

    @property
    def default_device(self) -> torch.device:
        """The device that this process would compute on if it could choose."""
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def set_device(self) -> None:
        """Make this process's GPU the current one."""
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)

    def wait_for_everyone(self) -> None:
        """Wait until every process has come here."""
        if self.use_distributed:
            torch.distributed.barrier()

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print on the first process of the machine only."""
        if self.is_local_main_process:
            print(*args, **kwargs)

    @contextlib.contextmanager
    def main_process_first(self) -> Iterator[None]:
        """Let the main process run the block before the others do, so that they find its caches."""
        if not self.is_main_process:
            self.wait_for_everyone()
        yield
        if self.is_main_process:
            self.wait_for_everyone()

    @contextlib.contextmanager
    def local_main_process_first(self) -> Iterator[None]:
        """Let the first process of each machine run the block before its others do."""
        if not self.is_local_main_process:
            self.wait_for_everyone()
        yield
        if self.is_local_main_process:
            self.wait_for_everyone()

    def on_main_process(self, function: Callable[..., T] | None = None) -> Any:
        """Make a function that does its work on the main process and nothing elsewhere."""
        return _only(function, lambda: self.is_main_process)

    def on_local_main_process(self, function: Callable[..., T] | None = None) -> Any:
        """Make a function that does its work on the first process of each machine."""
        return _only(function, lambda: self.is_local_main_process)

    def on_last_process(self, function: Callable[..., T] | None = None) -> Any:
        """Make a function that does its work on the last process."""
        return _only(function, lambda: self.is_last_process)

    def on_process(self, function: Callable[..., T] | None = None, process_index: int | None = None) -> Any:
        """Make a function that does its work on one process."""
        return _only(function, lambda: self.process_index == (process_index or 0))

    def on_local_process(self, function: Callable[..., T] | None = None, local_process_index: int | None = None) -> Any:
        """Make a function that does its work on one process of each machine."""
        return _only(function, lambda: self.local_process_index == (local_process_index or 0))

    @contextlib.contextmanager
    def split_between_processes(self, inputs: Any, apply_padding: bool = False) -> Iterator[Any]:
        """Give each process its share of a list, tensor or dictionary of them.

        Args:
            inputs: what to split along its first axis; the first processes get one more when it does not divide. A
                data set is split too.
            apply_padding: repeat the last item so that all shares are equally long.
        """
        yield _share(inputs, self.num_processes, self.process_index, apply_padding)

    def destroy_process_group(self) -> None:
        """Leave the process group that was joined here."""
        if self.use_distributed:
            leave_group()


def _only(function: Callable[..., T] | None, here: Callable[[], bool]) -> Any:
    """Make ``function`` do nothing where ``here`` says no; without a function, a decorator that does so."""
    if function is None:
        return functools.partial(_only, here=here)

    @functools.wraps(function)
    def only(*args: Any, **kwargs: Any) -> T | None:
        return function(*args, **kwargs) if here() else None

    return only


def _share(inputs: Any, count: int, index: int, pad: bool) -> Any:
    if isinstance(inputs, dict):
        lengths = {len(value) for value in inputs.values()}
        if len(lengths) > 1:
            raise ValueError(f"the values of a dictionary are split together, and are of lengths {sorted(lengths)}")
        return {key: _share(value, count, index, pad) for key, value in inputs.items()}
    if count == 1:
        return inputs
    size, extra = divmod(len(inputs), count)
    start = index * size + min(index, extra)
    stop = start + size + (1 if index < extra else 0)
    fill = pad and extra and index >= extra
    if hasattr(inputs, "select") and not isinstance(inputs, torch.Tensor):  # a data set
        end = len(inputs)
        return inputs.select([*range(start, stop), *([end - 1] if fill else [])])
    part = inputs[start:stop]
    if fill:
        last = inputs[-1:]
        part = torch.cat([part, last]) if isinstance(part, torch.Tensor) else part + last
    return part


class AcceleratorState(PartialState):
    """The facts of :class:`PartialState` plus the precision that the first :class:`Accelerator` chose."""

    _shared_state: dict[str, Any] = {}

    def __init__(self, mixed_precision: str | None = None, cpu: bool = False, **kwargs: Any) -> None:
        self.__dict__ = self._shared_state
        if not self.initialized:
            PartialState(cpu, **kwargs)
            self.__dict__.update(PartialState._shared_state)
            self.mixed_precision = mixed_precision or os.environ.get("ACCELERATE_MIXED_PRECISION", "no").lower()
        elif mixed_precision is not None and mixed_precision != self.mixed_precision:
            raise PrecisionConflict(
                f"this process already trains with mixed_precision={self.mixed_precision!r}; {mixed_precision!r} was "
                "asked for as well. Make the Accelerator with the wanted precision first."
            )

    def __repr__(self) -> str:
        return f"{super().__repr__()}\nMixed precision type: {self.mixed_precision}\n"

    @classmethod
    def _reset_state(cls, reset_partial_state: bool = False) -> None:
        cls._shared_state.clear()
        if reset_partial_state:
            PartialState._reset_state()


class PrecisionConflict(ValueError, EnfoldError):
    """Two precisions were asked for in one process."""


class GradientState:
    """Where gradient accumulation stands, shared by the optimizer, the scheduler and the data loaders.

    Attributes:
        sync_gradients: whether this step ends a window and the optimizer acts.
        num_steps: batches per window.
        end_of_dataloader: whether the batch at hand is the last of its loader.
        remainder: examples of the last batch that are not repeats; -1 when unknown.
    """

    _shared_state: dict[str, Any] = {}

    def __init__(self, num_steps: int | None = None) -> None:
        self.__dict__ = self._shared_state
        if "sync_gradients" not in self.__dict__:
            self.sync_gradients = True
            self.num_steps = 1
            self.active_dataloader: Any = None
        if num_steps is not None:
            self.num_steps = num_steps

    @property
    def in_dataloader(self) -> bool:
        """Whether a prepared loader is being read."""
        return self.active_dataloader is not None

    @property
    def end_of_dataloader(self) -> bool:
        """Whether the batch at hand is the last one of the loader being read."""
        return self.in_dataloader and self.active_dataloader.end_of_dataloader

    def __repr__(self) -> str:
        return (
            f"Sync Gradients: {self.sync_gradients}\n"
            f"At end of current dataloader: {self.end_of_dataloader}\n"
            f"Extra samples added: {self.remainder}\n"
            f"Gradient accumulation steps: {self.num_steps}\n"
        )

    @property
    def remainder(self) -> int:
        """Examples of the last global batch that were not repeated to fill it, or -1."""
        return self.active_dataloader.remainder if self.in_dataloader else -1

    @classmethod
    def _reset_state(cls) -> None:
        cls._shared_state.clear()
