"""``Accelerator``: the same training loop on one processor, one GPU or many processes."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from enfold.accelerate import operations
from enfold.accelerate.data import DataLoaderShard, prepare_data_loader, skip_first_batches
from enfold.accelerate.state import AcceleratorState, DistributedType, GradientState, PartialState
from enfold.accelerate.wrappers import AcceleratedOptimizer, AcceleratedScheduler

__all__ = ["Accelerator", "extract_model_from_parallel"]

_PRECISIONS = {"no": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class Accelerator:
    """What a training loop needs to run anywhere: placing, sharding, mixed precision, accumulation, gathering.

    Args:
        device_placement: move models and batches to the device.
        split_batches: a loader's batch size is that of all processes together.
        mixed_precision: ``"no"``, ``"bf16"`` or ``"fp16"``.
        gradient_accumulation_steps: batches per optimizer step.
        cpu: stay on the processor.
        step_scheduler_with_optimizer: let schedules follow the optimizer's steps.
        even_batches: give every process equally many full batches.
        data_seed: seed of the random order of loaders.

    Example:
        >>> import torch
        >>> accelerator = Accelerator(cpu=True)
        >>> model, optimizer = torch.nn.Linear(2, 1), None
        >>> model = accelerator.prepare(model)
        >>> accelerator.backward(model(torch.ones(1, 2)).sum())
        >>> model.weight.grad
        tensor([[1., 1.]])
    """

    def __init__(
        self,
        device_placement: bool = True,
        split_batches: bool = False,
        mixed_precision: str | None = None,
        gradient_accumulation_steps: int = 1,
        cpu: bool = False,
        *,
        step_scheduler_with_optimizer: bool = True,
        even_batches: bool = True,
        data_seed: int | None = None,
        sync_with_dataloader: bool = True,
        find_unused_parameters: bool = False,
    ) -> None:
        if mixed_precision is not None and mixed_precision not in _PRECISIONS:
            raise ValueError(f"mixed_precision must be one of {', '.join(_PRECISIONS)}, got {mixed_precision!r}")
        self.state = AcceleratorState(mixed_precision, cpu)
        self._mixed_precision: str = self.state.mixed_precision  # of this one: the shared state may be made anew
        steps = int(os.environ.get("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", gradient_accumulation_steps))
        self.gradient_state = GradientState(steps)
        self.device_placement, self.split_batches, self.even_batches = device_placement, split_batches, even_batches
        self.step_scheduler_with_optimizer, self.data_seed = step_scheduler_with_optimizer, data_seed
        self._sync_with_dataloader, self._find_unused = sync_with_dataloader, find_unused_parameters
        self.step = 0
        self._models: list[nn.Module] = []
        self._optimizers: list[AcceleratedOptimizer] = []
        self._schedulers: list[AcceleratedScheduler] = []
        self._dataloaders: list[DataLoaderShard] = []
        half = self.mixed_precision == "fp16"
        self.scaler = torch.amp.GradScaler(self.device.type) if half else None

    # --- facts ----------------------------------------------------------------------------------------------------

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        return self.state.device

    @property
    def distributed_type(self) -> DistributedType:
        """How the processes work together."""
        return self.state.distributed_type

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

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print once per machine."""
        self.state.print(*args, **kwargs)

    def wait_for_everyone(self) -> None:
        """Wait until every process has come here."""
        self.state.wait_for_everyone()

    def on_main_process(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Make a function that does its work on the main process only."""
        return self.state.on_main_process(function)

    def main_process_first(self) -> contextlib.AbstractContextManager[None]:
        """Let the main process run the block before the others do."""
        return self.state.main_process_first()

    def local_main_process_first(self) -> contextlib.AbstractContextManager[None]:
        """Let the first process of each machine run the block before its others do."""
        return self.state.local_main_process_first()

    def split_between_processes(self, inputs: Any, apply_padding: bool = False) -> Any:
        """Give each process its share of ``inputs``, for the length of a ``with`` block."""
        return self.state.split_between_processes(inputs, apply_padding)

    # --- preparing ------------------------------------------------------------------------------------------------

    def prepare(self, *args: Any, device_placement: list[bool | None] | None = None) -> Any:
        """Make models, optimizers, schedulers and data loaders ready, in any order.

        Args:
            args: the objects; anything else is handed back as it is.
            device_placement: for each object, whether to move it; None for the accelerator's own choice.

        Returns:
            The prepared objects in the same order; the object itself when there is one. Preparing twice changes
            nothing.
        """
        places = device_placement or [None] * len(args)
        done = [self._prepare_one(item, place) for item, place in zip(args, places, strict=True)]
        # Schedules come last: they follow the optimizers prepared along with them.
        done = [self.prepare_scheduler(item) if _is_schedule(item) else item for item in done]
        return done[0] if len(done) == 1 else tuple(done)

    def _prepare_one(self, item: Any, place: bool | None) -> Any:
        if isinstance(item, DataLoader):
            return self.prepare_data_loader(item, place)
        if isinstance(item, nn.Module):
            return self.prepare_model(item, place)
        if isinstance(item, torch.optim.Optimizer):
            return self.prepare_optimizer(item)
        return item

    def prepare_model(
        self, model: nn.Module, device_placement: bool | None = None, evaluation_mode: bool = False
    ) -> nn.Module:
        """Move a model to the device, let its forward run in mixed precision and, with several processes, wrap it.

        Args:
            model: the model.
            device_placement: whether to move it.
            evaluation_mode: do not wrap it for gradient exchange.
        """
        if any(model is known for known in self._models):
            return model
        if self.device_placement if device_placement is None else device_placement:
            model = model.to(self.device)
        dtype = _PRECISIONS[self.mixed_precision]
        if dtype is not None and "_plain_forward" not in vars(model):
            plain = model.forward

            @functools.wraps(plain)
            def forward(*args: Any, **kwargs: Any) -> Any:
                with self.autocast():
                    outputs = plain(*args, **kwargs)
                return operations.recursively_apply(lambda t: t.float() if t.is_floating_point() else t, outputs)

            vars(model)["_plain_forward"] = plain
            model.forward = forward  # type: ignore[method-assign]
        if self.state.use_distributed and not evaluation_mode and any(p.requires_grad for p in model.parameters()):
            devices = [self.device] if self.device.type == "cuda" else None
            model = nn.parallel.DistributedDataParallel(
                model, device_ids=devices, find_unused_parameters=self._find_unused
            )
        self._models.append(model)
        return model

    def prepare_optimizer(
        self, optimizer: torch.optim.Optimizer, device_placement: bool | None = None
    ) -> AcceleratedOptimizer:
        """Let an optimizer act only at the end of a window of accumulated gradients."""
        if isinstance(optimizer, AcceleratedOptimizer):
            return optimizer
        wrapped = AcceleratedOptimizer(optimizer, self.scaler)
        self._optimizers.append(wrapped)
        return wrapped

    def prepare_scheduler(self, scheduler: Any) -> AcceleratedScheduler:
        """Let a schedule follow its optimizer's steps."""
        if isinstance(scheduler, AcceleratedScheduler):
            return scheduler
        own = [item for item in self._optimizers if item.optimizer is getattr(scheduler, "optimizer", None)]
        wrapped = AcceleratedScheduler(
            scheduler, own or self._optimizers, self.step_scheduler_with_optimizer, self.split_batches
        )
        self._schedulers.append(wrapped)
        return wrapped

    def prepare_data_loader(
        self,
        data_loader: DataLoader,  # type: ignore[type-arg]
        device_placement: bool | None = None,
    ) -> DataLoaderShard:
        """Let a loader give this process its share of the batches, on its device."""
        if isinstance(data_loader, DataLoaderShard):
            return data_loader
        placed = self.device_placement if device_placement is None else device_placement
        loader = prepare_data_loader(
            data_loader,
            self.device,
            split_batches=self.split_batches,
            put_on_device=placed,
            even_batches=self.even_batches,
            data_seed=self.data_seed,
        )
        self._dataloaders.append(loader)
        return loader

    def skip_first_batches(self, dataloader: DataLoader, num_batches: int = 0) -> DataLoader:  # type: ignore[type-arg]
        """Return the loader without its first batches, to resume in the middle of an epoch."""
        return skip_first_batches(dataloader, num_batches)

    # --- training -------------------------------------------------------------------------------------------------

    def autocast(self, autocast_handler: Any = None) -> contextlib.AbstractContextManager[Any]:
        """Compute in the chosen precision, for the length of a ``with`` block."""
        dtype = _PRECISIONS[self.mixed_precision]
        return contextlib.nullcontext() if dtype is None else torch.autocast(self.device.type, dtype=dtype)

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
        if self._sync_with_dataloader and self.gradient_state.end_of_dataloader:
            self.step = 0
            self.gradient_state.sync_gradients = True
        else:
            self.step += 1
            self.gradient_state.sync_gradients = self.step % self.gradient_state.num_steps == 0
        with contextlib.ExitStack() as stack:
            for model in models:
                stack.enter_context(contextlib.nullcontext() if self.sync_gradients else self.no_sync(model))
            yield

    def no_sync(self, model: nn.Module) -> contextlib.AbstractContextManager[None]:
        """Do not exchange gradients between processes, for the length of a ``with`` block."""
        return model.no_sync() if hasattr(model, "no_sync") else contextlib.nullcontext()  # type: ignore[operator]

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
        return nn.utils.clip_grad_norm_(parameters, max_norm, norm_type=norm_type)

    def clip_grad_value_(self, parameters: Any, clip_value: float) -> None:
        """Limit every entry of the gradient to ``clip_value`` at the end of a window."""
        if self.sync_gradients:
            self.unscale_gradients()
            nn.utils.clip_grad_value_(parameters, clip_value)

    # --- between processes ----------------------------------------------------------------------------------------

    def gather(self, tensor: Any) -> Any:
        """Return every process's tensors joined along the first axis."""
        return operations.gather(tensor)

    def gather_for_metrics(self, input_data: Any, use_gather_object: bool = False) -> Any:
        """Gather, and drop the examples that were repeated to fill the last batch.

        Args:
            input_data: tensors, or a list of objects.
            use_gather_object: gather objects rather than tensors.
        """
        tensors = operations.find_batch_size(input_data) is not None
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

    # --- models ---------------------------------------------------------------------------------------------------

    def unwrap_model(
        self, model: nn.Module, keep_fp32_wrapper: bool = True, keep_torch_compile: bool = True
    ) -> nn.Module:
        """Return the model as it was before :meth:`prepare`.

        Args:
            model: a prepared model.
            keep_fp32_wrapper: leave the mixed-precision forward in place.
            keep_torch_compile: leave ``torch.compile``'s wrapper around it.
        """
        return extract_model_from_parallel(model, keep_fp32_wrapper, keep_torch_compile)

    def get_state_dict(self, model: nn.Module, unwrap: bool = True) -> dict[str, Tensor]:
        """Return a model's weights."""
        return (self.unwrap_model(model) if unwrap else model).state_dict()

    def save_model(
        self, model: nn.Module, save_directory: str, max_shard_size: int | str = "10GB", safe_serialization: bool = True
    ) -> None:
        """Write a model's weights into a folder, on the main process, cut into files of at most ``max_shard_size``."""
        if not self.is_main_process:
            return
        from enfold.checkpoints import save

        save(
            self.unwrap_model(model),
            save_directory,
            max_shard_size=max_shard_size,
            safe_serialization=safe_serialization,
        )

    def free_memory(self, *objects: Any) -> list[Any]:
        """Forget everything prepared; return a list of None to overwrite the caller's own names with."""
        for table in (self._models, self._optimizers, self._schedulers, self._dataloaders):
            table.clear()
        self.step = 0
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return [None] * len(objects)

    clear = free_memory

    def end_training(self) -> None:
        """Leave the process group."""
        self.state.destroy_process_group()


def _is_schedule(item: Any) -> bool:
    return isinstance(item, torch.optim.lr_scheduler.LRScheduler)


def extract_model_from_parallel(
    model: nn.Module, keep_fp32_wrapper: bool = True, keep_torch_compile: bool = True
) -> nn.Module:
    """Return the model inside wrappers for several processes and for compilation."""
    compiled = getattr(model, "_orig_mod", None)
    inner = compiled if compiled is not None else model
    while isinstance(inner, (nn.parallel.DistributedDataParallel, nn.DataParallel)):
        inner = inner.module
    if not keep_fp32_wrapper and "_plain_forward" in vars(inner):
        inner.forward = vars(inner).pop("_plain_forward")
    if compiled is not None and keep_torch_compile:
        model._orig_mod = inner
        return model
    return inner
