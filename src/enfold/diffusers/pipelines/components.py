"""The components of pipelines: which class each is, and how one is loaded from its folder."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from enfold.errors import EnfoldError, nearest
from enfold.hub.fetch import find_file

__all__ = ["class_of", "dtype_of", "load"]

# Library that a `model_index.json` names → the package here. The last ones are folders of the ecosystem's pipelines.
LIBRARIES = {
    "diffusers": "enfold.diffusers",
    "transformers": "enfold.transformers",
    "stable_diffusion": "enfold.diffusers.pipelines.safety_checker",
    "stable_diffusion_safe": "enfold.diffusers.pipelines.safety_checker",
    "latent_consistency_models": "enfold.diffusers.pipelines.safety_checker",
}
# Ours that others know by another name: a tokenizer is always the fast one.
RENAMED = {"CLIPTokenizerFast": "CLIPTokenizer", "T5TokenizerFast": "T5TokenizerFast"}


def class_of(part: Any) -> tuple[str | None, str | None]:
    """Return the library and the class that ``model_index.json`` names for a component; two Nones for none."""
    if part is None:
        return None, None
    if isinstance(part, tuple | list) and len(part) == 2 and all(one is None or isinstance(one, str) for one in part):
        return part[0], part[1]
    kind = type(part)
    if isinstance(part, nn.Module) and hasattr(part, "_orig_mod"):  # compiled
        kind = type(part._orig_mod)
    module = kind.__module__
    # The most precise package first; of equal ones, the first.
    for library, package in sorted(LIBRARIES.items(), key=lambda row: -len(row[1])):
        if module == package or module.startswith(f"{package}."):
            return library, RENAMED.get(kind.__name__, kind.__name__)
    return module.split(".")[0], kind.__name__


def dtype_of(module: nn.Module) -> torch.dtype:
    """Return the type of a module's floating-point weights."""
    return next((weight.dtype for weight in module.parameters() if weight.is_floating_point()), torch.float32)


def load(
    source: str, name: str, entry: Any, dtype: torch.dtype | None, given: dict[str, Any], where: dict[str, Any]
) -> Any:
    """Load one component of a pipeline's folder.

    Args:
        source: the folder, or a repository's id.
        name: of the component and its folder.
        entry: the library and the class that ``model_index.json`` names.
        dtype: type of a model's weights.
        given: ``variant`` and ``use_safetensors``.
        where: how files are found.

    Raises:
        EnfoldError: the class is unknown, or the folder is missing; it names the component.
    """
    library, class_name = entry
    if class_name is None:
        return None
    if library not in LIBRARIES:
        raise EnfoldError(
            f"the component {name!r} of {source!r} is a {library}.{class_name}, code that is not known here; pass "
            f"{name}=… yourself"
        )
    package = importlib.import_module(LIBRARIES[library])
    known = dir(package)
    if class_name not in known:
        raise EnfoldError(
            f"the component {name!r} of {source!r} is a {class_name}, which is not known here"
            f"{nearest(class_name, known)}"
        )
    kind = getattr(package, class_name)
    folder = os.path.join(source, name)
    if os.path.isdir(source) and not os.path.isdir(folder):
        raise EnfoldError(
            f"{source!r} has no folder {name!r}, though its model_index.json names a {class_name}; pass {name}=… "
            f"yourself, or {name}=None to do without"
        )
    arguments: dict[str, Any] = dict(where)
    if isinstance(kind, type) and issubclass(kind, nn.Module):
        arguments |= {"dtype": dtype or torch.float32, **_present(source, name, given, where)}
    if os.path.isdir(source):
        return kind.from_pretrained(folder, **arguments)
    return kind.from_pretrained(source, subfolder=name, **arguments)


def _present(source: str, name: str, given: Mapping[str, Any], where: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments about files, without a variant that this component does not come in."""
    found = {key: value for key, value in given.items() if value is not None}
    variant = found.get("variant")
    if variant:
        place = {**where, "subfolder": name}
        stems = ("diffusion_pytorch_model", "model", "pytorch_model")
        files = [f"{stem}.{variant}.{end}" for stem in stems for end in ("safetensors", "bin")]
        files += [f"{stem}.safetensors.index.{variant}.json" for stem in stems]
        if not any(find_file(source, file, required=False, **place) for file in files):
            del found["variant"]
    return found
