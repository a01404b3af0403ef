"""Optimizer and scheduler that act only when a window of accumulated gradients is complete."""

from __future__ import annotations

from typing import Any

import torch

from enfold.accelerate.state import GradientState, PartialState

__all__ = ["AcceleratedOptimizer", "AcceleratedScheduler"]


class AcceleratedOptimizer(torch.optim.Optimizer):
    """An optimizer whose ``step`` and ``zero_grad`` do nothing inside a window of accumulated gradients.

    Args:
        optimizer: the optimizer.
        scaler: loss scaler for training in float16, or None.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, scaler: Any = None) -> None:
        self.optimizer, self.scaler = optimizer, scaler
        self.gradient_state = GradientState()
        self._skipped = False

    @property
    def state(self) -> Any:  # type: ignore[override]
        """The optimizer's state."""
        return self.optimizer.state

    @property
    def param_groups(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """The optimizer's groups of parameters."""
        return self.optimizer.param_groups

    @property
    def defaults(self) -> dict[str, Any]:  # type: ignore[override]
        """The optimizer's default options."""
        return self.optimizer.defaults

    @property
    def step_was_skipped(self) -> bool:
        """Whether the last step was left out because scaled gradients had overflowed."""
        return self._skipped

    def __getattr__(self, name: str) -> Any:
        if name in ("optimizer", "scaler"):
            raise AttributeError(name)
        return getattr(self.optimizer, name)

    def __getstate__(self) -> dict[str, Any]:
        """Return what pickle keeps; what all of a process share is its own."""
        return {name: value for name, value in vars(self).items() if name != "gradient_state"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take what pickle kept."""
        vars(self).update(state, gradient_state=GradientState())

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters."""
        self.optimizer.add_param_group(param_group)

    def state_dict(self) -> dict[str, Any]:
        """Return the optimizer's state."""
        return self.optimizer.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the optimizer's state."""
        self.optimizer.load_state_dict(state_dict)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the gradients, at the end of a window."""
        if self.gradient_state.sync_gradients:
            self.optimizer.zero_grad(set_to_none=set_to_none)

    def step(self, closure: Any = None) -> Any:
        """Update the parameters, at the end of a window."""
        if not self.gradient_state.sync_gradients:
            return None
        if self.scaler is None:
            return self.optimizer.step(closure)
        before = self.scaler.get_scale()
        result = self.scaler.step(self.optimizer, closure) if closure is not None else self.scaler.step(self.optimizer)
        self.scaler.update()
        self._skipped = self.scaler.get_scale() < before  # a lowered scale is how an overflow shows
        return result


class AcceleratedScheduler:
    """A scheduler that steps when its optimizers do.

    A schedule counted in single-process steps must advance once per process, because every step then uses that many
    batches; this is what happens unless ``split_batches`` or ``step_with_optimizer`` says otherwise.

    Args:
        scheduler: the schedule.
        optimizers: the optimizers it belongs to.
        step_with_optimizer: step only when they do.
        split_batches: batches were split between processes, so a step counts once.
        adjust: let the schedule's count of steps include the batches inside a window.
    """

    def __init__(
        self,
        scheduler: Any,
        optimizers: Any,
        step_with_optimizer: bool = True,
        split_batches: bool = False,
        adjust: bool = False,
    ) -> None:
        self.scheduler = scheduler
        self.optimizers = optimizers if isinstance(optimizers, (list, tuple)) else [optimizers]
        self.step_with_optimizer, self.split_batches, self.adjust = step_with_optimizer, split_batches, adjust
        self.gradient_state = GradientState()

    def __getattr__(self, name: str) -> Any:
        if name == "scheduler":
            raise AttributeError(name)
        return getattr(self.scheduler, name)

    def step(self, *args: Any, **kwargs: Any) -> None:
        """Advance the schedule, at the end of a window whose optimizer step was not skipped."""
        if self.step_with_optimizer:
            if not self.gradient_state.sync_gradients:
                if self.adjust and hasattr(self.scheduler, "_step_count"):
                    self.scheduler._step_count += 1
                return
            if any(getattr(optimizer, "step_was_skipped", False) for optimizer in self.optimizers):
                return
        times = 1 if self.split_batches or not self.step_with_optimizer else PartialState().num_processes
        for _ in range(times):
            total = getattr(self.scheduler, "total_steps", None)
            if total is None or self.scheduler._step_count <= total:
                self.scheduler.step(*args, **kwargs)

    def get_last_lr(self) -> list[float]:
        """Return the learning rates in use."""
        return self.scheduler.get_last_lr()

    def state_dict(self) -> dict[str, Any]:
        """Return the schedule's state."""
        return self.scheduler.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the schedule's state."""
        self.scheduler.load_state_dict(state_dict)
