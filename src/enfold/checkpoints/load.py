"""A checkpoint into a module: tensors are assigned, not copied, wherever their type already fits."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from enfold.checkpoints.errors import CheckpointError
from enfold.checkpoints.files import find_weights
from enfold.checkpoints.read import open_tensors

__all__ = ["LoadReport", "load_into"]

# Endings that very old checkpoints use, tried when a name does not fit as it is.
OLD_ENDINGS = (
    (".gamma", ".weight"),
    (".beta", ".bias"),
    (".weight_g", ".parametrizations.weight.original0"),
    (".weight_v", ".parametrizations.weight.original1"),
)

Source = str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | Mapping[str, Tensor]


@dataclass
class LoadReport:
    """What a load did not find, did not need, and could not fit.

    Attributes:
        missing: names of the module that no file holds.
        unexpected: names of the files that the module does not have.
        mismatched: name, shape in the file, shape in the module.
        loaded: names of the module that were filled.
        dtype: type of the first floating-point tensor in the files, before any conversion.
    """

    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    mismatched: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = field(default_factory=list)
    loaded: set[str] = field(default_factory=set)
    dtype: torch.dtype | None = None


def load_into(
    module: nn.Module,
    source: Source,
    *,
    dtype: torch.dtype | str | None = None,
    device: torch.device | str | Callable[[str], torch.device | str] | None = None,
    prefix: str = "",
    key_mapping: Mapping[str, str] | None = None,
    ignore_unexpected: Iterable[str] = (),
    ignore_mismatched_sizes: bool = False,
    strict: bool = False,
    divert: Callable[[str, Tensor], bool] | None = None,
) -> LoadReport:
    """Fill a module's parameters and persistent buffers from files.

    A module on the meta device costs no memory before: its tensors are replaced by those of the file, which stay
    memory-mapped until they are used. A name fits as it is, with ``prefix.`` before it, or without the ``prefix.`` it
    begins with: a base model reads the checkpoint of a headed one, and the other way round.

    Args:
        module: what to fill, in place.
        source: a folder or repository, a file, several files, or name → tensor.
        dtype: floating-point tensors become this type; None or ``"auto"`` keeps the type of the file.
        device: where tensors go, or a function from a name to that; None leaves them on the CPU.
        prefix: the name under which a headed model keeps its base model.
        key_mapping: regular expression → replacement, applied to the names of the files.
        ignore_unexpected: regular expressions of names that may be in the files and are not needed.
        ignore_mismatched_sizes: report tensors of another shape instead of raising.
        strict: raise when a name is missing or not expected.
        divert: called with each name of the module and its tensor, of the final type; when it returns True it has put
            the tensor somewhere else (on disk), and the module's own goes to the meta device.

    Returns:
        A ``LoadReport``.

    Raises:
        CheckpointError: for shapes that do not fit, or with ``strict`` for names that do not.

    Example:
        >>> from torch import nn
        >>> with torch.device("meta"):
        ...     layer = nn.Linear(2, 2)
        >>> report = load_into(layer, {"weight": torch.eye(2), "bias": torch.zeros(2)})
        >>> layer(torch.ones(1, 2)).tolist(), report.missing
        ([[1.0, 1.0]], [])
    """
    wanted = getattr(torch, dtype) if isinstance(dtype, str) and dtype != "auto" else dtype
    homes = _homes(module)
    report = LoadReport()
    skip = [re.compile(pattern) for pattern in ignore_unexpected]
    for names, get in _open(source):
        for name in names:
            fitted = _fit(name, homes, prefix, key_mapping)
            if fitted is None:
                if not any(pattern.search(name) for pattern in skip):
                    report.unexpected.append(name)
                continue
            tensor = get(name)
            if report.dtype is None and tensor.is_floating_point():
                report.dtype = tensor.dtype
            owner, leaf, old = homes[fitted]
            if tensor.shape != old.shape:
                report.mismatched.append((fitted, tuple(tensor.shape), tuple(old.shape)))
                continue
            target = device(fitted) if callable(device) else device
            if isinstance(wanted, torch.dtype) and tensor.is_floating_point():
                tensor = tensor.to(wanted)
            if divert is not None and divert(fitted, tensor):
                target = "meta"
            _assign(owner, leaf, old, tensor, target)
            report.loaded.add(fitted)
    report.missing = [name for name in homes if name not in report.loaded]
    if report.mismatched and not ignore_mismatched_sizes:
        lines = [f"  {name}: {found} in the file, {own} in the module" for name, found, own in report.mismatched]
        raise CheckpointError(
            "these shapes do not fit:\n"
            + "\n".join(lines)
            + "\nignore_mismatched_sizes=True would initialise them anew"
        )
    if strict and (report.missing or report.unexpected):
        raise CheckpointError(f"missing: {report.missing or 'none'}; not expected: {report.unexpected or 'none'}")
    return report


def _homes(module: nn.Module) -> dict[str, tuple[nn.Module, str, Tensor]]:
    """Name → the submodule that holds the tensor, the name there, the tensor; a shared tensor under all its names."""
    homes: dict[str, tuple[nn.Module, str, Tensor]] = {}
    for path, owner in module.named_modules(remove_duplicate=False):
        dot = f"{path}." if path else ""
        for leaf, parameter in owner._parameters.items():
            if parameter is not None:
                homes[dot + leaf] = (owner, leaf, parameter)
        for leaf, buffer in owner._buffers.items():
            if buffer is not None and leaf not in owner._non_persistent_buffers_set:
                homes[dot + leaf] = (owner, leaf, buffer)
    return homes


def _fit(name: str, homes: Mapping[str, Any], prefix: str, mapping: Mapping[str, str] | None) -> str | None:
    for pattern, replacement in (mapping or {}).items():
        name = re.sub(pattern, replacement, name)
    spellings = [name]
    spellings += [name[: -len(old)] + new for old, new in OLD_ENDINGS if name.endswith(old)]
    for spelling in spellings:
        if spelling in homes:
            return spelling
        if prefix:
            if f"{prefix}.{spelling}" in homes:
                return f"{prefix}.{spelling}"
            bare = spelling.removeprefix(f"{prefix}.")
            if bare in homes:
                return bare
    return None


def _assign(owner: nn.Module, leaf: str, old: Tensor, tensor: Tensor, device: Any) -> None:
    if device is not None:
        tensor = tensor.to(device)
    if leaf in owner._buffers:
        owner._buffers[leaf] = tensor
    else:
        owner._parameters[leaf] = nn.Parameter(tensor, requires_grad=old.requires_grad)


def _open(source: Source) -> Iterable[tuple[list[str], Callable[[str], Tensor]]]:
    if isinstance(source, Mapping):
        yield list(source), source.__getitem__
        return
    if isinstance(source, str | os.PathLike):
        files: list[str | os.PathLike[str]] = [source] if Path(source).is_file() else [*find_weights(source)]
    else:
        files = list(source)
    for file in files:
        with open_tensors(file) as opened:
            yield opened
