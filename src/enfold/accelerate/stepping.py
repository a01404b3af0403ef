"""What an accelerator does in each step of a training: precision, gradients, windows of accumulation."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from enfold.accelerate.options import AutocastKwargs, GradientAccumulationPlugin, KwargsHandler, ProfileKwargs, folder
from enfold.accelerate.parallel import is_sharded
from enfold.accelerate.project import ProjectParts
from enfold.accelerate.state import GradientState

__all__ = ["PRECISIONS", "Handler", "Stepping"]

Handler = TypeVar("Handler", bound=KwargsHandler)
PRECISIONS = {"no": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class Stepping(ProjectParts):
    """Computing losses and gradients, and what is done to gradients before an optimizer sees them."""

    gradient_state: GradientState
    _accumulation: GradientAccumulationPlugin
    _mixed_precision: str
    _handlers: dict[type[KwargsHandler], KwargsHandler]

    def _handler(self, kind: type[Handler]) -> Handler:
        return self._handlers.get(kind) or kind()  # type: ignore[return-value]

    @property
    def mixed_precision(self) -> str:
        """``"no"``, ``"bf16"`` or ``"fp16"``."""
        return self._mixed_precision

    @property
    def gradient_accumulation_steps(self) -> int:
        """Batches per optimizer step; can be set."""
        return self.gradient_state.num_steps

    @gradient_accumulation_steps.setter
    def gradient_accumulation_steps(self, value: int) -> None:
        self.gradient_state.num_steps = value

    @property
    def sync_gradients(self) -> bool:
        """Whether this step ends a window of accumulated gradients."""
        return self.gradient_state.sync_gradients

    @property
    def optimizer_step_was_skipped(self) -> bool:
        """Whether an optimizer left out its last step because of an overflow."""
        return any(optimizer.step_was_skipped for optimizer in self._optimizers)

    def autocast(self, autocast_handler: Any = None) -> contextlib.AbstractContextManager[Any]:
        """Compute in the chosen precision, for the length of a ``with`` block."""
        dtype, chosen = PRECISIONS[self.mixed_precision], autocast_handler or self._handler(AutocastKwargs)
        if dtype is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=dtype, **chosen.to_kwargs())

    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        """Compute gradients of ``loss``, divided by the number of batches in a window."""
        if self.gradient_accumulation_steps > 1:
            loss = loss / self.gradient_accumulation_steps
        (self.scaler.scale(loss) if self.scaler is not None else loss).backward(**kwargs)

    @contextlib.contextmanager
    def accumulate(self, *models: nn.Module) -> Iterator[None]:
        """Count one batch, and exchange gradients between processes only at the end of a window.

        A window ends after ``gradient_accumulation_steps`` batches and with the last batch of the loader.
        """
        if self._accumulation.sync_with_dataloader and self.gradient_state.end_of_dataloader:
            self.step = 0
            self.gradient_state.sync_gradients = True
        else:
            self.step += 1
            self.gradient_state.sync_gradients = self.step % self.gradient_state.num_steps == 0
        with contextlib.ExitStack() as stack:
            for model in models:
                whole = self.sync_gradients or self._accumulation.sync_each_batch
                stack.enter_context(contextlib.nullcontext() if whole else self.no_sync(model))
            yield

    def no_sync(self, model: nn.Module) -> contextlib.AbstractContextManager[None]:
        """Do not exchange gradients between processes, for the length of a ``with`` block."""
        if is_sharded(model):
            return _keep_gradients(model)
        return model.no_sync() if hasattr(model, "no_sync") else contextlib.nullcontext()  # type: ignore[operator]

    @contextlib.contextmanager
    def join_uneven_inputs(self, joinables: list[Any], even_batches: bool | None = None) -> Iterator[None]:
        """Let processes with fewer batches wait for the others, for the length of a ``with`` block.

        Args:
            joinables: models wrapped by :meth:`prepare`.
            even_batches: whether loaders fill up, inside the block.
        """
        inner: list[Any] = [item for item in joinables if isinstance(item, nn.parallel.DistributedDataParallel)]
        if not inner:
            yield
            return
        samplers = [
            loader.batch_sampler for loader in self._dataloaders if hasattr(loader.batch_sampler, "even_batches")
        ]
        before = [sampler.even_batches for sampler in samplers]  # type: ignore[union-attr]
        try:
            for sampler in samplers:
                if even_batches is not None:
                    sampler.even_batches = even_batches  # type: ignore[union-attr]
            with torch.distributed.algorithms.join.Join(inner):
                yield
        finally:
            for sampler, usual in zip(samplers, before, strict=True):
                sampler.even_batches = usual  # type: ignore[union-attr]

    @contextlib.contextmanager
    def profile(self, profile_handler: ProfileKwargs | None = None) -> Iterator[Any]:
        """Record what runs, for the length of a ``with`` block; yields the ``torch.profiler.profile``."""
        chosen = profile_handler or self._handler(ProfileKwargs)
        with chosen.build() as profiler:
            yield profiler
        if chosen.output_trace_dir is not None:
            name = f"profile_{self.process_index}.json"
            profiler.export_chrome_trace(str(folder(chosen.output_trace_dir) / name))
            self.wait_for_everyone()

    def unscale_gradients(self, optimizer: Any = None) -> None:
        """Take the loss scale out of the gradients (float16 training)."""
        if self.scaler is None:
            return
        chosen = self._optimizers if optimizer is None else optimizer
        for item in chosen if isinstance(chosen, (list, tuple)) else [chosen]:
            self.scaler.unscale_(getattr(item, "optimizer", item))

    def clip_grad_norm_(self, parameters: Any, max_norm: float, norm_type: float = 2) -> Tensor | None:
        """Shorten the gradient to ``max_norm`` at the end of a window; return its length before."""
        if not self.sync_gradients:
            return None
        self.unscale_gradients()
        norm = nn.utils.clip_grad_norm_(parameters, max_norm, norm_type=norm_type)
        return norm.full_tensor() if hasattr(norm, "full_tensor") else norm

    def clip_grad_value_(self, parameters: Any, clip_value: float) -> None:
        """Limit every entry of the gradient to ``clip_value`` at the end of a window."""
        if self.sync_gradients:
            self.unscale_gradients()
            nn.utils.clip_grad_value_(parameters, clip_value)


@contextlib.contextmanager
def _keep_gradients(model: Any) -> Iterator[None]:
    model.set_requires_gradient_sync(False)
    try:
        yield
    finally:
        model.set_requires_gradient_sync(True)
