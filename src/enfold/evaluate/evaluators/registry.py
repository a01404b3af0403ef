"""Which evaluator and which metric belong to a task."""

from __future__ import annotations

from typing import Any

from enfold.errors import EnfoldError, nearest
from enfold.evaluate.evaluators import generation, labels
from enfold.evaluate.evaluators.base import Evaluator

__all__ = ["SUPPORTED_EVALUATOR_TASKS", "evaluator", "get_supported_tasks"]

_TASKS: dict[str, tuple[Any, str]] = {
    "text-classification": (labels.TextClassificationEvaluator, "accuracy"),
    "image-classification": (labels.ImageClassificationEvaluator, "accuracy"),
    "question-answering": (labels.QuestionAnsweringEvaluator, "squad"),
    "token-classification": (labels.TokenClassificationEvaluator, "seqeval"),
    "text-generation": (generation.TextGenerationEvaluator, "word_count"),
    "text2text-generation": (generation.Text2TextGenerationEvaluator, "bleu"),
    "summarization": (generation.SummarizationEvaluator, "rouge"),
    "translation": (generation.TranslationEvaluator, "bleu"),
    "automatic-speech-recognition": (generation.AutomaticSpeechRecognitionEvaluator, "wer"),
    "audio-classification": (labels.AudioClassificationEvaluator, "accuracy"),
}
SUPPORTED_EVALUATOR_TASKS = {
    task: {"implementation": maker, "default_metric_name": metric} for task, (maker, metric) in _TASKS.items()
}
_ALIASES = {"sentiment-analysis": "text-classification", "ner": "token-classification"}


class UnknownTaskError(EnfoldError, KeyError):
    """There is no evaluator for a task."""

    def __str__(self) -> str:
        return str(self.args[0])


def get_supported_tasks() -> list[str]:
    """Return the tasks that `evaluator` knows."""
    return list(_TASKS)


def evaluator(task: str) -> Evaluator:
    """Return the evaluator of a task.

    Args:
        task: a pipeline's task, such as ``"text-classification"`` (also ``"sentiment-analysis"``).

    Raises:
        UnknownTaskError: there is no evaluator for it (a KeyError).

    Example:
        >>> evaluator("summarization").default_metric_name
        'rouge'
    """
    name = _ALIASES.get(task, task)
    if name not in _TASKS:
        known = ", ".join(_TASKS)
        raise UnknownTaskError(f"there is no evaluator for {task!r}{nearest(task, _TASKS)}; there are {known}")
    maker, metric = _TASKS[name]
    return maker(task=name, default_metric_name=metric)
