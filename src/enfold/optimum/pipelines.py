"""``pipeline`` on another runtime than torch (``optimum.pipelines``)."""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from enfold.errors import EnfoldError, nearest

__all__ = ["pipeline"]

# accelerator → the library it needs, where its models are, and how their names begin. The first that is installed and
# has the task is taken where none is asked for.
RUNTIMES = {
    "ov": ("openvino", "enfold.optimum.intel", "OV"),
    "ort": ("onnxruntime", "enfold.optimum.onnxruntime", "ORT"),
}
# task → how the name of the class that does it ends
ENDINGS = {
    "audio-classification": "AudioClassification",
    "automatic-speech-recognition": "SpeechSeq2Seq",
    "depth-estimation": "DepthEstimation",
    "feature-extraction": "FeatureExtraction",
    "fill-mask": "MaskedLM",
    "image-classification": "ImageClassification",
    "image-segmentation": "SemanticSegmentation",
    "image-to-text": "Vision2Seq",
    "object-detection": "ObjectDetection",
    "question-answering": "QuestionAnswering",
    "summarization": "Seq2SeqLM",
    "text-classification": "SequenceClassification",
    "text-generation": "CausalLM",
    "text2text-generation": "Seq2SeqLM",
    "token-classification": "TokenClassification",
    "translation": "Seq2SeqLM",
    "zero-shot-classification": "SequenceClassification",
    "zero-shot-image-classification": "ZeroShotImageClassification",
}
SYNONYMS = {"sentiment-analysis": "text-classification", "ner": "token-classification"}
WHERE = ("revision", "token", "trust_remote_code", "cache_dir", "local_files_only", "force_download", "subfolder")


def pipeline(
    task: str | None = None, model: Any = None, config: Any = None, *, accelerator: str | None = None, **options: Any
) -> Any:
    """Make a pipeline whose model another runtime runs.

    Args:
        task: as ``enfold.transformers.pipeline``; by default what the model was made for.
        model: a folder, a repository's id, or a loaded model of a runtime; the task's default otherwise.
        config: a configuration, or where to find one; the model's own by default.
        accelerator: ``"ov"``, OpenVINO; ``"ort"``, ONNX Runtime; None takes the first of them that is installed and
            has the task.
        options: as ``enfold.transformers.pipeline``; ``model_kwargs`` goes to the class's ``from_pretrained``:
            ``{"export": True}``.

    Raises:
        EnfoldError: for a runtime or a task that there is not.
        MissingExtra: the runtime that is asked for is not installed.

    Example:
        >>> classify = pipeline("text-classification", accelerator="ort")  # doctest: +SKIP
    """
    from enfold.transformers import pipeline as plain
    from enfold.transformers.pipelines.build import task_of
    from enfold.transformers.pipelines.registry import PIPELINE_REGISTRY

    if accelerator is not None and accelerator not in RUNTIMES:
        raise EnfoldError(f"accelerator is {' or '.join(map(repr, RUNTIMES))}, not {accelerator!r}")
    loading = options.pop("model_kwargs", None) or {}
    where = {name: options[name] for name in WHERE if options.get(name) is not None}
    if model is None and task is not None:
        model = (PIPELINE_REGISTRY.check_task(task)[1].get("default") or {}).get("model")
        model = model.get("pt") if isinstance(model, dict) else model
        model = model[0] if isinstance(model, list | tuple) else model
    if isinstance(model, str | os.PathLike):
        task = task_of(model, where, options.get("token")) if task is None else task
        model = _class(task, model, accelerator, where).from_pretrained(
            model, config=_config(config, where), **where, **loading
        )
    return plain(task, model=model, **options)


def _class(task: str, source: Any, accelerator: str | None, where: dict[str, Any]) -> Any:
    """Return the class of a runtime that does a task."""
    name = "translation" if task.startswith("translation") else SYNONYMS.get(task, task)
    if name not in ENDINGS:
        raise EnfoldError(f"no graph does {task!r}{nearest(name, ENDINGS)}; there are {', '.join(ENDINGS)}")
    ending = ENDINGS[name]
    if name == "automatic-speech-recognition" and not _config(source, where).is_encoder_decoder:
        ending = "CTC"
    asked = list(RUNTIMES) if accelerator is None else [accelerator]
    for runtime in asked:
        library, module, prefix = RUNTIMES[runtime]
        made = getattr(import_module(module), f"{prefix}ModelFor{ending}", None)
        if made is not None and (accelerator is not None or runtime == asked[-1] or find_spec(library)):
            return made
    raise EnfoldError(f"accelerator={accelerator!r} does not do {task!r}; accelerator='ort' does")


def _config(given: Any, where: dict[str, Any]) -> Any:
    """Return the configuration that lies somewhere; one that is loaded, or None, as it is."""
    if not isinstance(given, str | os.PathLike):
        return given
    from enfold.transformers.config import AutoConfig

    return AutoConfig.from_pretrained(given, **where)
