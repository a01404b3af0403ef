"""Which processes share what: a mesh of replicas, shards and tensor slices, and a model cut along it.

Everything is torch's own: ``fully_shard`` for shards, ``parallelize_module`` for tensor slices, pipelining's stages.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from enfold.accelerate.options import FullyShardedDataParallelPlugin
from enfold.errors import EnfoldError

__all__ = [
    "ParallelismConfig",
    "full_state_dict",
    "is_cut",
    "is_sharded",
    "prepare_pippy",
    "shard_model",
    "slice_model",
]

_AXES = ("dp_replicate", "dp_shard", "cp", "sp", "tp")


@dataclass
class ParallelismConfig:
    """How many processes share in each way; their product is the number of processes.

    Args:
        dp_replicate_size: replicas of the model, each with data of its own.
        dp_shard_size: processes that cut one replica's parameters between them, each with data of its own.
        tp_size: processes that cut each layer's matrices between them, on the same data.
        cp_size, sp_size: processes that cut sequences; only 1 is built.
        tp_plan: pattern of module names → ``"colwise"`` or ``"rowwise"``; by default the model's ``_tp_plan``.

    Example:
        >>> ParallelismConfig(dp_shard_size=2, tp_size=4).total_size
        8
    """

    dp_replicate_size: int | None = None
    dp_shard_size: int | None = None
    tp_size: int | None = None
    cp_size: int | None = None
    cp_backend: Any = None
    sp_size: int | None = None
    sp_backend: Any = None
    tp_handler: Any = None
    cp_handler: Any = None
    sp_handler: Any = None
    tp_plan: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        for axis in _AXES:
            name = f"{axis}_size"
            if getattr(self, name) is None:
                setattr(self, name, int(os.environ.get(f"PARALLELISM_CONFIG_{name.upper()}", "1")))
            if getattr(self, name) < 1:
                raise EnfoldError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.size("cp") > 1 or self.size("sp") > 1:
            raise EnfoldError(
                "cp_size and sp_size cut sequences between processes, which is not built; leave them at 1"
            )

    def size(self, axis: str) -> int:
        """Return how many processes share along an axis."""
        return int(getattr(self, f"{axis}_size"))

    @property
    def total_size(self) -> int:
        """Processes in all."""
        total = 1
        for axis in _AXES:
            total *= self.size(axis)
        return total

    @property
    def data_parallel_size(self) -> int:
        """Processes that read different data."""
        return self.size("dp_replicate") * self.size("dp_shard")

    @property
    def fsdp_enabled(self) -> bool:
        """Whether parameters are cut between processes."""
        return self.size("dp_shard") > 1

    @property
    def tp_enabled(self) -> bool:
        """Whether matrices are cut between processes."""
        return self.size("tp") > 1

    def build_device_mesh(self, device_type: str) -> Any:
        """Return the mesh: one axis for each size above 1, in the order replicas, shards, slices."""
        from torch.distributed.device_mesh import init_device_mesh

        count = torch.distributed.get_world_size()
        if self.total_size != count:
            sizes = " × ".join(f"{axis} {self.size(axis)}" for axis in _AXES if self.size(axis) > 1) or "1"
            raise EnfoldError(f"the parallelism asks for {self.total_size} processes ({sizes}); there are {count}")
        axes = [axis for axis in _AXES if self.size(axis) > 1] or ["dp_replicate"]
        return init_device_mesh(device_type, tuple(self.size(axis) for axis in axes), mesh_dim_names=tuple(axes))


def axis_of(mesh: Any, *axes: str) -> Any:
    """Return the part of a mesh along the axes that it has, or None."""
    present = tuple(axis for axis in axes if mesh is not None and axis in (mesh.mesh_dim_names or ()))
    return None if not present else mesh[present if len(present) > 1 else present[0]]


# --- shards ---------------------------------------------------------------------------------------------------------


def shard_model(
    model: nn.Module, plugin: FullyShardedDataParallelPlugin, mesh: Any, precision: torch.dtype | None
) -> nn.Module:
    """Cut a model's parameters between processes, unit by unit from the inside out, in place.

    Trainable parameters are kept in float32 and computed with in ``precision``, so that small updates are not lost.

    Args:
        model: the model, the same on every process.
        plugin: what is a unit, and when its parameters are given back.
        mesh: the processes; two axes replicate along the first.
        precision: type to compute in, or None.
    """
    from torch.distributed.fsdp import CPUOffloadPolicy, MixedPrecisionPolicy, fully_shard

    if is_sharded(model):
        return model
    policy = plugin.mixed_precision_policy
    if isinstance(policy, str):
        precision, policy = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(policy), None
    options: dict[str, Any] = {"mesh": mesh, "reshard_after_forward": bool(plugin.reshard_after_forward)}
    if policy is not None or precision is not None:
        options["mp_policy"] = policy or MixedPrecisionPolicy(param_dtype=precision, reduce_dtype=torch.float32)
        for parameter in model.parameters():
            if parameter.requires_grad and parameter.is_floating_point():
                parameter.data = parameter.data.float()
    if plugin.cpu_offload:
        options["offload_policy"] = CPUOffloadPolicy(pin_memory=torch.cuda.is_available())
    ignored = {parameter for module in plugin.ignored_modules or [] for parameter in module.parameters()}
    if ignored:
        options["ignored_params"] = ignored
    units = _units(model, plugin)
    if plugin.activation_checkpointing:
        _compute_again(model, units)
    for unit in units:
        fully_shard(unit, **options)
    fully_shard(model, **options)
    tie: Any = getattr(model, "tie_weights", None)
    if tie is not None:
        tie()
    return model


def _units(model: nn.Module, plugin: FullyShardedDataParallelPlugin) -> list[nn.Module]:
    policy = plugin.auto_wrap_policy
    chosen: Callable[[nn.Module], bool]
    if callable(policy):
        chosen = policy
    elif "size" in str(policy):
        least = plugin.min_num_params or 1
        chosen = lambda module: sum(parameter.numel() for parameter in module.parameters()) >= least  # noqa: E731
    elif "no_wrap" in str(policy):
        return []
    else:
        names = plugin.transformer_cls_names_to_wrap or list(getattr(model, "_no_split_modules", None) or [])
        known = {type(module).__name__ for module in model.modules()}
        absent = [name for name in plugin.transformer_cls_names_to_wrap or [] if name not in known]
        if absent:
            raise EnfoldError(
                f"the model has no {', '.join(absent)} to wrap; its classes are {', '.join(sorted(known))}"
            )
        chosen = lambda module: type(module).__name__ in names  # noqa: E731
    inner = [module for module in model.modules() if module is not model and chosen(module)]
    return inner[::-1]  # a module's parts come after it, and are cut before it


def _compute_again(model: nn.Module, units: Iterable[nn.Module]) -> None:
    from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import apply_activation_checkpointing

    chosen = {id(unit) for unit in units} or {id(child) for child in model.children()}
    apply_activation_checkpointing(model, check_fn=lambda module: id(module) in chosen)


def is_sharded(model: nn.Module) -> bool:
    """Return whether a model's parameters are cut by ``fully_shard``."""
    from torch.distributed.fsdp import FSDPModule

    return isinstance(model, FSDPModule)


def is_cut(model: nn.Module) -> bool:
    """Return whether processes hold parts of a model's parameters: shards or slices."""
    from torch.distributed.tensor import DTensor

    return is_sharded(model) or any(isinstance(parameter, DTensor) for parameter in model.parameters())


def point_at(optimizer: torch.optim.Optimizer, before: Mapping[int, str], model: nn.Module) -> None:
    """Let an optimizer, made before a model was cut, act on the cut parameters.

    Args:
        optimizer: the optimizer, changed in place.
        before: ``id`` of each parameter before → its name.
        model: the cut model.
    """
    after = dict(model.named_parameters(remove_duplicate=False))
    for group in optimizer.param_groups:
        group["params"] = [after[before[id(old)]] if id(old) in before else old for old in group["params"]]
    optimizer.state.clear()


def full_state_dict(model: nn.Module) -> dict[str, Tensor]:
    """Return whole weights on the main process, and nothing elsewhere; every process must call it."""
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    weights: Any = get_model_state_dict(model, options=options)
    return dict(weights)


# --- slices ---------------------------------------------------------------------------------------------------------


def slice_model(model: nn.Module, mesh: Any, plan: Mapping[str, str] | None = None) -> nn.Module:
    """Cut the matrices of a model's linear and embedding layers between processes, in place.

    Args:
        model: the model, the same on every process.
        mesh: the processes, along one axis.
        plan: pattern of module names, with ``*`` → ``"colwise"``, ``"rowwise"``, or a torch ``ParallelStyle``; by
            default the model's ``_tp_plan``.
    """
    from torch.distributed.tensor import Replicate
    from torch.distributed.tensor.parallel import ColwiseParallel, ParallelStyle, RowwiseParallel, parallelize_module

    given = plan if plan is not None else getattr(model, "_tp_plan", None)
    if not given:
        raise EnfoldError(
            f"{type(model).__name__} does not say how its layers are cut: give tp_plan, such as "
            "{'*.up_proj': 'colwise', '*.down_proj': 'rowwise'}"
        )
    styles: dict[str, Callable[[], Any]] = {
        "colwise": ColwiseParallel,
        "rowwise": RowwiseParallel,
        "colwise_rep": lambda: ColwiseParallel(output_layouts=Replicate()),
        "colwise_gather_output": lambda: ColwiseParallel(output_layouts=Replicate()),
    }
    chosen: dict[str, Any] = {}
    for pattern, style in given.items():
        names = [name for name, _ in model.named_modules() if fnmatch.fnmatchcase(name, pattern)]
        if not names:
            raise EnfoldError(f"tp_plan names {pattern!r}, but no module of {type(model).__name__} is called so")
        for name in names:
            if isinstance(style, str) and style not in styles:
                raise EnfoldError(f"{style!r} is no way to cut a layer; expected one of {', '.join(styles)}")
            chosen[name] = style if isinstance(style, ParallelStyle) else styles[style]()
    return parallelize_module(model, mesh, chosen)


# --- stages ---------------------------------------------------------------------------------------------------------


def prepare_pippy(
    model: nn.Module,
    split_points: str | list[str] | None = "auto",
    no_split_module_classes: list[str] | None = None,
    example_args: tuple[Any, ...] = (),
    example_kwargs: dict[str, Any] | None = None,
    num_chunks: int | None = None,
    gather_output: bool = False,
) -> nn.Module:
    """Cut a model into stages, one a process, through which a batch flows in chunks; for inference.

    Args:
        model: the model, in evaluation mode.
        split_points: names of the modules that begin the second and later stages, or ``"auto"`` for stages of about
            equally many bytes.
        no_split_module_classes: names of classes that are not cut; by default the model's.
        example_args, example_kwargs: inputs of the size that will come.
        num_chunks: parts of a batch; by default one a process.
        gather_output: give every process the output; otherwise the last one has it and the others get None.

    Returns:
        The model; every process calls it with the same batch.
    """
    from torch.distributed.pipelining import ScheduleGPipe, SplitPoint, pipeline

    from enfold.accelerate.state import PartialState

    state = PartialState()
    count, chunks = state.num_processes, num_chunks or state.num_processes
    if split_points == "auto":
        split_points = _even_stages(model, count, no_split_module_classes)
    points = list(split_points or [])
    if len(points) != count - 1:
        raise EnfoldError(f"{count} processes need {count - 1} split points, got {len(points)}: {points}")
    model.eval()

    def chunk(value: Any) -> Any:
        return value[: max(1, value.shape[0] // chunks)] if isinstance(value, Tensor) and value.ndim else value

    sample = tuple(chunk(value) for value in example_args)
    named = {name: chunk(value) for name, value in (example_kwargs or {}).items()}
    pipe = pipeline(model, sample, named, split_spec=dict.fromkeys(points, SplitPoint.BEGINNING))
    schedule = ScheduleGPipe(pipe.build_stage(state.process_index, state.device), chunks)

    def forward(*args: Any, **kwargs: Any) -> Any:
        with torch.no_grad():
            if state.is_main_process:
                output = schedule.step(*args, **kwargs)
            else:
                output = schedule.step()
        if not gather_output:
            return output if state.is_last_process else None
        held = [output]
        torch.distributed.broadcast_object_list(held, src=count - 1)
        return held[0]

    model.forward = forward  # type: ignore[method-assign]
    vars(model)["hf_split_points"] = points
    return model


def _even_stages(model: nn.Module, count: int, never: list[str] | None) -> list[str]:
    from enfold.accelerate.sizes import compute_module_sizes

    classes = never if never is not None else list(getattr(model, "_no_split_modules", None) or [])
    sizes = compute_module_sizes(model)
    modules = [name for name in _in_order(model, classes) if sizes.get(name, 0)]
    total, filled = sum(sizes[name] for name in modules), 0
    points: list[str] = []
    for name in modules:
        if len(points) < count - 1 and filled >= total * (len(points) + 1) / count - sizes[name] / 2 and filled:
            points.append(name)
        filled += sizes[name]
    return points


def _in_order(model: nn.Module, classes: list[str], prefix: str = "") -> list[str]:
    names: list[str] = []
    for name, child in model.named_children():
        whole = f"{prefix}{name}"
        grown = list(child.named_children())
        if not grown or type(child).__name__ in classes:
            names.append(whole)
        else:
            names += _in_order(child, classes, f"{whole}.")
    return names
