"""Everything a training needs to go on, in a folder: models, optimizers, schedules, loaders, random states."""

from __future__ import annotations

import os
import random
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy
import torch
from torch import nn

from enfold.accelerate.data import SeedableRandomSampler, get_sampler
from enfold.accelerate.options import folder
from enfold.accelerate.parallel import is_sharded
from enfold.accelerate.sharded_files import (
    numbered,
    read_file,
    read_optimizer,
    read_weights,
    write_optimizer,
    write_weights,
)
from enfold.checkpoints import read_state_dict, save
from enfold.errors import EnfoldError
from enfold.log import get_logger

if TYPE_CHECKING:
    from enfold.accelerate.project import ProjectParts

__all__ = ["load_state", "save_state"]

logger = get_logger(__name__)


def checkpoint_folder(accelerator: ProjectParts, given: str | os.PathLike[str] | None) -> Path:
    """Return where the next checkpoint goes, after removing the oldest beyond the limit."""
    project = accelerator.project_configuration
    if not project.automatic_checkpoint_naming:
        if given is None:
            raise EnfoldError("save_state needs a folder, or a ProjectConfiguration with automatic_checkpoint_naming")
        return Path(given).expanduser()
    if project.project_dir is None:
        raise EnfoldError("automatic_checkpoint_naming needs a project_dir")
    parent = Path(project.project_dir) / "checkpoints"
    if accelerator.is_main_process and project.total_limit is not None:
        known = existing_checkpoints(parent)
        for old in known[: max(0, len(known) + 1 - project.total_limit)]:
            shutil.rmtree(old)
    chosen = parent / f"checkpoint_{project.iteration}"
    accelerator.wait_for_everyone()
    if chosen.exists():
        raise EnfoldError(f"{chosen} is there already: set ProjectConfiguration(iteration=…) to the next number")
    return chosen


def existing_checkpoints(parent: Path) -> list[Path]:
    """Return the checkpoints that were named automatically, oldest first."""
    found = [path for path in parent.glob("checkpoint_*") if re.fullmatch(r"checkpoint_\d+", path.name)]
    return sorted(found, key=lambda path: int(path.name.rpartition("_")[2]))


def save_state(accelerator: ProjectParts, given: str | os.PathLike[str] | None, safe_serialization: bool = True) -> str:
    """Write a training's state; see :meth:`Accelerator.save_state`.

    Everything goes into a folder of another name first: a run that is killed leaves the checkpoint before.
    """
    target = checkpoint_folder(accelerator, given)
    part = target.with_name(f".{target.name}.part")
    if accelerator.is_main_process:
        shutil.rmtree(part, ignore_errors=True)
        folder(part)
    accelerator.wait_for_everyone()
    models = accelerator._models
    plugin = accelerator.fsdp_plugin
    in_parts = plugin is not None and plugin.state_dict_type == "SHARDED_STATE_DICT"
    weights = [{} if in_parts and is_sharded(model) else accelerator.get_state_dict(model) for model in models]
    for hook in accelerator._save_hooks.values():
        hook(models, weights, str(part))
    for number, (model, state) in enumerate(zip(models, weights, strict=False)):
        _save_model(accelerator, model, state, part, number, safe_serialization)
    main = accelerator.is_main_process
    for number, optimizer in enumerate(accelerator._optimizers):
        _save_optimizer(accelerator, optimizer.optimizer, part, number)
    if main:
        for number, scheduler in enumerate(accelerator._schedulers):
            torch.save(scheduler.state_dict(), part / numbered("scheduler.bin", number))
        for number, loader in enumerate(accelerator._dataloaders):
            sampler = get_sampler(loader)
            if isinstance(sampler, SeedableRandomSampler):
                kept = {"epoch": sampler.epoch, "initial_seed": sampler.initial_seed}
                torch.save(kept, part / numbered("sampler.bin", number))
            if accelerator.dataloader_config.use_stateful_dataloader:
                torch.save(loader.state_dict(), part / numbered("dl_state_dict.bin", number))
        if accelerator.scaler is not None:
            torch.save(accelerator.scaler.state_dict(), part / "scaler.pt")
        for number, item in enumerate(accelerator._custom_objects):
            torch.save(item.state_dict(), part / f"custom_checkpoint_{number}.pkl")
    torch.save(_random_states(accelerator.step), part / f"random_states_{accelerator.process_index}.pkl")
    accelerator.wait_for_everyone()
    if main:
        _replace(part, target)
    accelerator.wait_for_everyone()
    if accelerator.project_configuration.automatic_checkpoint_naming:
        accelerator.project_configuration.iteration += 1
    return str(target)


def _replace(part: Path, target: Path) -> None:
    """Give the new folder its name; files of an existing one that the new does not have stay."""
    if not target.exists():
        part.rename(target)
        return
    for item in part.iterdir():
        place = target / item.name
        if place.is_dir():
            shutil.rmtree(place)
        os.replace(item, place)
    part.rmdir()


def _save_model(
    accelerator: ProjectParts, model: nn.Module, state: dict[str, Any], part: Path, number: int, safe: bool
) -> None:
    plugin = accelerator.fsdp_plugin
    if is_sharded(model) and plugin is not None:
        write_weights(model, part, str(plugin.state_dict_type), accelerator.is_main_process, number, state)
        return
    if accelerator.is_main_process:
        name = numbered("model.safetensors" if safe else "pytorch_model.bin", number)
        save(state, part, name=name, max_shard_size="100TB", safe_serialization=safe)


def _save_optimizer(accelerator: ProjectParts, optimizer: torch.optim.Optimizer, part: Path, number: int) -> None:
    model, plugin = accelerator._model_of(optimizer), accelerator.fsdp_plugin
    if model is not None and is_sharded(model) and plugin is not None:
        write_optimizer(model, optimizer, part, str(plugin.state_dict_type), accelerator.is_main_process, number)
        return
    if accelerator.is_main_process:
        torch.save(optimizer.state_dict(), part / numbered("optimizer.bin", number))


def _random_states(step: int) -> dict[str, Any]:
    return {
        "step": step,
        "random_state": random.getstate(),
        "numpy_random_seed": numpy.random.get_state(),
        "torch_manual_seed": torch.get_rng_state(),
        "torch_cuda_manual_seed": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def load_state(accelerator: ProjectParts, given: str | os.PathLike[str] | None, strict: bool = True) -> None:
    """Read a training's state back; see :meth:`Accelerator.load_state`."""
    source = _found(accelerator, given)
    for hook in accelerator._load_hooks.values():
        hook(accelerator._models, str(source))
    for number, model in enumerate(accelerator._models):
        _load_model(accelerator, model, source, number, strict)
    for number, optimizer in enumerate(accelerator._optimizers):
        _load_optimizer(accelerator, optimizer.optimizer, source, number)
    for number, scheduler in enumerate(accelerator._schedulers):
        scheduler.load_state_dict(read_file(source / numbered("scheduler.bin", number)))
    for number, loader in enumerate(accelerator._dataloaders):
        sampler, path = get_sampler(loader), source / numbered("sampler.bin", number)
        if isinstance(sampler, SeedableRandomSampler) and path.is_file():
            kept = read_file(path)
            if isinstance(kept, dict):
                sampler.epoch, sampler.initial_seed = kept["epoch"], kept["initial_seed"]
        if accelerator.dataloader_config.use_stateful_dataloader:
            loader.load_state_dict(read_file(source / numbered("dl_state_dict.bin", number)))
    if accelerator.scaler is not None:
        accelerator.scaler.load_state_dict(read_file(source / "scaler.pt"))
    for number, item in enumerate(accelerator._custom_objects):
        item.load_state_dict(read_file(source / f"custom_checkpoint_{number}.pkl"))
    states = source / f"random_states_{accelerator.process_index}.pkl"
    if states.is_file():
        accelerator.step = _restore_random(read_file(states))
    else:
        logger.warning("%s holds no random state of process %d", source, accelerator.process_index)
    accelerator.wait_for_everyone()


def _found(accelerator: ProjectParts, given: str | os.PathLike[str] | None) -> Path:
    project = accelerator.project_configuration
    if given is not None:
        source = Path(given).expanduser()
        if not source.is_dir():
            raise EnfoldError(f"{source} is no folder that save_state wrote")
        return source
    if not project.automatic_checkpoint_naming or project.project_dir is None:
        raise EnfoldError("load_state needs a folder, or a ProjectConfiguration with automatic_checkpoint_naming")
    known = existing_checkpoints(Path(project.project_dir) / "checkpoints")
    if not known:
        raise EnfoldError(f"{project.project_dir} has no checkpoints yet")
    return known[-1]


def _restore_random(states: dict[str, Any]) -> int:
    random.setstate(states["random_state"])
    numpy.random.set_state(states["numpy_random_seed"])
    torch.set_rng_state(states["torch_manual_seed"])
    if torch.cuda.is_available() and states.get("torch_cuda_manual_seed"):
        torch.cuda.set_rng_state_all(states["torch_cuda_manual_seed"])
    return int(states.get("step", 0))


def _load_model(accelerator: ProjectParts, model: nn.Module, source: Path, number: int, strict: bool) -> None:
    plugin = accelerator.fsdp_plugin
    if is_sharded(model) and plugin is not None:
        read_weights(model, source, str(plugin.state_dict_type), number)
        return
    inner = accelerator.unwrap_model(model, keep_torch_compile=False)
    for name in ("model.safetensors", "pytorch_model.bin"):
        path = source / numbered(name, number)
        if path.is_file():
            state = read_state_dict(path)
            break
    else:
        raise EnfoldError(f"{source} holds no weights of model {number}")
    own = inner.state_dict()
    if not any(name in own for name in state):  # written from inside a wrapper for several processes
        state = {name.removeprefix("module."): value for name, value in state.items()}
    result = inner.load_state_dict(state, strict=False)
    shared = {own[name].data_ptr() for name in state if name in own}
    missing = [name for name in result.missing_keys if own[name].data_ptr() not in shared]
    if strict and (missing or result.unexpected_keys):
        unexpected = result.unexpected_keys or "none"
        raise EnfoldError(f"model {number}: missing {missing or 'none'}; not expected {unexpected}")


def _load_optimizer(accelerator: ProjectParts, optimizer: torch.optim.Optimizer, source: Path, number: int) -> None:
    model, plugin = accelerator._model_of(optimizer), accelerator.fsdp_plugin
    if model is not None and is_sharded(model) and plugin is not None:
        read_optimizer(model, optimizer, source, str(plugin.state_dict_type), number)
        return
    optimizer.load_state_dict(read_file(source / numbered("optimizer.bin", number)))
