"""``Accelerator``: the same training loop on one processor, one GPU or many processes."""

from __future__ import annotations

import functools
import os
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from enfold.accelerate.compiling import has_compiled_regions, is_compiled_module
from enfold.accelerate.data import DataLoaderShard, prepare_data_loader, skip_first_batches
from enfold.accelerate.mesh import MeshParts
from enfold.accelerate.nested import convert_outputs_to_fp32
from enfold.accelerate.options import (
    DataLoaderConfiguration,
    DistributedDataParallelKwargs,
    FullyShardedDataParallelPlugin,
    GradientAccumulationPlugin,
    GradScalerKwargs,
    InitProcessGroupKwargs,
    KwargsHandler,
    ProjectConfiguration,
    TorchDynamoPlugin,
)
from enfold.accelerate.parallel import (
    ParallelismConfig,
    axis_of,
    full_state_dict,
    is_sharded,
    point_at,
    shard_model,
    slice_model,
)
from enfold.accelerate.state import AcceleratorState, GradientState
from enfold.accelerate.stepping import PRECISIONS, Stepping
from enfold.accelerate.wrappers import AcceleratedOptimizer, AcceleratedScheduler
from enfold.errors import EnfoldError

__all__ = ["Accelerator", "extract_model_from_parallel"]


class Accelerator(MeshParts, Stepping):
    """What a training loop needs to run anywhere: placing, sharding, mixed precision, accumulation, gathering.

    Args:
        device_placement: move models and batches to the device.
        split_batches: a loader's batch size is that of all processes together.
        mixed_precision: ``"no"``, ``"bf16"`` or ``"fp16"``.
        gradient_accumulation_steps: batches per optimizer step.
        cpu: stay on the processor.
        dataloader_config: how loaders are shared.
        fsdp_plugin: cut parameters, gradients and optimizer states between the processes.
        parallelism_config: replicas, shards and tensor slices on a mesh of processes.
        log_with: trackers by name, or trackers; JSON lines in the logging folder when None.
        project_dir, project_config: where checkpoints and logs go.
        gradient_accumulation_plugin: how gradients are accumulated.
        step_scheduler_with_optimizer: let schedules follow the optimizer's steps.
        kwargs_handlers: records of arguments, such as ``DistributedDataParallelKwargs``.
        dynamo_backend: compile models with ``torch.compile``, by this backend.
        even_batches: give every process equally many full batches.
        data_seed: seed of the random order of loaders.
        sync_with_dataloader: end a window of accumulated gradients with the last batch of a loader.
        find_unused_parameters: let ``DistributedDataParallel`` look for parameters without a gradient.

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
        dataloader_config: DataLoaderConfiguration | None = None,
        deepspeed_plugin: Any = None,
        fsdp_plugin: FullyShardedDataParallelPlugin | None = None,
        torch_tp_plugin: Any = None,
        megatron_lm_plugin: Any = None,
        rng_types: list[str] | None = None,
        log_with: Any = None,
        project_dir: str | os.PathLike[str] | None = None,
        project_config: ProjectConfiguration | None = None,
        gradient_accumulation_plugin: GradientAccumulationPlugin | None = None,
        step_scheduler_with_optimizer: bool = True,
        kwargs_handlers: list[KwargsHandler] | None = None,
        dynamo_backend: str | None = None,
        dynamo_plugin: Any = None,
        deepspeed_plugins: Any = None,
        parallelism_config: ParallelismConfig | None = None,
        *,
        even_batches: bool = True,
        data_seed: int | None = None,
        sync_with_dataloader: bool = True,
        find_unused_parameters: bool = False,
    ) -> None:
        if mixed_precision is not None and mixed_precision not in PRECISIONS:
            raise ValueError(f"mixed_precision must be one of {', '.join(PRECISIONS)}, got {mixed_precision!r}")
        for other in (deepspeed_plugin, deepspeed_plugins, megatron_lm_plugin):
            if other is not None:
                raise EnfoldError(f"{type(other).__name__}: the training loop is not handed to other engines")
        self._handlers = {type(handler): handler for handler in kwargs_handlers or []}
        if len(self._handlers) != len(kwargs_handlers or []):
            raise ValueError("kwargs_handlers holds two records of one kind")
        meeting = self._handler(InitProcessGroupKwargs)
        self.state = AcceleratorState(
            mixed_precision, cpu, backend=meeting.backend, init_method=meeting.init_method, timeout=meeting.timeout
        )
        self._mixed_precision: str = self.state.mixed_precision  # of this one: the shared state may be made anew
        self._begin_project(project_dir, project_config, log_with)
        accumulation = gradient_accumulation_plugin or GradientAccumulationPlugin(
            gradient_accumulation_steps, sync_with_dataloader=sync_with_dataloader
        )
        steps = int(os.environ.get("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", accumulation.num_steps or 1))
        self.gradient_state = GradientState(steps)
        self._accumulation = accumulation
        self.device_placement, self.rng_types = device_placement, rng_types
        self.dataloader_config = dataloader_config or DataLoaderConfiguration(
            split_batches=split_batches, even_batches=even_batches, data_seed=data_seed
        )
        self.step_scheduler_with_optimizer = step_scheduler_with_optimizer
        self._exchange = self._handler(DistributedDataParallelKwargs)
        if find_unused_parameters:
            self._exchange.find_unused_parameters = True
        self._arrange(fsdp_plugin, parallelism_config, torch_tp_plugin)
        self._compiling = dynamo_plugin or TorchDynamoPlugin(dynamo_backend)
        self.step = 0
        self._models: list[nn.Module] = []
        self._optimizers: list[AcceleratedOptimizer] = []
        self._schedulers: list[AcceleratedScheduler] = []
        self._dataloaders: list[DataLoaderShard] = []
        half = self.mixed_precision == "fp16"
        scaling = self._handler(GradScalerKwargs).to_kwargs()
        self.scaler = torch.amp.GradScaler(self.device.type, **scaling) if half else None

    @property
    def split_batches(self) -> bool:
        """Whether a loader's batch size is that of all processes together."""
        return self.dataloader_config.split_batches

    @property
    def even_batches(self) -> bool:
        """Whether every process gets equally many full batches; can be set."""
        return self.dataloader_config.even_batches

    @even_batches.setter
    def even_batches(self, value: bool) -> None:
        self.dataloader_config.even_batches = value

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
        if self.fsdp_plugin is not None:
            self._shard(args)
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
        if (self.device_placement if device_placement is None else device_placement) and not hasattr(
            model, "hf_device_map"
        ):
            model = model.to(self.device)
        self.verify_device_map(model)
        if self.parallelism_config is not None and self.parallelism_config.tp_enabled:
            slice_model(model, axis_of(self.torch_device_mesh, "tp"), self.parallelism_config.tp_plan)
        dtype = PRECISIONS[self.mixed_precision]
        if dtype is not None and "_original_forward" not in vars(model):
            plain = model.forward

            @functools.wraps(plain)
            def forward(*args: Any, **kwargs: Any) -> Any:
                with self.autocast():
                    return plain(*args, **kwargs)

            vars(model)["_original_forward"] = plain
            model.forward = convert_outputs_to_fp32(forward)  # type: ignore[method-assign]
        learning = not evaluation_mode and any(p.requires_grad for p in model.parameters())
        if self.fsdp_plugin is not None:
            mesh = axis_of(self.torch_device_mesh, "dp_replicate", "dp_shard")
            shard_model(model, self.fsdp_plugin, mesh, dtype)
        elif learning and self.data_place[0] > 1:
            group = axis_of(self.torch_device_mesh, "dp_replicate")
            model = nn.parallel.DistributedDataParallel(
                model,
                device_ids=[self.device] if self.device.type == "cuda" else None,
                process_group=None if group is None else group.get_group(),
                **self._exchange.arguments(),
            )
            self._exchange.register_comm_hook(model)
        model = self._compiling.compile(model)
        self._models.append(model)
        return model

    def _shard(self, items: tuple[Any, ...]) -> None:
        """Cut models, and point the optimizers made for them at the cut parameters."""
        before: dict[int, dict[int, str]] = {}
        models = [item for item in items if isinstance(item, nn.Module) and not is_sharded(item)]
        for number, model in enumerate(models):
            before[number] = {id(parameter): name for name, parameter in model.named_parameters()}
            self.prepare_model(model)
        for optimizer in items:
            if not isinstance(optimizer, torch.optim.Optimizer) or isinstance(optimizer, AcceleratedOptimizer):
                continue
            for number, model in enumerate(models):
                point_at(optimizer, before[number], model)

    def _model_of(self, optimizer: torch.optim.Optimizer) -> nn.Module | None:
        """The prepared model whose parameters an optimizer has."""
        own = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        return next((model for model in self._models if any(id(p) in own for p in model.parameters())), None)

    def verify_device_map(self, model: nn.Module) -> bool:
        """Refuse to train a model in several processes that is spread over devices; return False otherwise."""
        places = getattr(model, "hf_device_map", None) or {}
        if len(set(map(str, places.values()))) > 1 and self.state.use_distributed:
            raise ValueError(
                "a model spread over devices with device_map cannot be trained by several processes; load it without"
            )
        return False

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
            scheduler,
            own or self._optimizers,
            self.step_scheduler_with_optimizer,
            self.split_batches,
            adjust=self._accumulation.adjust_scheduler,
        )
        self._schedulers.append(wrapped)
        return wrapped

    def prepare_data_loader(
        self,
        data_loader: DataLoader,  # type: ignore[type-arg]
        device_placement: bool | None = None,
        slice_fn_for_dispatch: Any = None,
    ) -> DataLoaderShard:
        """Let a loader give this process its share of the batches, on its device."""
        if isinstance(data_loader, DataLoaderShard):
            return data_loader
        placed = self.device_placement if device_placement is None else device_placement
        chosen, (count, index) = self.dataloader_config, self.data_place
        loader = prepare_data_loader(
            data_loader,
            self.device,
            count,
            index,
            split_batches=chosen.split_batches,
            put_on_device=placed,
            dispatch_batches=chosen.dispatch_batches,
            even_batches=chosen.even_batches,
            slice_fn_for_dispatch=slice_fn_for_dispatch,
            use_seedable_sampler=chosen.use_seedable_sampler,
            data_seed=chosen.data_seed,
            non_blocking=chosen.non_blocking,
        )
        self._dataloaders.append(loader)
        return loader

    def skip_first_batches(self, dataloader: DataLoader, num_batches: int = 0) -> DataLoader:  # type: ignore[type-arg]
        """Return the loader without its first batches, to resume in the middle of an epoch."""
        return skip_first_batches(dataloader, num_batches)

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
        """Return a model's weights; of one that is cut between processes, whole, on the main process alone."""
        if is_sharded(model):
            return full_state_dict(model)
        return (self.unwrap_model(model) if unwrap else model).state_dict()

    def save_model(
        self, model: nn.Module, save_directory: str, max_shard_size: int | str = "10GB", safe_serialization: bool = True
    ) -> None:
        """Write a model's weights into a folder, on the main process, cut into files of at most ``max_shard_size``."""
        weights = self.get_state_dict(model)  # every process takes part
        if not self.is_main_process:
            return
        from enfold.checkpoints import save

        save(weights, save_directory, max_shard_size=max_shard_size, safe_serialization=safe_serialization)

    def free_memory(self, *objects: Any) -> list[Any]:
        """Forget everything prepared; return a list of None to overwrite the caller's own names with."""
        for table in (self._models, self._optimizers, self._schedulers, self._dataloaders):
            table.clear()
        self.step = 0
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return [None] * len(objects)

    clear = free_memory


def _is_schedule(item: Any) -> bool:
    return isinstance(item, torch.optim.lr_scheduler.LRScheduler)


def extract_model_from_parallel(
    model: nn.Module, keep_fp32_wrapper: bool = True, keep_torch_compile: bool = True, recursive: bool = False
) -> nn.Module:
    """Return the model inside wrappers for several processes and for compilation.

    Args:
        model: the wrapped model.
        keep_fp32_wrapper: leave the mixed-precision forward in place.
        keep_torch_compile: leave ``torch.compile``'s wrapper around it.
        recursive: take wrappers away inside the model too.
    """
    compiled = (
        model if is_compiled_module(model) or ("_orig_mod" in vars(model) and has_compiled_regions(model)) else None
    )
    inner: Any = model if compiled is None else compiled._orig_mod
    wrappers = (nn.parallel.DistributedDataParallel, nn.DataParallel)
    while isinstance(inner, wrappers):
        inner = inner.module
    if recursive:
        for name, child in inner.named_children():
            setattr(inner, name, extract_model_from_parallel(child, keep_fp32_wrapper, keep_torch_compile, True))
    if not keep_fp32_wrapper and "_original_forward" in vars(inner):
        plain = vars(inner).pop("_original_forward")
        if getattr(plain, "__self__", None) is inner and plain.__func__ is vars(type(inner)).get("forward"):
            vars(inner).pop("forward", None)
        else:
            inner.forward = plain
    if compiled is None or not keep_torch_compile:
        return inner  # type: ignore[no-any-return]
    if is_compiled_module(compiled):
        compiled._orig_mod = inner
    else:
        vars(compiled)["_orig_mod"] = inner
    return compiled
