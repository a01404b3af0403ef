"""Find where a model's numbers become infinite or no numbers: the largest and smallest of each module's tensors."""

from __future__ import annotations

import collections
import enum
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from enfold.errors import EnfoldError

__all__ = ["DebugOption", "DebugUnderflowOverflow", "NumbersOverflowed", "detect_overflow", "get_abs_min_max"]

_INDENT = " " * 17
_HEADER = f"{'abs min':8} {'abs max':8} metadata"


class DebugOption(str, enum.Enum):
    """What ``TrainingArguments.debug`` takes."""

    UNDERFLOW_OVERFLOW = "underflow_overflow"
    TPU_METRICS_DEBUG = "tpu_metrics_debug"


class NumbersOverflowed(ValueError, EnfoldError):
    """A module's weights, inputs or outputs are infinite or no numbers.

    Attributes:
        module: the module's name.
        report: the frames that led there.
    """

    def __init__(self, message: str, module: str, report: str) -> None:
        super().__init__(f"{message}\n{report}")
        self.module, self.report = module, report


class TracingEnded(ValueError, EnfoldError):
    """The batch after which tracing was to end has passed."""


def get_abs_min_max(var: Tensor, ctx: str) -> str:
    """Return the smallest and the largest magnitude of a tensor, and its name, as a line.

    Example:
        >>> get_abs_min_max(torch.tensor([-2.0, 0.5]), "weight")
        '5.00e-01 2.00e+00 weight'
    """
    if var.numel() == 0:
        return f"{'empty':>17} {ctx}"
    size = var.detach().abs()
    return f"{size.min():8.2e} {size.max():8.2e} {ctx}"


def detect_overflow(var: Tensor, ctx: str) -> bool:
    """Say whether a tensor has a value that is infinite or no number, and print which of the two.

    Args:
        var: the tensor.
        ctx: what to call it.
    """
    found = [what for what, is_so in (("nans", torch.isnan), ("infs", torch.isinf)) if is_so(var).any()]
    for what in found:
        print(f"{ctx} has {what}")
    return bool(found)


class DebugUnderflowOverflow:
    """Watches every module of a model, and stops where a number overflows.

    After each module's forward the magnitudes of its weights, inputs and outputs make a frame; the last frames are the
    report of :class:`NumbersOverflowed`. With ``trace_batch_nums`` the frames of those batches are printed instead, and
    nothing stops them. It measures every tensor, which takes time: leave it out once the cause is found.

    Args:
        model: whose modules are watched.
        max_frames_to_save: frames in the report.
        trace_batch_nums: numbers of batches, from 0, whose frames are printed.
        abort_after_batch_num: the batch after which the program ends.

    Example:
        >>> model = nn.Sequential(nn.ReLU())
        >>> watch = DebugUnderflowOverflow(model)
        >>> try:
        ...     _ = model(torch.tensor([1.0, float("inf")]))
        ... except NumbersOverflowed as error:
        ...     print(error.module)
        input[0] has infs
        output has infs
        0
        >>> watch.remove()
    """

    def __init__(
        self,
        model: nn.Module,
        max_frames_to_save: int = 21,
        trace_batch_nums: Sequence[int] | None = None,
        abort_after_batch_num: int | None = None,
    ) -> None:
        self.model = model
        self.trace_batch_nums, self.abort_after_batch_num = list(trace_batch_nums or ()), abort_after_batch_num
        self.frames: collections.deque[str] = collections.deque(maxlen=max_frames_to_save)
        self.batch_number = 0
        self.module_names = {module: name for name, module in model.named_modules()}
        self._opening = True
        self._hooks = [module.register_forward_hook(self.forward_hook) for module in model.modules()]

    def remove(self) -> None:
        """Stop watching."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def forward_hook(self, module: nn.Module, input: Any, output: Any) -> None:
        """Take a module's frame, and stop where it overflows."""
        name = self.module_names[module]
        whole = module is self.model  # the last frame of a batch
        lines = [f"{_INDENT} {name} {type(module).__name__}"]
        if self._opening:
            lines[:0] = [f"\n\n{_INDENT} *** Starting batch number={self.batch_number} ***", _HEADER]
        self._opening = whole
        tracing = self.batch_number in self.trace_batch_nums
        overflowed = False
        for label, value in self._tensors(module, input, output):
            if not isinstance(value, Tensor):
                lines.append(f"{'None' if value is None else 'not a tensor':>17} {label}")
                continue
            local: Any = value.to_local() if hasattr(value, "to_local") else value
            lines.append(get_abs_min_max(local, label))
            if not tracing and detect_overflow(local, label):
                overflowed = True
        frame = "\n".join(lines)
        self.frames.append(frame)
        if tracing:
            print(frame)
        batch = self.batch_number
        self.batch_number += whole
        if overflowed:
            raise self._stopped(name or type(self.model).__name__, batch)
        last = self.abort_after_batch_num
        if whole and last is not None and batch >= last:
            raise TracingEnded(f"stopped after batch {batch}, as abort_after_batch_num={last} says")

    def _stopped(self, name: str, batch: int) -> NumbersOverflowed:
        head = [f"Detected inf/nan during batch_number={batch}", f"Last {len(self.frames)} forward frames:", _HEADER]
        report = "\n".join([*head, *self.frames])
        self.frames.clear()
        return NumbersOverflowed(
            f"{name} has numbers that are infinite or none; the frames before it say where they grew", name, report
        )

    @staticmethod
    def _tensors(module: nn.Module, input: Any, output: Any) -> list[tuple[str, Any]]:
        """Everything a frame measures, with its label."""
        found: list[tuple[str, Any]] = list(module.named_parameters(recurse=False))
        found += [(f"input[{place}]", value) for place, value in enumerate(input)]
        if isinstance(output, dict):
            parts: list[tuple[str, Any]] = [(f"output[{key!r}]", value) for key, value in output.items()]
        elif isinstance(output, (tuple, list)):
            parts = [(f"output[{place}]", value) for place, value in enumerate(output)]
        else:
            parts = [("output", output)]
        for label, value in parts:
            if isinstance(value, (tuple, list)):
                found += [(f"{label}[{place}]", inner) for place, inner in enumerate(value)]
            else:
                found.append((label, value))
        return found
