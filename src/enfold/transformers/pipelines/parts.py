"""What a pipeline needs beside its model: tokenizer, feature extractor, image processor, processor."""

from __future__ import annotations

import importlib
import os
from typing import Any

from enfold.transformers.sharing import split_fetch_arguments

__all__ = ["PARTS", "load_parts"]

# part → what reads it; a processor comes first, for it holds others
PARTS = {
    "processor": "AutoProcessor",
    "tokenizer": "AutoTokenizer",
    "image_processor": "AutoImageProcessor",
    "feature_extractor": "AutoFeatureExtractor",
}


def load_parts(kind: Any, asked: dict[str, Any], source: Any, model: Any, where: dict[str, Any]) -> dict[str, Any]:
    """Return the parts of a pipeline by name.

    Args:
        kind: the pipeline's class; its ``_load_<part>`` is True for a part that it needs, False for one that it has no
            use for, None for one that it takes where the repository has it.
        asked: part → the part itself, where to find it, ``(where, arguments)``, or None.
        source: the model's folder or repository; None for a loaded model.
        model: the model.
        where: arguments that say where files are found.

    Raises:
        ValueError: when a loaded model does not say where its parts are.
        OSError: when a part that is needed is missing.
    """
    found: dict[str, Any] = {}
    for part, reader in PARTS.items():
        given = asked.get(part)
        need = getattr(kind, f"_load_{part}", None)
        if given is not None and not isinstance(given, str | os.PathLike | tuple):
            found[part] = given
        elif given is not None:
            place, extra = given if isinstance(given, tuple) else (given, {})
            found[part] = _read(reader, place, {**where, **extra})
        else:
            whole = found.get("processor")
            held = None if need is False else getattr(whole, part, None)
            found[part] = held if held is not None else _own(reader, need, source, model, where)
    return found


def _own(reader: str, need: bool | None, source: Any, model: Any, where: dict[str, Any]) -> Any:
    """Return the part that belongs to the model."""
    if need is False:
        return None
    if source is None:
        source = getattr(getattr(model, "config", None), "name_or_path", None) or getattr(model, "name_or_path", None)
        if not source:
            if not need:
                return None
            raise ValueError(f"a loaded model does not say where its {reader.removeprefix('Auto').lower()} is: pass it")
    try:
        return _read(reader, source, where)
    except (OSError, ValueError):
        base = _base_of_adapter(source, where) if reader == "AutoTokenizer" else None
        if base is not None:
            return _read(reader, base, {})
        if need:
            raise
        return None


def _read(reader: str, place: Any, arguments: dict[str, Any]) -> Any:
    return getattr(importlib.import_module("enfold.transformers"), reader).from_pretrained(place, **arguments)


def _base_of_adapter(source: Any, where: dict[str, Any]) -> str | None:
    """Return the model that an adapter belongs to, or None for what is no adapter."""
    from enfold.transformers.tokenization.files import Source

    return (Source(source, split_fetch_arguments(where)[0]).json("adapter_config.json") or {}).get(
        "base_model_name_or_path"
    )
