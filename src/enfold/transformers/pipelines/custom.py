"""Pipelines that a repository brings along: written beside the model, and run only when asked for."""

from __future__ import annotations

import importlib
import inspect
import os
import shutil
from typing import Any

from enfold.errors import EnfoldError, nearest
from enfold.log import get_logger
from enfold.transformers.remote import modules_of, remote_class

__all__ = ["CustomPipelineError", "brought_row", "save_code"]

logger = get_logger(__name__)


class CustomPipelineError(EnfoldError, ValueError):
    """What ``custom_pipelines`` in a repository's configuration says cannot be used."""


def brought_row(
    task: str, custom: dict[str, Any], source: Any, trust: bool | None, pipeline_class: Any, **where: Any
) -> dict[str, Any]:
    """Return the description of a task that a repository brings along, as the registry has them.

    Args:
        task: a key of ``custom``.
        custom: ``custom_pipelines`` of the repository's configuration.
        source: the folder or repository.
        trust: run its code.
        pipeline_class: a class to use instead, so that no code is run.
        where: what ``find_file`` takes.

    Raises:
        RemoteCodeError: ``trust`` is not True, or the code has no such class.
        CustomPipelineError: the description is malformed.
    """
    told = custom[task]
    if not isinstance(told, dict) or not isinstance(told.get("impl"), str):
        raise CustomPipelineError(
            f"{source}: custom_pipelines[{task!r}] is an object with impl='module.Class' and pt=['AutoModelFor…'], "
            f"not {told!r}"
        )
    names = told.get("pt") or ()
    library = importlib.import_module("enfold.transformers")
    for name in (names := [names] if isinstance(names, str) else list(names)):
        if not str(name).startswith("Auto") or not hasattr(library, name):
            known = [known for known in dir(library) if known.startswith("AutoModel")]
            raise CustomPipelineError(
                f"{source}: custom_pipelines[{task!r}] names the model class {name!r}{nearest(str(name), known)}; "
                "auto classes are expected"
            )
    kind = pipeline_class or remote_class(told["impl"], task, source, trust, table="custom_pipelines", **where)
    row = {"impl": kind, "pt": tuple(getattr(library, name) for name in names), "type": told.get("type") or "text"}
    if pipeline_class is None:
        kind._registered_impl = {task: row}
    return row


def save_code(pipe: Any, folder: str) -> None:
    """Write the code of a registered pipeline into a folder, and into the model's configuration what it is for.

    Args:
        pipe: the pipeline; nothing happens for one of ours.
        folder: where its model is about to be written.
    """
    kind = type(pipe)
    rows = {task: row for task, row in getattr(kind, "_registered_impl", {}).items() if row["impl"] is kind}
    if not rows:
        return
    stem = kind.__module__.rpartition(".")[2]
    pipe.model.config.custom_pipelines = {
        task: {
            "impl": f"{stem}.{kind.__name__}",
            "pt": [model.__name__ for model in row["pt"]],
            **{name: row[name] for name in ("default", "type") if row.get(name)},
        }
        for task, row in rows.items()
    }
    try:
        path = inspect.getsourcefile(kind)
    except (TypeError, OSError):
        path = None
    if path is None or stem == "__main__" or not os.path.isfile(path):
        logger.warning("%s is not written in a module: its code is not saved beside the model", kind.__name__)
        return
    os.makedirs(folder, exist_ok=True)
    for module, found in modules_of(os.path.dirname(path), os.path.basename(path).removesuffix(".py")).items():
        target = os.path.join(folder, *module.split(".")) + ".py"
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.abspath(found) != os.path.abspath(target):
            shutil.copyfile(found, f"{target}.tmp")
            os.replace(f"{target}.tmp", target)
