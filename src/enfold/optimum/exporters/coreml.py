"""Models as Core ML packages, through coremltools; conversion runs anywhere, the packages run on Apple's machines."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import torch

from enfold.errors import EnfoldError, nearest, required
from enfold.optimum.exporters.graph_parts import Part, parts
from enfold.optimum.exporters.tasks import auto_class, task_of

__all__ = ["CoreMLError", "convert", "export_from_model", "main_export"]

PACKAGE = "Model.mlpackage"
PRECISIONS = ("fp16", "fp32")
# Without a limit of its own a text may be this long.
LONGEST = 512


class CoreMLError(EnfoldError, ValueError):
    """The model cannot become a Core ML package."""


def main_export(
    model_name_or_path: str | os.PathLike[str],
    output: str | os.PathLike[str],
    task: str = "auto",
    *,
    trust_remote_code: bool = False,
    compute_precision: str = "fp16",
    max_batch_size: int = 1,
    max_sequence_length: int | None = None,
    **where: Any,
) -> Path:
    """Write the package of a repository's or folder's model, and return its path.

    Args:
        model_name_or_path: the repository or folder.
        output: a folder, in which ``Model.mlpackage`` is made or replaced.
        task: see ``enfold.optimum.exporters.parts``; by default what the model was made for.
        trust_remote_code: run code that the repository brings along.
        compute_precision, max_batch_size, max_sequence_length: see ``convert``.
        where: ``revision``, ``token``, ``cache_dir``, ``subfolder`` and the like.
    """
    from enfold.transformers.config import AutoConfig

    _coremltools()
    source = os.fspath(model_name_or_path)
    config = AutoConfig.from_pretrained(source, trust_remote_code=trust_remote_code, **where)
    task = task_of(config) if task == "auto" else task
    model = auto_class(task, config).from_pretrained(
        source, dtype=torch.float32, trust_remote_code=trust_remote_code, **where
    )
    return export_from_model(
        model, output, task, compute_precision=compute_precision, max_batch_size=max_batch_size,
        max_sequence_length=max_sequence_length,
    )  # fmt: skip


def export_from_model(model: Any, output: str | os.PathLike[str], task: str = "auto", **options: Any) -> Path:
    """Write the package and the configuration of a model that is loaded, and return the package's path.

    Args:
        model, task: see ``enfold.optimum.exporters.parts``; without a past.
        output: see ``main_export``.
        options: see ``convert``.
    """
    task = (task_of(model) if task == "auto" else task).removesuffix("-with-past")
    found = parts(model, task)
    if len(found) > 1:
        names = ", ".join(part.name for part in found)
        raise CoreMLError(f"{type(model).__name__} has several graphs ({names}); a package holds one")
    options.setdefault("max_sequence_length", getattr(model.config, "max_position_embeddings", None))
    package = convert(found[0], **options)
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    fresh, target = folder / f".new-{PACKAGE}", folder / PACKAGE
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        package.save(str(fresh))
        shutil.rmtree(target, ignore_errors=True)
        fresh.rename(target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    model.config.save_pretrained(folder)
    return target


def convert(
    part: Part,
    compute_precision: str = "fp16",
    max_batch_size: int = 1,
    max_sequence_length: int | None = None,
) -> Any:
    """Return the ``coremltools.models.MLModel``, an ML program for iOS 16, macOS 13 and later.

    Args:
        part: one graph, of texts or images.
        compute_precision: ``"fp16"``, which the Neural Engine needs, or ``"fp32"``.
        max_batch_size: with 1, the package takes one text or image; otherwise 1 to this many.
        max_sequence_length: texts have 1 to this many tokens; 512 by default.

    Raises:
        CoreMLError: for sounds, graphs with a past, or another precision.
        MissingExtra: without the package coremltools.
    """
    if compute_precision not in PRECISIONS:
        hint = nearest(compute_precision, PRECISIONS)
        raise CoreMLError(f"compute_precision={compute_precision!r}{hint}; there are {', '.join(PRECISIONS)}")
    odd = [name for name in part.inputs if name.startswith(("past_", "input_values", "input_features"))]
    if odd:
        raise CoreMLError(f"Core ML packages are made of texts and images; {part.name} takes {', '.join(odd[:2])}")
    tools = _coremltools()
    example = {name: value if max_batch_size > 1 else value[:1] for name, value in part.inputs.items()}
    ends = {"batch_size": max_batch_size, "sequence_length": max_sequence_length or LONGEST}
    sizes = {name: torch.export.Dim(name, min=1, max=end) for name, end in ends.items() if end > 1}
    free = tuple(
        {axis: sizes[name] for axis, name in part.axes[key].items() if name in sizes} or None for key in part.inputs
    )
    with torch.no_grad():
        program = torch.export.export(
            part.module, tuple(example.values()), dynamic_shapes=(free,) if any(free) else None, strict=False
        ).run_decompositions({})
    made = tools.convert(
        program,
        convert_to="mlprogram",
        minimum_deployment_target=tools.target.iOS16,
        compute_precision=tools.precision.FLOAT16 if compute_precision == "fp16" else tools.precision.FLOAT32,
        skip_model_load=True,
    )
    described = made.get_spec()
    for ports, names, inputs in (
        (list(described.description.input), part.inputs, True),
        (list(described.description.output), part.outputs, False),
    ):
        for port, name in zip(ports, names, strict=True):
            if port.name != name:
                tools.utils.rename_feature(described, port.name, name, rename_inputs=inputs, rename_outputs=not inputs)
    return tools.models.MLModel(described, weights_dir=made.weights_dir, skip_model_load=True)


def _coremltools() -> Any:
    return required("coremltools", "Core ML (coremltools)", "coreml")
