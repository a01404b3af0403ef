"""What can be chosen beside an Accelerator's own arguments: one small record for each concern."""

from __future__ import annotations

import enum
import os
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import nn

from enfold.errors import EnfoldError, nearest

__all__ = [
    "AutocastKwargs",
    "ComputeEnvironment",
    "DDPCommunicationHookType",
    "DataLoaderConfiguration",
    "DeepSpeedPlugin",
    "DistributedDataParallelKwargs",
    "FullyShardedDataParallelPlugin",
    "GradScalerKwargs",
    "GradientAccumulationPlugin",
    "InitProcessGroupKwargs",
    "KwargsHandler",
    "LoggerType",
    "MegatronLMPlugin",
    "PrecisionType",
    "ProfileKwargs",
    "ProjectConfiguration",
    "RNGType",
    "TorchDynamoPlugin",
    "TorchTensorParallelPlugin",
]


def flag(name: str, default: bool = False) -> bool:
    """Return whether an environment variable says yes."""
    return os.environ.get(name, str(default)).strip().lower() in {"1", "true", "yes", "y", "on", "t"}


class KwargsHandler:
    """Arguments of something that an Accelerator makes."""

    def to_dict(self) -> dict[str, Any]:
        """Return all fields."""
        return {item.name: getattr(self, item.name) for item in fields(self)}  # type: ignore[arg-type]

    def to_kwargs(self) -> dict[str, Any]:
        """Return the fields that differ from their defaults."""
        usual = type(self)().to_dict()
        return {name: value for name, value in self.to_dict().items() if usual[name] != value}


@dataclass
class AutocastKwargs(KwargsHandler):
    """How mixed precision computes: ``enabled``, and ``cache_enabled`` for the casts of weights."""

    enabled: bool = True
    cache_enabled: bool | None = None


@dataclass
class GradScalerKwargs(KwargsHandler):
    """How the loss is scaled for float16; the arguments of ``torch.amp.GradScaler``."""

    init_scale: float = 65536.0
    growth_factor: float = 2.0
    backoff_factor: float = 0.5
    growth_interval: int = 2000
    enabled: bool = True


class DDPCommunicationHookType(str, enum.Enum):
    """How gradients travel between processes: as they are, in half precision, or in low rank."""

    NO = "no"
    FP16 = "fp16"
    BF16 = "bf16"
    POWER_SGD = "power_sgd"
    BATCHED_POWER_SGD = "batched_power_sgd"


@dataclass
class DistributedDataParallelKwargs(KwargsHandler):
    """How ``DistributedDataParallel`` exchanges gradients: its own arguments, and how they travel.

    Attributes:
        comm_hook: how gradients travel.
        comm_wrapper: ``FP16`` or ``BF16`` around a low-rank ``comm_hook``.
        comm_state_option: arguments of the low-rank state, such as ``{"matrix_approximation_rank": 2}``.
    """

    dim: int = 0
    broadcast_buffers: bool = True
    bucket_cap_mb: int = 25
    find_unused_parameters: bool = False
    check_reduction: bool = False
    gradient_as_bucket_view: bool = False
    static_graph: bool = False
    comm_hook: DDPCommunicationHookType = DDPCommunicationHookType.NO
    comm_wrapper: DDPCommunicationHookType = DDPCommunicationHookType.NO
    comm_state_option: dict[str, Any] = field(default_factory=dict)

    def arguments(self) -> dict[str, Any]:
        """Return what ``DistributedDataParallel`` itself takes."""
        own = {"comm_hook", "comm_wrapper", "comm_state_option", "check_reduction"}
        return {name: value for name, value in self.to_kwargs().items() if name not in own}

    def register_comm_hook(self, model: nn.parallel.DistributedDataParallel) -> None:
        """Let a wrapped model's gradients travel as chosen."""
        from torch.distributed.algorithms.ddp_comm_hooks import default_hooks, powerSGD_hook

        kinds: dict[str, Any] = {
            "fp16": default_hooks.fp16_compress_hook,
            "bf16": default_hooks.bf16_compress_hook,
            "power_sgd": powerSGD_hook.powerSGD_hook,
            "batched_power_sgd": powerSGD_hook.batched_powerSGD_hook,
        }
        wrappers: dict[str, Any] = {
            "fp16": default_hooks.fp16_compress_wrapper,
            "bf16": default_hooks.bf16_compress_wrapper,
        }
        kind = DDPCommunicationHookType(self.comm_hook).value
        if kind == "no":
            return
        hook, wrapper = kinds[kind], wrappers.get(DDPCommunicationHookType(self.comm_wrapper).value)
        state = None
        if "power" in kind:
            state = powerSGD_hook.PowerSGDState(None, **self.comm_state_option)
        model.register_comm_hook(state, wrapper(hook) if wrapper is not None else hook)


@dataclass
class InitProcessGroupKwargs(KwargsHandler):
    """How processes meet: ``backend`` (``None`` for what fits the device), ``init_method`` and ``timeout``."""

    backend: str | None = None
    init_method: str | None = None
    timeout: timedelta | None = None


@dataclass
class ProfileKwargs(KwargsHandler):
    """What :meth:`Accelerator.profile` records.

    Attributes:
        activities: of ``"cpu"``, ``"cuda"``, ``"xpu"``; what the machine has when None.
        schedule_option: arguments of ``torch.profiler.schedule``.
        on_trace_ready: called with the profile of each active window.
        record_shapes, profile_memory, with_stack, with_flops, with_modules: as in ``torch.profiler.profile``.
        output_trace_dir: folder for a Chrome trace per process.
    """

    activities: list[str] | None = None
    schedule_option: dict[str, int] | None = None
    on_trace_ready: Any = None
    record_shapes: bool = False
    profile_memory: bool = False
    with_stack: bool = False
    with_flops: bool = False
    with_modules: bool = False
    output_trace_dir: str | None = None

    def build(self) -> Any:
        """Return the ``torch.profiler.profile`` that records this."""
        known = {"cpu": "CPU", "cuda": "CUDA", "xpu": "XPU"}
        for name in self.activities or []:
            if name not in known:
                raise EnfoldError(f"{name!r} is no activity; expected {', '.join(known)}{nearest(name, known)}")
        chosen = [getattr(torch.profiler.ProfilerActivity, known[name]) for name in self.activities or []]
        return torch.profiler.profile(
            activities=chosen or None,
            schedule=torch.profiler.schedule(**self.schedule_option) if self.schedule_option else None,
            on_trace_ready=self.on_trace_ready,
            record_shapes=self.record_shapes,
            profile_memory=self.profile_memory,
            with_stack=self.with_stack,
            with_flops=self.with_flops,
            with_modules=self.with_modules,
        )


@dataclass
class DataLoaderConfiguration:
    """How loaders are shared between processes.

    Attributes:
        split_batches: a loader's batch size is that of all processes together.
        dispatch_batches: the main process reads and sends each its share; by default for streams alone.
        even_batches: give every process equally many full batches.
        use_seedable_sampler: let a random order depend on seed and epoch alone.
        data_seed: the seed of that order.
        non_blocking: do not wait for copies to the device.
        use_stateful_dataloader: let loaders know where they are, so that ``load_state`` resumes inside an epoch.
    """

    split_batches: bool = False
    dispatch_batches: bool | None = None
    even_batches: bool = True
    use_seedable_sampler: bool = True
    data_seed: int | None = None
    non_blocking: bool = False
    use_stateful_dataloader: bool = False


@dataclass
class GradientAccumulationPlugin(KwargsHandler):
    """How gradients are accumulated.

    Attributes:
        num_steps: batches per optimizer step.
        adjust_scheduler: let a schedule count the batches of a window too, as if each were a step.
        sync_with_dataloader: end a window with the last batch of a loader.
        sync_each_batch: exchange gradients after each batch, which takes longer and less memory.
    """

    num_steps: int | None = None
    adjust_scheduler: bool = True
    sync_with_dataloader: bool = True
    sync_each_batch: bool = False


@dataclass
class ProjectConfiguration:
    """Where a project's files go.

    Attributes:
        project_dir: its folder.
        logging_dir: folder of the trackers; by default ``project_dir``.
        automatic_checkpoint_naming: ``save_state`` writes ``checkpoints/checkpoint_<iteration>`` and counts.
        total_limit: keep this many of them; the oldest go.
        iteration: number of the next.
        save_on_each_node: the first process of each machine writes what only the main process would.
    """

    project_dir: str | None = None
    logging_dir: str | None = None
    automatic_checkpoint_naming: bool = False
    total_limit: int | None = None
    iteration: int = 0
    save_on_each_node: bool = False

    def __post_init__(self) -> None:
        self.set_directories(self.project_dir)

    def set_directories(self, project_dir: str | os.PathLike[str] | None = None) -> None:
        """Choose the folder, and with it the trackers' unless they have one."""
        self.project_dir = None if project_dir is None else str(project_dir)
        if self.logging_dir is None:
            self.logging_dir = self.project_dir


_SHARDING = {"FULL_SHARD": True, "SHARD_GRAD_OP": False, "HYBRID_SHARD": True, "HYBRID_SHARD_ZERO2": False}


@dataclass
class FullyShardedDataParallelPlugin:
    """How a model's parameters, gradients and optimizer state are cut between processes, with ``fully_shard``.

    The options of the first generation are understood as what they mean in the second: a ``sharding_strategy`` says
    whether parameters are given back after the forward, ``use_orig_params``, ``backward_prefetch`` and the like need
    no choice any more.

    Attributes:
        reshard_after_forward: give gathered parameters back after the forward and gather them again for the backward.
        mixed_precision_policy: a ``torch.distributed.fsdp.MixedPrecisionPolicy``, or ``"bf16"`` or ``"fp16"``; by
            default what ``mixed_precision`` says.
        auto_wrap_policy: ``"transformer_based_wrap"``, ``"size_based_wrap"``, ``"no_wrap"``, or a function from a
            module to whether it is a unit.
        transformer_cls_names_to_wrap: names of classes that are units; by default the model's ``_no_split_modules``.
        min_num_params: parameters from which on a module is a unit.
        cpu_offload: keep shards in the processor's memory.
        ignored_modules: modules whose parameters are not cut.
        state_dict_type: ``"SHARDED_STATE_DICT"`` or ``"FULL_STATE_DICT"``.
        activation_checkpointing: compute a unit's activations again in the backward.
        cpu_ram_efficient_loading: the main process alone holds the weights before they are cut.
    """

    fsdp_version: int | None = None
    sharding_strategy: str | None = None
    reshard_after_forward: bool | str | None = None
    backward_prefetch: Any = None
    mixed_precision_policy: Any = None
    auto_wrap_policy: Any = None
    cpu_offload: Any = None
    ignored_modules: Any = None
    state_dict_type: str | None = None
    state_dict_config: Any = None
    optim_state_dict_config: Any = None
    limit_all_gathers: bool = True
    use_orig_params: bool | None = None
    param_init_fn: Any = None
    sync_module_states: bool | None = None
    forward_prefetch: bool | None = None
    activation_checkpointing: bool | None = None
    activation_checkpointing_offload: bool | None = None
    cpu_ram_efficient_loading: bool | None = None
    transformer_cls_names_to_wrap: list[str] | None = None
    min_num_params: int | None = None

    def __post_init__(self) -> None:
        read = os.environ.get
        self.fsdp_version = 2  # torch has no other any more that we build on
        strategy = str(self.sharding_strategy or read("FSDP_SHARDING_STRATEGY", "FULL_SHARD")).upper()
        strategy = strategy.rpartition(".")[2]
        if strategy not in _SHARDING and strategy != "NO_SHARD":
            known = ", ".join([*_SHARDING, "NO_SHARD"])
            raise EnfoldError(f"sharding_strategy must be one of {known}, got {self.sharding_strategy!r}")
        if self.reshard_after_forward is None:
            self.reshard_after_forward = flag("FSDP_RESHARD_AFTER_FORWARD", _SHARDING.get(strategy, False))
        elif isinstance(self.reshard_after_forward, str):
            self.reshard_after_forward = self.reshard_after_forward.lower() == "true"
        if self.cpu_offload is None:
            self.cpu_offload = flag("FSDP_OFFLOAD_PARAMS")
        if self.activation_checkpointing is None:
            self.activation_checkpointing = flag("FSDP_ACTIVATION_CHECKPOINTING")
        if self.cpu_ram_efficient_loading is None:
            self.cpu_ram_efficient_loading = flag("FSDP_CPU_RAM_EFFICIENT_LOADING")
        kind = str(self.state_dict_type or read("FSDP_STATE_DICT_TYPE") or "SHARDED_STATE_DICT").rpartition(".")[2]
        self.set_state_dict_type(kind)
        if self.auto_wrap_policy is None:
            self.auto_wrap_policy = read("FSDP_AUTO_WRAP_POLICY", "transformer_based_wrap").lower()
        if isinstance(self.transformer_cls_names_to_wrap, str):
            self.transformer_cls_names_to_wrap = [self.transformer_cls_names_to_wrap]
        named = read("FSDP_TRANSFORMER_CLS_TO_WRAP")
        if self.transformer_cls_names_to_wrap is None and named:
            self.transformer_cls_names_to_wrap = [name.strip() for name in named.split(",")]
        if self.min_num_params is None:
            self.min_num_params = int(read("FSDP_MIN_NUM_PARAMS", "100000000"))

    def set_state_dict_type(self, state_dict_type: str) -> None:
        """Choose how checkpoints are written: each process its shards, or the main process all."""
        known = ("SHARDED_STATE_DICT", "FULL_STATE_DICT")
        if state_dict_type.upper() not in known:
            raise EnfoldError(f"state_dict_type must be one of {', '.join(known)}, got {state_dict_type!r}")
        self.state_dict_type = state_dict_type.upper()


class _Elsewhere:
    """What another engine brings; named so that programs import, refused where it is made."""

    engine = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise ImportError(
            f"{type(self).__name__} hands the training loop to {self.engine}, which enfold does not drive. "
            "FullyShardedDataParallelPlugin cuts parameters, gradients and optimizer states on torch's own parts."
        )


class DeepSpeedPlugin(_Elsewhere):
    """DeepSpeed's options: refused with what to use instead."""

    engine = "DeepSpeed"


class MegatronLMPlugin(_Elsewhere):
    """Megatron-LM's options: refused with what to use instead."""

    engine = "Megatron-LM"


class PrecisionType(str, enum.Enum):
    """Precisions by name."""

    NO = "no"
    FP8 = "fp8"
    FP16 = "fp16"
    BF16 = "bf16"

    @classmethod
    def list(cls) -> list[str]:
        """Return all names."""
        return [item.value for item in cls]


class ComputeEnvironment(str, enum.Enum):
    """Where a configuration's processes run, by name."""

    LOCAL_MACHINE = "LOCAL_MACHINE"
    AMAZON_SAGEMAKER = "AMAZON_SAGEMAKER"


class RNGType(str, enum.Enum):
    """Kinds of random states by name."""

    TORCH = "torch"
    CUDA = "cuda"
    GENERATOR = "generator"


class LoggerType(str, enum.Enum):
    """Trackers by name."""

    ALL = "all"
    JSONL = "jsonl"
    TENSORBOARD = "tensorboard"
    WANDB = "wandb"
    TRACKIO = "trackio"
    COMETML = "comet_ml"
    MLFLOW = "mlflow"
    SWANLAB = "swanlab"


@dataclass
class TorchTensorParallelPlugin:
    """How many processes cut each matrix between them; ``ParallelismConfig(tp_size=…)`` says the same."""

    tp_size: int = 1
    torch_device_mesh: Any = None


@dataclass
class TorchDynamoPlugin(KwargsHandler):
    """How models are compiled: the arguments of ``torch.compile``.

    Attributes:
        backend: ``"no"`` leaves models as they are.
        use_regional_compilation: compile each of a model's repeated blocks, once for all, instead of the whole.
    """

    backend: str | None = None
    mode: str | None = None
    fullgraph: bool | None = None
    dynamic: bool | None = None
    options: Any = None
    disable: bool = False
    use_regional_compilation: bool | None = None

    def __post_init__(self) -> None:
        self.backend = (self.backend or os.environ.get("ACCELERATE_DYNAMO_BACKEND", "no")).lower()
        if self.use_regional_compilation is None:
            self.use_regional_compilation = flag("ACCELERATE_DYNAMO_USE_REGIONAL_COMPILATION")

    def compile(self, model: nn.Module) -> nn.Module:
        """Return the model compiled as chosen."""
        if self.backend == "no" or self.disable:
            return model
        chosen = {"backend": self.backend, "mode": self.mode, "dynamic": self.dynamic, "options": self.options}
        given = {name: value for name, value in chosen.items() if value is not None}
        if self.fullgraph:
            given["fullgraph"] = True
        if not self.use_regional_compilation:
            compiled: Any = torch.compile(model, **given)
            return compiled  # type: ignore[no-any-return]
        for module in model.modules():
            if isinstance(module, nn.ModuleList):
                for block in module:
                    block.compile(**given)
        return model


def folder(path: str | os.PathLike[str]) -> Path:
    """Return a folder, made when it does not exist."""
    made = Path(path)
    made.mkdir(parents=True, exist_ok=True)
    return made
