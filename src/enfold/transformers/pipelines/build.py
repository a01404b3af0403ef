"""``pipeline``: a task, a model, or both, made ready to answer."""

from __future__ import annotations

import os
from typing import Any

from enfold.log import get_logger
from enfold.transformers.pipelines.custom import brought_row
from enfold.transformers.pipelines.parts import load_parts
from enfold.transformers.pipelines.registry import ENDINGS, PIPELINE_REGISTRY, UnknownTask, get_task
from enfold.transformers.sharing import split_fetch_arguments

__all__ = ["pipeline", "task_of"]

logger = get_logger(__name__)


def pipeline(
    task: str | None = None,
    model: Any = None,
    config: Any = None,
    tokenizer: Any = None,
    feature_extractor: Any = None,
    image_processor: Any = None,
    processor: Any = None,
    framework: str | None = None,
    revision: str | None = None,
    use_fast: bool = True,
    token: str | bool | None = None,
    device: Any = None,
    device_map: Any = None,
    torch_dtype: Any = None,
    dtype: Any = None,
    trust_remote_code: bool | None = None,
    model_kwargs: dict[str, Any] | None = None,
    pipeline_class: Any = None,
    **kwargs: Any,
) -> Any:
    """Make a pipeline.

    Args:
        task: "text-classification" (also "sentiment-analysis"), "text-generation", or one that you registered; by
            default what the model was made for.
        model: a model, a local folder (a model's or an adapter's), or a repository id; the task's default otherwise.
        config: a configuration, or where to find one; the model's own by default.
        tokenizer: a tokenizer, or where to find one; the model's own by default.
        feature_extractor: as ``tokenizer``, for sound.
        image_processor: as ``tokenizer``, for images.
        processor: as ``tokenizer``, for several kinds of input.
        framework: "pt"; accepted.
        revision: branch, tag or commit of the model's repository.
        use_fast: accepted; there is one implementation of tokenizers.
        token: read token for the Hub.
        device: a number (-1 is the CPU), a name or a ``torch.device``; a CUDA device if there is one, by default.
        device_map: spread the model over devices ("auto", or part → device); excludes ``device``.
        torch_dtype: type of the weights ("auto", "bfloat16", ``torch.float16`` …).
        dtype: the same by its newer name.
        trust_remote_code: run classes that the repository brings along (``auto_map``, ``custom_pipelines``).
        model_kwargs: further arguments of the model's ``from_pretrained``.
        pipeline_class: a class to use instead of the task's, of the registry or of the repository.
        kwargs: arguments of the task, as defaults for every call, and ``batch_size``.

    Raises:
        UnknownTask: a KeyError that names the closest task.
        OSError: no such model.

    Example:
        >>> classify = pipeline("text-classification", model="demo/headline-classifier")  # doctest: +SKIP
        >>> classify("Scientists discover water is wet")  # doctest: +SKIP
        [{'label': 'SARCASTIC', 'score': 0.97}]
    """
    if task is None and model is None:
        raise RuntimeError("pipeline() needs a task, a model, or both: pipeline('text-classification')")
    if device is not None and device_map is not None:
        raise ValueError("device and device_map both say where the model goes: pass one of them")
    if framework not in (None, "pt"):
        raise ValueError(f"pipelines run on torch (framework='pt'), not on {framework!r}")
    loading = dict(model_kwargs or {})
    token = kwargs.pop("use_auth_token", token)
    where = {"revision": revision, "token": token, "trust_remote_code": trust_remote_code}
    where = {key: value for key, value in where.items() if value is not None}
    for key in ("cache_dir", "local_files_only", "force_download", "subfolder"):
        if key in kwargs:
            where[key] = kwargs.pop(key)
        elif key in loading:
            where[key] = loading.pop(key)

    custom = {} if PIPELINE_REGISTRY.knows(task) and not trust_remote_code else _custom_pipelines(model, where)
    if task is None and len(custom) == 1:
        task = next(iter(custom))
    if task is None:
        if custom:
            raise UnknownTask(f"{model!r} brings pipelines for {', '.join(custom)}: pass task=…, one of them")
        task = task_of(model, where, token)
    if task in custom:
        code = {**split_fetch_arguments(where)[0], "code_revision": kwargs.pop("code_revision", None)}
        name, options = task, None
        row = brought_row(task, custom, model, trust_remote_code, pipeline_class, **code)
    else:
        name, row, options = PIPELINE_REGISTRY.check_task(task)
        name = name if options is None else task  # the languages in it are the pipeline's to read
    if model is None:
        default = row.get("default") or {}
        model = default.get("model")
        if isinstance(model, dict):
            model = model.get("pt")
        if isinstance(model, list | tuple):
            model = model[0]
        if model is None:
            raise RuntimeError(f"the task {task!r} has no default model: pass model=…")
        logger.info("no model named for %s: using %s", task, model)
    made_by = pipeline_class or row["impl"]

    source = model if isinstance(model, str | os.PathLike) else None
    if isinstance(config, str | os.PathLike):
        from enfold.transformers.config import AutoConfig

        config = AutoConfig.from_pretrained(config, **where)
    if source is not None:
        classes = row["pt"]
        if not classes:
            raise ValueError(f"the task {task!r} was registered without a model class: pass a loaded model")
        kind = dtype if dtype is not None else torch_dtype
        if kind is not None:
            loading["dtype"] = kind
        if device_map is not None:
            loading["device_map"] = device_map
        if config is not None:
            loading["config"] = config
        model = _load(classes, source, {**where, **loading})
    asked = {
        "tokenizer": tokenizer,
        "feature_extractor": feature_extractor,
        "image_processor": image_processor,
        "processor": processor,
    }
    parts = load_parts(made_by, asked, source, model, where)
    return made_by(model=model, task=name, device=device, **parts, **kwargs)


def _load(classes: Any, source: Any, arguments: dict[str, Any]) -> Any:
    """Load the model with the first class that has it."""
    failures = []
    for made in classes:
        try:
            return made.from_pretrained(source, **arguments)
        except ValueError as error:
            if len(classes) == 1:
                raise
            failures.append(f"{made.__name__}: {error}")
    raise ValueError(f"no class of this task loads {source!r}: " + "; ".join(failures))


def _custom_pipelines(model: Any, where: dict[str, Any]) -> dict[str, Any]:
    """Return the tasks for which a model's repository brings a pipeline along: task → description."""
    if not isinstance(model, str | os.PathLike):
        return {}  # its code is where it was loaded from, and nobody asked for that
    from enfold.transformers.tokenization.files import Source

    try:
        told = (Source(model, split_fetch_arguments(where)[0]).json("config.json") or {}).get("custom_pipelines")
    except OSError:
        return {}  # what is wrong is said where the model is loaded
    return told if isinstance(told, dict) else {}


def task_of(model: Any, where: dict[str, Any] | None = None, token: Any = None) -> str:
    """Return the task that a model is made for: by its architecture, else by what the Hub says.

    Args:
        model: a model, a local folder, or a repository's id.
        where: arguments that say where files are found.
        token: read token for the Hub.

    Raises:
        UnknownTask: neither says it.
    """
    where = where or {}
    if isinstance(model, str | os.PathLike):
        from enfold.transformers.tokenization.files import Source

        names = (Source(model, split_fetch_arguments(where)[0]).json("config.json") or {}).get("architectures") or []
    else:
        names = [type(model).__name__]
    for name in names:
        for ending, task in ENDINGS.items():
            if name.endswith(ending):
                return task
    if isinstance(model, str) and not os.path.isdir(model):
        return get_task(model, token)
    raise UnknownTask(f"nothing says which task {model!r} is for: pass task=…")
