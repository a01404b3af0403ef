"""The tasks that models are exported for, and which models do them; names are the ecosystem's."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from enfold.errors import EnfoldError, nearest
from enfold.transformers.registry import MODELS, class_name

__all__ = [
    "PAST",
    "SYNONYMS",
    "TASKS",
    "WRITES",
    "Task",
    "TaskError",
    "TasksManager",
    "auto_class",
    "model_tasks",
    "spelled",
    "task_of",
]


class TaskError(EnfoldError, ValueError):
    """No such task, or none that this kind of model does."""


class Task(NamedTuple):
    """A task: the auto classes that do it (keys of ``registry.TASKS``, the first that a model has counts), and what
    its graph gives; outputs that a model does not have are left out."""

    classes: tuple[str, ...]
    outputs: tuple[str, ...] = ("logits",)


TASKS: dict[str, Task] = {
    "feature-extraction": Task(
        ("Model",),
        ("logits_per_image", "logits_per_text", "text_embeds", "image_embeds", "image_embeddings", "audio_embeds",
         "last_hidden_state", "encoder_last_hidden_state", "pooler_output"),
    ),
    "text2text-generation": Task(("Seq2SeqLM",)),
    "fill-mask": Task(("MaskedLM",)),
    "text-classification": Task(("SequenceClassification",)),
    "token-classification": Task(("TokenClassification",)),
    "question-answering": Task(("QuestionAnswering",), ("start_logits", "end_logits")),
    "multiple-choice": Task(("MultipleChoice",)),
    "text-generation": Task(("CausalLM",)),
    "automatic-speech-recognition": Task(("SpeechSeq2Seq", "CTC")),
    "audio-classification": Task(("AudioClassification",)),
    "audio-frame-classification": Task(("AudioFrameClassification",)),
    "audio-xvector": Task(("AudioXVector",), ("logits", "embeddings")),
    "image-classification": Task(("ImageClassification",)),
    "image-segmentation": Task(("ImageSegmentation",), ("logits", "pred_boxes", "pred_masks")),
    "semantic-segmentation": Task(("SemanticSegmentation",)),
    "object-detection": Task(("ObjectDetection",), ("logits", "pred_boxes")),
    "depth-estimation": Task(("DepthEstimation",), ("predicted_depth",)),
    "masked-im": Task(("MaskedImageModeling",), ("reconstruction", "logits")),
    "image-to-text": Task(("Vision2Seq",)),
    "zero-shot-image-classification": Task(
        ("ZeroShotImageClassification",), ("logits_per_image", "logits_per_text", "text_embeds", "image_embeds")
    ),
    "zero-shot-object-detection": Task(
        ("ZeroShotObjectDetection",), ("logits", "pred_boxes", "text_embeds", "image_embeds")
    ),
    "visual-question-answering": Task(("VisualQuestionAnswering",)),
}  # fmt: skip

# Further spellings, older ones and those of the ecosystem's command line.
SYNONYMS: dict[str, str] = {
    "default": "feature-extraction",
    "masked-lm": "fill-mask",
    "sequence-classification": "text-classification",
    "sentiment-analysis": "text-classification",
    "zero-shot-classification": "text-classification",
    "ner": "token-classification",
    "causal-lm": "text-generation",
    "seq2seq-lm": "text2text-generation",
    "summarization": "text2text-generation",
    "translation": "text2text-generation",
    "speech2seq-lm": "automatic-speech-recognition",
    "ctc": "automatic-speech-recognition",
    "audio-ctc": "automatic-speech-recognition",
    "image-feature-extraction": "feature-extraction",
    "sentence-similarity": "feature-extraction",
    "vision2seq-lm": "image-to-text",
    "image-text-to-text": "image-to-text",
}

PAST = "-with-past"
# What encoder-decoders do in several graphs.
WRITES = ("text2text-generation", "image-to-text", "automatic-speech-recognition")


def spelled(task: str) -> str:
    """Return a task's usual spelling.

    Raises:
        TaskError: there is none of this name.
    """
    plain = task.removesuffix(PAST)
    found = SYNONYMS.get(plain, plain)
    if found not in TASKS:
        known = [*TASKS, *SYNONYMS]
        raise TaskError(f"no task is called {task!r}{nearest(plain, known)}; there are {', '.join(TASKS)}")
    return found + PAST if task != plain else found


def task_of(model: Any) -> str:
    """Return the task that a model's class does.

    Args:
        model: a model, or a configuration with ``architectures``.

    Raises:
        TaskError: when its class does none of ``TASKS``.
    """
    config = getattr(model, "config", model)
    names = list(config.architectures or ()) if config is model else [type(model).__name__]
    for task, row in TASKS.items():
        for kind in row.classes:
            if config.model_type in MODELS and class_name(config.model_type, kind, names) in names:
                return (
                    task + PAST if task == "text-generation" or (task in WRITES and config.is_encoder_decoder) else task
                )
    if any(name.endswith(("Model", "ModelWithProjection")) for name in names):
        return "feature-extraction"
    raise TaskError(
        f"cannot tell the task of {', '.join(names) or 'a configuration without architectures'}; pass task=, one of "
        f"{', '.join(model_tasks(config.model_type))}"
    )


def model_tasks(model_type: str) -> list[str]:
    """Return the tasks that a model type can be exported for.

    Example:
        >>> model_tasks("resnet")
        ['feature-extraction', 'image-classification']
    """
    if model_type not in MODELS:
        return []
    return [task for task, row in TASKS.items() if any(class_name(model_type, kind) for kind in row.classes)]


def auto_class(task: str, config: Any) -> Any:
    """Return the auto class that loads a model for a task.

    Raises:
        TaskError: when the kind of model does not do it.
    """
    from enfold.transformers import auto

    plain = spelled(task).removesuffix(PAST)
    for kind in TASKS[plain].classes:
        if config.model_type not in MODELS or class_name(config.model_type, kind, config.architectures or ()):
            return getattr(auto, "AutoModel" if kind == "Model" else f"AutoModelFor{kind}")
    known = ", ".join(model_tasks(config.model_type))
    raise TaskError(f"{config.model_type} does not do {task!r}; it does {known}")


class TasksManager:
    """The same under the names of ``optimum.exporters.tasks.TasksManager``."""

    @staticmethod
    def get_all_tasks() -> list[str]:
        """Return all tasks."""
        return list(TASKS)

    @staticmethod
    def get_supported_tasks_for_model_type(model_type: str, exporter: str = "onnx", **_: Any) -> list[str]:
        """Return the tasks of a model type; the same for every exporter."""
        return model_tasks(model_type)

    @staticmethod
    def map_from_synonym(task: str) -> str:
        """Return a task's usual spelling."""
        return spelled(task)

    @staticmethod
    def synonyms_for_task(task: str) -> set[str]:
        """Return a task's other spellings."""
        plain = spelled(task)
        return {name for name, usual in SYNONYMS.items() if usual == plain}

    @staticmethod
    def infer_task_from_model(model: Any, **where: Any) -> str:
        """Return the task that a model, or the configuration of a folder or repository, is for."""
        if isinstance(model, str | os.PathLike):
            from enfold.transformers.config import AutoConfig

            model = AutoConfig.from_pretrained(model, **where)
        return task_of(model).removesuffix(PAST)
