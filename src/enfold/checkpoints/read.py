"""Tensors from files: memory-mapped, and nothing that can run code is ever unpickled."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from enfold.checkpoints.errors import CheckpointError

__all__ = ["open_tensors", "read_state_dict", "tensor_names"]


@contextmanager
def open_tensors(path: str | os.PathLike[str]) -> Iterator[tuple[list[str], Callable[[str], Tensor]]]:
    """Open a file of tensors and yield their names and a function that gets one of them.

    A safetensors file is memory-mapped: a tensor's bytes are read when they are used, and writing to one copies its
    page. Other files are read by ``torch.load(weights_only=True)``.

    Raises:
        CheckpointError: when the file is damaged or holds something else than tensors.
    """
    path = os.fspath(path)
    if path.endswith(".safetensors"):
        try:
            handle = safe_open(path, framework="pt")
        except SafetensorError as error:
            raise CheckpointError(f"{path} is no safetensors file: {error}") from error
        with handle as file:
            yield list(file.keys()), file.get_tensor
        return
    state = _load(path)
    while isinstance(state, dict) and set(state) & {"state_dict", "model"} and not _tensors_only(state):
        state = state.get("state_dict", state.get("model"))  # a training checkpoint around the weights
    if not isinstance(state, dict):
        raise CheckpointError(f"{path} holds a {type(state).__name__}, not a dictionary of tensors")
    tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    yield list(tensors), tensors.__getitem__


def _tensors_only(state: dict[str, object]) -> bool:
    return all(isinstance(value, Tensor) for value in state.values())


def _load(path: str) -> object:
    try:
        try:
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError:  # files from before torch 1.6 are no zip archives and cannot be mapped
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # damaged bytes fail in any way
        raise CheckpointError(f"{path} cannot be read as weights alone: {_reason(str(error))}") from error


def _reason(said: str) -> str:
    """Return why torch did not read a file, without its advice to read it as code."""
    code = re.search(r"GLOBAL (\S+)", said)
    if code is not None:
        return (
            f"it holds {code[1]}, which is code, and code in a pickle is never run. Ask for a safetensors file, or "
            "convert this one where it is trusted"
        )
    reason = re.search(r"WeightsUnpickler error: (.+)", said)
    return reason[1].strip() if reason is not None else said


def tensor_names(path: str | os.PathLike[str]) -> list[str]:
    """Return the names of the tensors in a file."""
    with open_tensors(path) as (names, _):
        return names


def read_state_dict(*paths: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Return all tensors of the files, by name.

    Example:
        >>> import tempfile, torch, enfold.checkpoints as checkpoints
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = checkpoints.save({"a": torch.ones(2)}, folder)
        ...     checkpoints.read_state_dict(folder + "/model.safetensors")["a"].tolist()
        [1.0, 1.0]
    """
    state: dict[str, Tensor] = {}
    for path in paths:
        with open_tensors(path) as (names, get):
            state.update({name: get(name) for name in names})
    return state
