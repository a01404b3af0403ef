"""Steps of each process on its own, and the mean of all models now and then (Stich, arXiv:1805.09767)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from enfold.accelerate.operations import reduce

if TYPE_CHECKING:
    from enfold.accelerate.accelerator import Accelerator

__all__ = ["LocalSGD"]


class LocalSGD:
    """Let processes train apart for some steps, then go on from the mean of their weights; a context manager.

    Args:
        accelerator: the accelerator.
        model: a model prepared by it.
        local_sgd_steps: steps between two means.
        enabled: False exchanges gradients at each step, as usual.

    Example:
        >>> from enfold.accelerate import Accelerator
        >>> accelerator = Accelerator(cpu=True)
        >>> model = accelerator.prepare(nn.Linear(1, 1))
        >>> with LocalSGD(accelerator=accelerator, model=model, local_sgd_steps=8) as local:
        ...     local.step()
    """

    def __init__(self, accelerator: Accelerator, model: nn.Module, local_sgd_steps: int, enabled: bool = True) -> None:
        self.accelerator, self.model, self.local_sgd_steps = accelerator, model, local_sgd_steps
        self.enabled = enabled and accelerator.use_distributed
        self.num_steps = 0
        self._apart: Any = None

    def __enter__(self) -> LocalSGD:
        if self.enabled:
            self._apart = self.accelerator.no_sync(self.model)
            self._apart.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        if self.enabled:
            if error[0] is None:
                self._meet()
            self._apart.__exit__(*error)

    def step(self) -> None:
        """Count an optimizer step; meet after every ``local_sgd_steps``."""
        self.num_steps += 1
        if self.enabled and self.num_steps % self.local_sgd_steps == 0:
            self._meet()

    def _meet(self) -> None:
        self.accelerator.wait_for_everyone()
        with torch.no_grad():
            for parameter in self.model.parameters():
                parameter.copy_(reduce(parameter, "mean"))
