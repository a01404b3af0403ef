"""Small helpers that code around the ecosystem borrows."""

from __future__ import annotations

import functools
import os
import types
from collections.abc import Callable
from typing import Any

from enfold.transformers.utils.names import ADAPTER_CONFIG_NAME

__all__ = ["copy_func", "find_adapter_config_file", "make_markdown_table"]


def copy_func(function: Any) -> Callable[..., Any]:
    """Return a function of its own with the same code, so that its docstring can be another."""
    copy = types.FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    functools.update_wrapper(copy, function)
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


def find_adapter_config_file(model_id: str | os.PathLike[str], **where: Any) -> str | None:
    """Return the path of a model's ``adapter_config.json``, or None where the model is no adapter.

    Args:
        model_id: a folder or a repository's id.
        where: where files are found: ``cache_dir``, ``revision``, ``token``, ``local_files_only``, ``subfolder``, …
    """
    from enfold.hub.fetch import find_file
    from enfold.transformers.sharing import split_fetch_arguments

    if model_id is None:
        return None
    named, _ = split_fetch_arguments({key: value for key, value in where.items() if value is not None})
    try:
        return str(find_file(os.fspath(model_id), ADAPTER_CONFIG_NAME, **named))
    except OSError:
        return None


def make_markdown_table(lines: list[dict[str, Any]]) -> str:
    """Return rows of the same keys as a Markdown table, numbers to four places; nothing for no rows.

    Example:
        >>> print(make_markdown_table([{"step": 1, "loss": 0.25}]))
        | step | loss |
        |:----:|:----:|
        | 1    | 0.25 |
    """
    if not lines:
        return ""

    def shown(value: Any) -> str:
        return str(round(value, 4)) if isinstance(value, float) else str(value)

    widths = {key: max(len(str(key)), *(len(shown(line[key])) for line in lines)) for key in lines[0]}
    rows = [[str(key) for key in widths], *([shown(line[key]) for key in widths] for line in lines)]
    texts = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths.values(), strict=True)) + " |"
        for row in rows
    ]
    rule = "|" + "|".join(f":{'-' * width}:" for width in widths.values()) + "|"
    return "\n".join([texts[0], rule, *texts[1:]])
