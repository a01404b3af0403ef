"""Weights and optimizer states that are cut between processes, in a folder: whole files, or each process its shards.

Every process calls each of these functions. ``FULL_STATE_DICT`` gathers on the main process, which alone reads and
writes; ``SHARDED_STATE_DICT`` is torch's distributed checkpoint, which another number of processes can read.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from enfold.accelerate.storing import load
from enfold.errors import EnfoldError

__all__ = [
    "SHARDED",
    "by_name",
    "numbered",
    "read_file",
    "read_optimizer",
    "read_weights",
    "set_optimizer",
    "write_optimizer",
    "write_weights",
]

SHARDED = "SHARDED_STATE_DICT"


def numbered(name: str, number: int) -> str:
    """Return ``name`` for the first, and with a number before its extension for the others.

    Example:
        >>> numbered("optimizer.bin", 0), numbered("optimizer.bin", 1)
        ('optimizer.bin', 'optimizer_1.bin')
    """
    stem, extension = os.path.splitext(name)
    return name if number == 0 else f"{stem}_{number}{extension}"


def read_file(path: Path) -> Any:
    """Return what ``torch.save`` wrote, tensors and plain values only.

    Raises:
        EnfoldError: the file is missing.
    """
    if not path.is_file():
        raise EnfoldError(f"{path} is missing: the checkpoint was written by a training with other parts")
    return load(path, map_location="cpu")


def _whole(**options: Any) -> Any:
    from torch.distributed.checkpoint.state_dict import StateDictOptions

    return StateDictOptions(full_state_dict=True, **options)


def write_weights(
    model: nn.Module, folder: Path, kind: str, main: bool, number: int = 0, whole: dict[str, Tensor] | None = None
) -> None:
    """Write the weights of a cut model.

    Args:
        model: the model.
        folder: where to.
        kind: ``SHARDED_STATE_DICT`` or ``FULL_STATE_DICT``.
        main: whether this is the main process.
        number: which of several models.
        whole: its whole weights on the main process, where they were gathered before.
    """
    from torch.distributed import checkpoint as dcp
    from torch.distributed.checkpoint.state_dict import get_model_state_dict

    if kind == SHARDED:
        dcp.save({"model": get_model_state_dict(model)}, checkpoint_id=folder / f"pytorch_model_fsdp_{number}")
        return
    if whole is None:
        whole = get_model_state_dict(model, options=_whole(cpu_offload=True))  # type: ignore[assignment]
    if main:
        torch.save(whole, folder / numbered("pytorch_model_fsdp.bin", number))


def read_weights(model: nn.Module, folder: Path, kind: str, number: int = 0) -> None:
    """Put the weights that :func:`write_weights` wrote into a model, cut or whole; arguments as there."""
    from torch.distributed import checkpoint as dcp
    from torch.distributed.checkpoint.state_dict import get_model_state_dict, set_model_state_dict

    if kind == SHARDED:
        state = {"model": get_model_state_dict(model)}
        dcp.load(state, checkpoint_id=folder / f"pytorch_model_fsdp_{number}")
        set_model_state_dict(model, state["model"])
        return
    set_model_state_dict(model, read_file(folder / numbered("pytorch_model_fsdp.bin", number)), options=_whole())


def write_optimizer(
    model: nn.Module, optimizer: torch.optim.Optimizer, folder: Path, kind: str, main: bool, number: int = 0
) -> None:
    """Write the state of a cut model's optimizer; arguments as in :func:`write_weights`."""
    from torch.distributed import checkpoint as dcp
    from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict

    if kind == SHARDED:
        state = get_optimizer_state_dict(model, optimizer)
        dcp.save({"optimizer": state}, checkpoint_id=folder / f"optimizer_{number}")
        return
    state = get_optimizer_state_dict(model, optimizer, options=_whole(cpu_offload=True))
    if main:
        torch.save(state, folder / numbered("optimizer.bin", number))


def read_optimizer(
    model: nn.Module, optimizer: torch.optim.Optimizer, folder: Path, kind: str, number: int = 0
) -> None:
    """Put the state that :func:`write_optimizer` wrote into the optimizer of a model, cut or whole."""
    from torch.distributed import checkpoint as dcp
    from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict

    if kind == SHARDED:
        _let_step(optimizer)
        state = {"optimizer": get_optimizer_state_dict(model, optimizer)}
        dcp.load(state, checkpoint_id=folder / f"optimizer_{number}")
        set_optimizer_state_dict(model, optimizer, state["optimizer"])
        return
    set_optimizer(model, optimizer, read_file(folder / numbered("optimizer.bin", number)))


def set_optimizer(model: nn.Module, optimizer: torch.optim.Optimizer, whole: dict[str, Any]) -> None:
    """Put a whole state, by names of parameters, into the optimizer of a model, cut or whole."""
    from torch.distributed.checkpoint.state_dict import set_optimizer_state_dict

    _let_step(optimizer)
    set_optimizer_state_dict(model, optimizer, whole, options=_whole())


def _let_step(optimizer: torch.optim.Optimizer) -> None:
    """Let a new optimizer train, where it could evaluate too: torch makes its state by a step that changes nothing."""
    train = getattr(optimizer, "train", None)
    if callable(train) and not optimizer.state:
        train()


def by_name(model: nn.Module, optimizer: torch.optim.Optimizer, path: Path) -> dict[str, Any]:
    """Return the state that an optimizer wrote by itself, by numbers of parameters, with their names instead."""
    known = {id(parameter): name for name, parameter in model.named_parameters()}
    names = [known[id(parameter)] for group in optimizer.param_groups for parameter in group["params"]]
    held = read_file(path)
    groups = [{**group, "params": [names[number] for number in group["params"]]} for group in held["param_groups"]]
    return {"state": {names[number]: state for number, state in held["state"].items()}, "param_groups": groups}
