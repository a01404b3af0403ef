"""A whole model in a folder of ONNX files: its graphs, its configuration, and what reads its inputs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from enfold.errors import EnfoldError, nearest
from enfold.log import get_logger
from enfold.optimum.exporters.graph_parts import parts
from enfold.optimum.exporters.onnx.convert import OPSET, export, validate
from enfold.optimum.exporters.tasks import auto_class
from enfold.transformers.config import AutoConfig
from enfold.transformers.sharing import split_fetch_arguments

__all__ = ["main_export", "onnx_export_from_model"]

logger = get_logger(__name__)

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
# Accepted and without effect: what they steered is not here, or is always so.
IGNORED = (
    "framework", "fp16_inputs", "for_ort", "no_post_process", "monolith", "pad_token_id", "library_name", "legacy",
    "use_subprocess", "custom_onnx_configs", "fn_get_submodels", "slim", "dynamo", "batch_size", "sequence_length",
    "_variant", "variant", "inference",
)  # fmt: skip
# What reads a model's inputs, in the order in which later ones may overwrite the files of earlier ones.
READERS = ("AutoTokenizer", "AutoFeatureExtractor", "AutoImageProcessor", "AutoProcessor")


def main_export(
    model_name_or_path: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    task: str = "auto",
    opset: int | None = None,
    device: str = "cpu",
    dtype: str | torch.dtype | None = None,
    fp16: bool = False,
    optimize: str | None = None,
    atol: float | None = None,
    do_validation: bool = True,
    no_dynamic_axes: bool = False,
    model_kwargs: dict[str, Any] | None = None,
    trust_remote_code: bool = False,
    **options: Any,
) -> list[Path]:
    """Export a model of a folder or repository.

    Args:
        model_name_or_path: a folder, or a repository's id.
        output: the folder to write to; it is made.
        task: as in ``enfold.optimum.exporters.tasks.TASKS``; ``"auto"`` reads ``architectures`` in ``config.json``.
            Generation is exported with a past unless the task is named without ``-with-past``.
        opset: version of the operators; 18 by default.
        device: where the model is traced.
        dtype: ``"fp32"``, ``"fp16"`` or ``"bf16"``, or torch's; single precision by default.
        fp16: the same as ``dtype="fp16"``.
        optimize: ``"O1"`` … ``"O4"``: fuse the graphs by onnxruntime afterwards.
        atol: the largest difference from torch that validation allows; 1e-4, or 1e-2 in half precision.
        do_validation: run each graph once and compare it with the model.
        no_dynamic_axes: fix every dimension.
        model_kwargs: further arguments of the model's ``from_pretrained``.
        trust_remote_code: let the repository's own classes run.
        options: where to look: ``cache_dir``, ``revision``, ``token``, ``subfolder``, ``local_files_only``,
            ``force_download``.

    Returns:
        The ONNX files.

    Raises:
        TaskError: for a task that the model does not do.
        ExportError: when a graph cannot be made, or differs from the model.

    Example:
        >>> main_export("distilbert/distilbert-base-uncased", "onnx/", task="fill-mask")  # doctest: +SKIP
        [PosixPath('onnx/model.onnx')]
    """
    where, rest = split_fetch_arguments(options)
    for name in rest:
        if name not in IGNORED:
            known = ["task", "opset", "device", "dtype", "optimize", "atol", "do_validation", *IGNORED]
            raise EnfoldError(f"main_export does not take {name!r}{nearest(name, known)}")
    config = AutoConfig.from_pretrained(model_name_or_path, trust_remote_code=trust_remote_code, **where)
    kind = torch.float16 if fp16 else torch.float32
    if dtype is not None:
        if isinstance(dtype, str) and dtype not in DTYPES:
            raise EnfoldError(f"dtype {dtype!r} is none of {', '.join(DTYPES)}{nearest(dtype, DTYPES)}")
        kind = DTYPES[dtype] if isinstance(dtype, str) else dtype
    loading = {"dtype": kind, "trust_remote_code": trust_remote_code, **(model_kwargs or {}), **where}
    made = _named_class(config) if task == "auto" else auto_class(task, config)
    model = made.from_pretrained(model_name_or_path, **loading).to(device)
    return onnx_export_from_model(
        model,
        output,
        task=task,
        opset=opset,
        optimize=optimize,
        atol=atol,
        do_validation=do_validation,
        no_dynamic_axes=no_dynamic_axes,
        preprocessors=_readers(model_name_or_path, where),
    )


def onnx_export_from_model(
    model: Any,
    output: str | os.PathLike[str],
    *,
    task: str = "auto",
    opset: int | None = None,
    optimize: str | None = None,
    atol: float | None = None,
    do_validation: bool = True,
    no_dynamic_axes: bool = False,
    preprocessors: Any = (),
    **options: Any,
) -> list[Path]:
    """Export a loaded model; see ``main_export``.

    Args:
        model: with weights.
        output: the folder to write to.
        task, opset, optimize, atol, do_validation, no_dynamic_axes: as ``main_export``.
        preprocessors: tokenizers and the like, saved beside the graphs.
        options: accepted, as there.
    """
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    half = model.dtype in (torch.float16, torch.bfloat16)
    found = []
    for part in parts(model, task):
        path = export(part, folder / f"{part.name}.onnx", opset=opset or OPSET, dynamic=not no_dynamic_axes)
        if do_validation and model.dtype is not torch.bfloat16:  # numpy has no such type
            worst = validate(part, path, atol=atol if atol is not None else 1e-2 if half else 1e-4)
            logger.info("%s: at most %.1e from torch", path.name, worst)
        found.append(path)
    model.config.save_pretrained(folder)
    if getattr(model, "generation_config", None) is not None and model.can_generate():
        model.generation_config.save_pretrained(folder)
    for reader in preprocessors:
        reader.save_pretrained(folder)
    if optimize is not None:
        from enfold.optimum.onnxruntime.configuration import AutoOptimizationConfig
        from enfold.optimum.onnxruntime.optimization import ORTOptimizer

        ORTOptimizer(found, model.config).optimize(
            AutoOptimizationConfig.with_optimization_level(optimize), folder, file_suffix=""
        )
    return found


def _named_class(config: Any) -> Any:
    """Return the class that a configuration's ``architectures`` names."""
    from enfold.optimum.exporters.tasks import task_of
    from enfold.transformers import auto
    from enfold.transformers.registry import MODELS

    name = next(iter(config.architectures or ()), None)
    if name is not None and config.model_type in MODELS:
        import importlib

        module = importlib.import_module(f"enfold.transformers.models.{MODELS[config.model_type].module}")
        if hasattr(module, name):
            return getattr(module, name)
    task_of(config)  # says what is missing
    return auto.AutoModel


def _readers(source: Any, where: dict[str, Any]) -> list[Any]:
    """Return the tokenizer and the processors that a repository has."""
    import enfold.transformers as library

    found = []
    for name in READERS:
        try:
            found.append(getattr(library, name).from_pretrained(source, **where))
        except (OSError, ValueError, ImportError, EnfoldError):
            continue  # it has none of these
    return found
