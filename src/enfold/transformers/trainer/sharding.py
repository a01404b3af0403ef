"""``fsdp`` and ``fsdp_config``: a training whose parameters are cut between its processes, on torch's own parts."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from enfold.accelerate import sharded_files
from enfold.accelerate.operations import gather, recursively_apply
from enfold.accelerate.options import FullyShardedDataParallelPlugin
from enfold.accelerate.parallel import (
    axis_of,
    full_state_dict,
    is_cut,
    is_sharded,
    point_at,
    shard_model,
    slice_model,
)
from enfold.errors import nearest

if TYPE_CHECKING:
    from enfold.transformers.trainer.arguments import TrainingArguments
    from enfold.transformers.trainer.parts import Parts

__all__ = [
    "OPTIONS",
    "cut",
    "gather_shares",
    "gathered",
    "in_shards",
    "plugin_of",
    "read_optimizer",
    "read_shards",
    "write_optimizer",
]

# What ``fsdp`` may say, each word with the options it stands for.
WORDS: dict[str, dict[str, Any]] = {
    "full_shard": {"reshard_after_forward": True},
    "shard_grad_op": {"reshard_after_forward": False},
    "hybrid_shard": {"reshard_after_forward": True},
    "hybrid_shard_zero2": {"reshard_after_forward": False},
    "offload": {"cpu_offload": True},
    "auto_wrap": {},
}


class Option(NamedTuple):
    """A key of ``fsdp_config``: the plugin's field, None where torch's second generation needs no choice."""

    field: str | None
    truth: bool = False  # files may spell it "true"


OPTIONS: dict[str, Option] = {
    "version": Option(None),
    "min_num_params": Option("min_num_params"),
    "transformer_layer_cls_to_wrap": Option("transformer_cls_names_to_wrap"),
    "transformer_cls_names_to_wrap": Option("transformer_cls_names_to_wrap"),
    "auto_wrap_policy": Option("auto_wrap_policy"),
    "cpu_offload": Option("cpu_offload", truth=True),
    "offload_params": Option("cpu_offload", truth=True),
    "state_dict_type": Option("state_dict_type"),
    "activation_checkpointing": Option("activation_checkpointing", truth=True),
    "cpu_ram_efficient_loading": Option("cpu_ram_efficient_loading", truth=True),
    "reshard_after_forward": Option("reshard_after_forward", truth=True),
    "backward_prefetch": Option(None),
    "forward_prefetch": Option(None),
    "limit_all_gathers": Option(None),
    "use_orig_params": Option(None),
    "sync_module_states": Option(None),
    "xla": Option(None),
    "xla_fsdp_v2": Option(None),
    "xla_fsdp_grad_ckpt": Option(None),
}
_POLICIES = {"TRANSFORMER_BASED_WRAP", "SIZE_BASED_WRAP", "NO_WRAP"}


def plugin_of(args: TrainingArguments) -> FullyShardedDataParallelPlugin | None:
    """Return how the parameters are to be cut, or None where ``fsdp`` does not ask for it.

    Args:
        args: ``fsdp`` is True, or words such as ``"full_shard auto_wrap offload"``; ``fsdp_config`` is a mapping, JSON,
            or the path of a JSON file, its keys with or without ``fsdp_`` before them.

    Raises:
        ValueError: a word or a key that is unknown.
    """
    if not args.fsdp:
        return None
    given: dict[str, Any] = {}
    words = args.fsdp if isinstance(args.fsdp, (list, tuple)) else str(args.fsdp).replace(",", " ").split()
    for word in words:
        name = str(getattr(word, "value", word))
        if name not in WORDS and name.lower() != "true":
            raise ValueError(f"fsdp knows {', '.join(WORDS)}, not {name!r}{nearest(name, WORDS)}")
        given.update(WORDS.get(name, {}))
    settings = {name.removeprefix("fsdp_"): value for name, value in config_of(args.fsdp_config).items()}
    settings.setdefault("state_dict_type", "FULL_STATE_DICT")
    for old in ("min_num_params", "transformer_layer_cls_to_wrap"):  # version 4's arguments of their own
        if getattr(args, f"fsdp_{old}", None):
            settings.setdefault(old, getattr(args, f"fsdp_{old}"))
    if settings.get("min_num_params"):
        settings["min_num_params"] = int(settings["min_num_params"])
    if settings.get("xla"):
        raise ValueError("fsdp_config asks for XLA, which is not used here: leave 'xla' out")
    for name, value in settings.items():
        if name not in OPTIONS:
            raise ValueError(f"fsdp_config has no key {name!r}{nearest(name, OPTIONS)}")
        field, truth = OPTIONS[name]
        if field is not None and value is not None:
            given[field] = _true(value) if truth else value
    if given.get("min_num_params"):
        given.setdefault("auto_wrap_policy", "SIZE_BASED_WRAP")
    else:
        given.pop("min_num_params", None)
    policy = given.get("auto_wrap_policy")
    if isinstance(policy, str) and policy.upper() not in _POLICIES:
        raise ValueError(f"auto_wrap_policy must be one of {', '.join(sorted(_POLICIES))}{nearest(policy, _POLICIES)}")
    if isinstance(policy, str):
        given["auto_wrap_policy"] = policy.lower()
    return FullyShardedDataParallelPlugin(**given)


def config_of(given: dict[str, Any] | str | None) -> dict[str, Any]:
    """Return ``fsdp_config`` as a mapping, read from JSON or from a file of it."""
    if isinstance(given, (str, os.PathLike)):
        text = os.fspath(given)
        return dict(json.loads(text if text.lstrip().startswith("{") else Path(text).read_text("utf-8")))
    return dict(given or {})


def _true(value: Any) -> bool:
    # The first generation named strategies here: all but those that keep gathered parameters mean "give them back".
    return str(value).lower() not in ("false", "0", "none", "", "shard_grad_op", "hybrid_shard_zero2", "no_shard")


# --- the model and its optimizer --------------------------------------------------------------------------------------


def cut(trainer: Parts) -> None:
    """Cut the trainer's model between the processes, in place, and let a given optimizer act on the cut parameters."""
    accelerator, plugin = trainer.accelerator, trainer.accelerator.fsdp_plugin
    mesh, config = accelerator.torch_device_mesh, accelerator.parallelism_config
    slices = None if config is None else axis_of(mesh, "tp")
    if (plugin is None and slices is None) or is_cut(trainer.model):
        return
    before = {id(parameter): name for name, parameter in trainer.model.named_parameters()}
    if config is not None and slices is not None:
        slice_model(trainer.model, slices, config.tp_plan)
    if plugin is not None:
        dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(accelerator.mixed_precision)
        shard_model(trainer.model, plugin, axis_of(mesh, "dp_replicate", "dp_shard"), dtype)
    if trainer.optimizer is not None:
        point_at(trainer.optimizer, before, trainer.model)


def gather_shares(trainer: Parts, data: Any) -> Any:
    """Gather from the processes that read different data: one of those that cut matrices between them.

    Args:
        data: tensors (B, …) with as many rows on every process.
    """
    count = trainer.accelerator.data_place[0]
    same = trainer.accelerator.num_processes // count
    gathered = gather(data)
    if same == 1:
        return gathered
    return recursively_apply(lambda value: value.unflatten(0, (count, same, -1))[:, 0].flatten(0, 1), gathered)


def in_shards(trainer: Parts) -> bool:
    """Say whether checkpoints hold each process's shards instead of whole weights."""
    plugin = trainer.accelerator.fsdp_plugin
    return plugin is not None and is_sharded(trainer.model) and plugin.state_dict_type == sharded_files.SHARDED


def gathered(model: nn.Module) -> dict[str, Tensor] | None:
    """Return a cut model's whole weights, on the main process; None where it is whole already."""
    return full_state_dict(model) if is_cut(model) else None


def _kind(trainer: Parts) -> str:
    plugin = trainer.accelerator.fsdp_plugin
    return "FULL_STATE_DICT" if plugin is None else str(plugin.state_dict_type)


def write_optimizer(trainer: Parts, folder: str) -> None:
    """Write the optimizer's state, whole or in shards, and in the second case the weights too."""
    assert trainer.optimizer is not None
    place, main = Path(folder), trainer.is_world_process_zero()
    if in_shards(trainer):
        sharded_files.write_weights(trainer.model, place, _kind(trainer), main)
    if not trainer.args.save_only_model:
        sharded_files.write_optimizer(trainer.model, trainer.optimizer, place, _kind(trainer), main)


def read_optimizer(trainer: Parts, folder: str, plain: str) -> bool:
    """Put the optimizer's state back where it, or the model, is cut; say whether that was done.

    Args:
        trainer: its model is cut or whole, whichever way the checkpoint was written.
        folder: the checkpoint.
        plain: path of the state that a training with whole parameters writes.
    """
    model, optimizer, place = trainer.model, trainer.optimizer, Path(folder)
    if optimizer is None:
        return False
    for kind, name in ((sharded_files.SHARDED, "optimizer_0"), ("FULL_STATE_DICT", "optimizer.bin")):
        if (place / name).exists():
            sharded_files.read_optimizer(model, optimizer, place, kind)
            return True
    if not is_cut(model) or not os.path.isfile(plain):
        return False
    sharded_files.set_optimizer(model, optimizer, sharded_files.by_name(model, optimizer, Path(plain)))
    return True


def read_shards(model: nn.Module, folder: str) -> bool:
    """Put shards of weights into a model, cut or whole; say whether the folder has any."""
    place = Path(folder)
    if not (place / "pytorch_model_fsdp_0").is_dir():
        return False
    sharded_files.read_weights(model, place, sharded_files.SHARDED)
    return True
