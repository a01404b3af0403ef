"""``pipeline`` on another runtime than torch (``optimum.pipelines``)."""

from __future__ import annotations

import os
from typing import Any

from enfold.errors import EnfoldError, nearest

__all__ = ["pipeline"]

# Task → the class of ``enfold.optimum.onnxruntime`` that does it.
CLASSES = {
    "audio-classification": "ORTModelForAudioClassification",
    "automatic-speech-recognition": "ORTModelForSpeechSeq2Seq",
    "depth-estimation": "ORTModelForDepthEstimation",
    "feature-extraction": "ORTModelForFeatureExtraction",
    "fill-mask": "ORTModelForMaskedLM",
    "image-classification": "ORTModelForImageClassification",
    "image-segmentation": "ORTModelForSemanticSegmentation",
    "image-to-text": "ORTModelForVision2Seq",
    "object-detection": "ORTModelForObjectDetection",
    "question-answering": "ORTModelForQuestionAnswering",
    "summarization": "ORTModelForSeq2SeqLM",
    "text-classification": "ORTModelForSequenceClassification",
    "text-generation": "ORTModelForCausalLM",
    "text2text-generation": "ORTModelForSeq2SeqLM",
    "token-classification": "ORTModelForTokenClassification",
    "translation": "ORTModelForSeq2SeqLM",
    "zero-shot-classification": "ORTModelForSequenceClassification",
}
SYNONYMS = {"sentiment-analysis": "text-classification", "ner": "token-classification"}


def pipeline(task: str, model: Any = None, accelerator: str | None = "ort", **options: Any) -> Any:
    """Make a pipeline whose model another runtime runs.

    Args:
        task: as ``enfold.transformers.pipeline``.
        model: a folder, a repository's id, or a loaded model; the task's default otherwise.
        accelerator: ``"ort"``, ONNX Runtime.
        options: as ``enfold.transformers.pipeline``.

    Raises:
        EnfoldError: for a runtime or a task that there is not.

    Example:
        >>> classify = pipeline("text-classification", accelerator="ort")  # doctest: +SKIP
    """
    from enfold.optimum import onnxruntime
    from enfold.transformers import pipeline as plain
    from enfold.transformers.pipelines.registry import PIPELINE_REGISTRY

    if accelerator != "ort":
        raise EnfoldError(f"accelerator is 'ort', not {accelerator!r}")
    if model is None:
        model = (PIPELINE_REGISTRY.check_task(task)[1].get("default") or {}).get("model")
        model = model.get("pt") if isinstance(model, dict) else model
        model = model[0] if isinstance(model, list | tuple) else model
    if isinstance(model, str | os.PathLike):
        name = "translation" if task.startswith("translation") else SYNONYMS.get(task, task)
        if name not in CLASSES:
            raise EnfoldError(f"no graph does {task!r}{nearest(name, CLASSES)}; there are {', '.join(CLASSES)}")
        made = CLASSES[name]
        if name == "automatic-speech-recognition":
            from enfold.transformers.config import AutoConfig

            if not AutoConfig.from_pretrained(model).is_encoder_decoder:
                made = "ORTModelForCTC"
        model = getattr(onnxruntime, made).from_pretrained(model)
    return plain(task, model=model, **options)
