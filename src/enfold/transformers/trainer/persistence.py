"""Checkpoints of a training: written whole or not at all, and read back so that it goes on bit for bit.

A folder ``checkpoint-N`` holds the model (or its adapter), ``optimizer.pt``, ``scheduler.pt``, ``rng_state.pth``,
``scaler.pt`` for float16, ``trainer_state.json`` and ``training_args.json``. Nothing in it is ever unpickled.
"""

from __future__ import annotations

import os
import random
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from enfold.accelerate.parallel import is_cut
from enfold.checkpoints import cut_like, find_weights, read_state_dict
from enfold.errors import EnfoldError
from enfold.log import get_logger
from enfold.transformers.trainer import sharding
from enfold.transformers.trainer.callbacks import ExportableState, TrainerState
from enfold.transformers.trainer.outcomes import (
    CHECKPOINT_PREFIX,
    SaveStrategy,
    checkpoint_step,
    get_last_checkpoint,
    sort_checkpoints,
)

if TYPE_CHECKING:
    from enfold.transformers.trainer.parts import Parts

__all__ = [
    "CheckpointNotFound",
    "find_checkpoint",
    "load_model",
    "restore",
    "restore_rng",
    "rotate_checkpoints",
    "save_checkpoint",
    "save_model",
    "sweep",
    "write_text",
]

logger = get_logger(__name__)

STATE_NAME = "trainer_state.json"
ARGS_NAME = "training_args.json"
OPTIMIZER_NAME = "optimizer.pt"
SCHEDULER_NAME = "scheduler.pt"
SCALER_NAME = "scaler.pt"
_TEMPORARY = ".writing-"
_REPLACED = ".old"


class CheckpointNotFound(FileNotFoundError, EnfoldError):
    """There is no checkpoint to go on from."""


def find_checkpoint(given: str | bool | os.PathLike[str] | None, output_dir: str) -> str | None:
    """Return the folder to go on from: the one that is named, the newest for True, None for nothing."""
    if given is None or given is False:
        return None
    if given is True:
        found = get_last_checkpoint(output_dir)
        if found is None:
            raise CheckpointNotFound(f"there is no {CHECKPOINT_PREFIX}-N folder in {output_dir} to resume from")
        return found
    folder = os.fspath(given)
    if not os.path.isdir(folder):
        raise CheckpointNotFound(f"there is no checkpoint folder {folder}")
    return folder


def save_model(trainer: Parts, folder: str, state_dict: dict[str, Any] | None = None) -> None:
    """Write the model, the tokenizer or processor, and the arguments."""
    os.makedirs(folder, exist_ok=True)
    model = trainer.accelerator.unwrap_model(trainer.model, keep_torch_compile=False)
    if hasattr(model, "save_pretrained"):
        extra = {} if state_dict is None else {"state_dict": state_dict}
        model.save_pretrained(folder, safe_serialization=trainer.args.save_safetensors, **extra)  # type: ignore[operator]
    else:
        from enfold.checkpoints import save

        save(state_dict or model.state_dict(), folder, safe_serialization=trainer.args.save_safetensors)
    if trainer.processing_class is not None and hasattr(trainer.processing_class, "save_pretrained"):
        trainer.processing_class.save_pretrained(folder)
    write_text(os.path.join(folder, ARGS_NAME), trainer.args.to_json_string() + "\n")


def write_text(path: str, text: str) -> None:
    with open(path + ".tmp", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(path + ".tmp", path)


def save_checkpoint(trainer: Parts) -> str:
    """Write a checkpoint under a temporary name, rename it, then remove those that are too many."""
    args, state = trainer.args, trainer.state
    assert args.output_dir is not None
    name = f"{CHECKPOINT_PREFIX}-{state.global_step}"
    final = os.path.join(args.output_dir, name)
    folder = os.path.join(args.output_dir, _TEMPORARY + name)
    if args.should_save:
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
    trainer.accelerator.wait_for_everyone()
    trainer._optimizer_trains(False)
    cut = is_cut(trainer.model)
    try:
        if sharding.in_shards(trainer):
            _save_around(trainer, folder)
        elif args.should_save or cut:
            trainer.save_model(folder, _internal_call=True)
        if cut:
            sharding.write_optimizer(trainer, folder)
        if args.should_save and not args.save_only_model:
            _save_progress(trainer, folder, optimizer=not cut)
        if not args.save_only_model:
            suffix = f"_{args.process_index}" if args.world_size > 1 else ""
            torch.save(_rng_states(), os.path.join(folder, f"rng_state{suffix}.pth"))
        best = state.best_global_step
        if best and args.save_strategy != SaveStrategy.NO:
            best_folder = os.path.join(args.output_dir, f"{CHECKPOINT_PREFIX}-{best}")
            if best == state.global_step or os.path.isdir(best_folder):
                state.best_model_checkpoint = best_folder
        if args.should_save:
            _save_state(trainer, folder)
        trainer.accelerator.wait_for_everyone()
        if args.should_save:
            _replace(folder, final)
    finally:
        # An interrupt leaves the previous checkpoints as they are and nothing half written beside them.
        if args.should_save:
            shutil.rmtree(folder, ignore_errors=True)
    if args.should_save:
        rotate(args.output_dir, args.save_total_limit, state.best_model_checkpoint, keep=final)
    trainer.accelerator.wait_for_everyone()
    return final


def sweep(trainer: Parts) -> None:
    """Tidy up after a run that was killed while it wrote: half checkpoints go, replaced ones come back."""
    folder = trainer.args.output_dir or ""
    if not trainer.args.should_save or not os.path.isdir(folder):
        return
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if name.startswith(_TEMPORARY):
            shutil.rmtree(path, ignore_errors=True)
        elif name.endswith(_REPLACED) and checkpoint_step(name.removesuffix(_REPLACED)) is not None:
            whole = path.removesuffix(_REPLACED)
            if os.path.isdir(whole):
                shutil.rmtree(path, ignore_errors=True)
            else:
                os.rename(path, whole)


def _replace(folder: str, final: str) -> None:
    """Give a folder its final name, replacing one of that name."""
    if os.path.isdir(final):
        old = final + _REPLACED
        shutil.rmtree(old, ignore_errors=True)
        os.rename(final, old)
        os.rename(folder, final)
        shutil.rmtree(old, ignore_errors=True)
    else:
        os.rename(folder, final)


def _save_around(trainer: Parts, folder: str) -> None:
    """Write what belongs to a model whose weights are in shards: its configuration, tokenizer and the arguments."""
    if not trainer.args.should_save:
        return
    kept: list[Any] = [getattr(trainer.model, "config", None), trainer.processing_class]
    for item in kept:
        if hasattr(item, "save_pretrained"):
            item.save_pretrained(folder)
    write_text(os.path.join(folder, ARGS_NAME), trainer.args.to_json_string() + "\n")


def _save_progress(trainer: Parts, folder: str, optimizer: bool = True) -> None:
    if trainer.optimizer is not None and optimizer:
        torch.save(trainer.optimizer.state_dict(), os.path.join(folder, OPTIMIZER_NAME))
    if trainer.lr_scheduler is not None:
        torch.save(trainer.lr_scheduler.state_dict(), os.path.join(folder, SCHEDULER_NAME))
    if trainer.accelerator.scaler is not None:
        torch.save(trainer.accelerator.scaler.state_dict(), os.path.join(folder, SCALER_NAME))


def _save_state(trainer: Parts, folder: str) -> None:
    kept: dict[str, Any] = {}
    for item in [*trainer.callback_handler.callbacks, trainer.control]:
        if isinstance(item, ExportableState):
            name, value = type(item).__name__, item.state()
            if name in kept:
                kept[name] = [*(kept[name] if isinstance(kept[name], list) else [kept[name]]), value]
            else:
                kept[name] = value
    trainer.state.stateful_callbacks = kept
    trainer.state.save_to_json(os.path.join(folder, STATE_NAME))


def rotate(
    output_dir: str,
    limit: int | None,
    best: str | None,
    keep: str | None = None,
    use_mtime: bool = False,
    prefix: str = CHECKPOINT_PREFIX,
) -> None:
    """Remove the oldest checkpoints until ``limit`` are left; the best one and ``keep`` always stay."""
    if not limit or limit <= 0:
        return
    folders = sort_checkpoints(output_dir, prefix, use_mtime)
    safe = {os.path.abspath(path) for path in (best, keep) if path}
    surplus = len(folders) - limit
    for folder in folders:
        if surplus <= 0:
            break
        if os.path.abspath(folder) not in safe:
            shutil.rmtree(folder, ignore_errors=True)
            surplus -= 1


def rotate_checkpoints(
    output_dir: str,
    save_total_limit: int | None = None,
    best_model_checkpoint: str | None = None,
    use_mtime: bool = False,
    checkpoint_prefix: str = CHECKPOINT_PREFIX,
) -> None:
    """Remove the oldest checkpoints in a folder until ``save_total_limit`` are left; the best and the newest stay.

    Args:
        output_dir: the folder.
        save_total_limit: how many stay; None for all.
        best_model_checkpoint: one that stays in any case.
        use_mtime, checkpoint_prefix: as of ``sort_checkpoints``.
    """
    newest = sort_checkpoints(output_dir, checkpoint_prefix, use_mtime)[-1:]
    keep = newest[0] if newest else None
    rotate(output_dir, save_total_limit, best_model_checkpoint, keep, use_mtime, checkpoint_prefix)


# --- reading back -----------------------------------------------------------------------------------------------------


def restore(trainer: Parts, folder: str) -> TrainerState | None:
    """Put optimizer, schedule and loss scale back as a checkpoint has them; return the state, if there is one."""
    device = trainer.args.device
    done = sharding.read_optimizer(trainer, folder, os.path.join(folder, OPTIMIZER_NAME))
    for name, target in (
        (OPTIMIZER_NAME, None if done else trainer.optimizer),
        (SCHEDULER_NAME, trainer.lr_scheduler),
        (SCALER_NAME, trainer.accelerator.scaler),
    ):
        path = os.path.join(folder, name)
        if target is not None and os.path.isfile(path):
            where = device if name == OPTIMIZER_NAME else "cpu"
            target.load_state_dict(torch.load(path, map_location=where, weights_only=True))
    path = os.path.join(folder, STATE_NAME)
    return TrainerState.load_from_json(path) if os.path.isfile(path) else None


def load_model(model: nn.Module, folder: str) -> None:
    """Put the weights of a checkpoint (a whole model, or adapters) into ``model``.

    Raises:
        CheckpointNotFound: the folder has no weights that fit the model.
    """
    if hasattr(model, "peft_config") and hasattr(model, "load_adapter"):
        from enfold.peft.config import CONFIG_NAME

        adapters: list[str] = list(model.peft_config)  # type: ignore[arg-type]
        names = [
            name
            for name in adapters
            if os.path.isfile(os.path.join(folder, "" if name == "default" else name, CONFIG_NAME))
        ]
        if not names:
            raise CheckpointNotFound(f"{folder} has no adapter for {', '.join(adapters)}")
        plain = callable(model.active_adapters)  # a model that carries adapters itself, or one around it
        active: list[str] = list(model.active_adapters() if plain else model.active_adapters)  # type: ignore[arg-type, operator]
        frozen = not _trains(model)
        for name in names:
            place = {"subfolder": None if name == "default" else name, **({"hotswap": True} if plain else {})}
            model.load_adapter(folder, name, is_trainable=True, **place)  # type: ignore[operator]
        model.set_adapter(active, inference_mode=frozen)  # type: ignore[operator]
        return
    if sharding.read_shards(model, folder):
        return
    weights = read_state_dict(*find_weights(folder))
    if is_cut(model):
        own = model.state_dict()
        weights = {name: cut_like(value, own[name]) if name in own else value for name, value in weights.items()}
    result = model.load_state_dict(weights, strict=False)
    missing = [name for name in result.missing_keys if name not in _tied(model)]
    if missing or result.unexpected_keys:
        logger.warning(
            "%s: not in the file: %s; not in the model: %s", folder, missing or "-", list(result.unexpected_keys) or "-"
        )
    if hasattr(model, "tie_weights"):
        model.tie_weights()  # type: ignore[operator]


def _trains(model: nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in model.parameters())


def _tied(model: nn.Module) -> set[str]:
    """Names that share another name's tensor, which files hold once."""
    groups: dict[int, list[str]] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        groups.setdefault(id(tensor), []).append(name)
    return {name for names in groups.values() if len(names) > 1 for name in names}


def _rng_states() -> dict[str, Any]:
    kind, keys, *rest = np.random.get_state()
    states: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": (kind, np.asarray(keys).tolist(), *rest),  # plain numbers, so that nothing needs unpickling
        "cpu": torch.random.get_rng_state(),
    }
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.random.get_rng_state_all()
    return states


def restore_rng(folder: str, world_size: int = 1, process_index: int = 0) -> None:
    """Put every source of randomness back to where a checkpoint was written."""
    path = os.path.join(folder, f"rng_state_{process_index}.pth" if world_size > 1 else "rng_state.pth")
    if not os.path.isfile(path):
        logger.warning("%s has no random states: dropout will differ from the first run", folder)
        return
    # Checkpoints of the ecosystem keep numpy's state as an array: these four names are all that it takes.
    import numpy.core.multiarray as _  # noqa: F401  (registers the old address)

    allowed: list[Any] = [np._core.multiarray._reconstruct, np.ndarray, np.dtype, type(np.dtype(np.uint32))]
    with torch.serialization.safe_globals(allowed):
        states = torch.load(path, map_location="cpu", weights_only=True)
    version, internal, gauss = states["python"]
    random.setstate((version, tuple(internal), gauss))
    np.random.set_state(tuple(states["numpy"]))
    torch.random.set_rng_state(states["cpu"])
    if torch.cuda.is_available() and "cuda" in states:
        cuda = states["cuda"]
        if isinstance(cuda, list):
            torch.cuda.random.set_rng_state_all(cuda)
        else:
            torch.cuda.random.set_rng_state(cuda)
