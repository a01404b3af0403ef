"""Evaluators of tasks whose answers are texts."""

from __future__ import annotations

from typing import Any, ClassVar

from enfold.evaluate.evaluators.base import Evaluator

__all__ = [
    "AutomaticSpeechRecognitionEvaluator",
    "SummarizationEvaluator",
    "Text2TextGenerationEvaluator",
    "TextGenerationEvaluator",
    "TranslationEvaluator",
]


class TextGenerationEvaluator(Evaluator):
    """Texts that go on from prompts, given to a measurement as ``data``: there are no references."""

    columns: ClassVar[dict[str, Any]] = {"input_column": "text", "label_column": None, "generation_kwargs": None}

    def __init__(
        self,
        task: str = "text-generation",
        default_metric_name: str | None = None,
        predictions_prefix: str = "generated",
    ) -> None:
        super().__init__(task, default_metric_name)
        self.predictions_prefix = predictions_prefix

    def prepare_data(self, data: Any, input_column: str, label_column: str | None = None) -> tuple[dict[str, Any], Any]:
        """Return no references, and the prompts."""
        self.check_required_columns(data, {"input_column": input_column})
        return {}, list(data[input_column])

    def predictions_processor(self, predictions: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return all texts of all prompts."""
        return {"data": [answer[f"{self.predictions_prefix}_text"] for answers in predictions for answer in answers]}


class Text2TextGenerationEvaluator(Evaluator):
    """One text for every text; ``generation_kwargs`` go to the pipeline."""

    PREDICTION_PREFIX: ClassVar[str] = "generated"
    PIPELINE_KWARGS: ClassVar[dict[str, Any]] = {"truncation": True}
    columns: ClassVar[dict[str, Any]] = {"input_column": "text", "label_column": "label", "generation_kwargs": None}

    def __init__(self, task: str = "text2text-generation", default_metric_name: str | None = None) -> None:
        super().__init__(task, default_metric_name)

    def predictions_processor(self, predictions: Any, label_mapping: Any = None) -> dict[str, Any]:
        """Return the texts."""
        return {"predictions": [answer[f"{self.PREDICTION_PREFIX}_text"] for answer in predictions]}


class SummarizationEvaluator(Text2TextGenerationEvaluator):
    """A summary for every text."""

    PREDICTION_PREFIX = "summary"

    def __init__(self, task: str = "summarization", default_metric_name: str | None = None) -> None:
        super().__init__(task, default_metric_name)


class TranslationEvaluator(Text2TextGenerationEvaluator):
    """A translation of every text."""

    PREDICTION_PREFIX = "translation"

    def __init__(self, task: str = "translation", default_metric_name: str | None = None) -> None:
        super().__init__(task, default_metric_name)


class AutomaticSpeechRecognitionEvaluator(Evaluator):
    """What was said in every recording."""

    PIPELINE_KWARGS: ClassVar[dict[str, Any]] = {"truncation": True}
    columns: ClassVar[dict[str, Any]] = {"input_column": "path", "label_column": "sentence", "generation_kwargs": None}

    def __init__(self, task: str = "automatic-speech-recognition", default_metric_name: str | None = None) -> None:
        super().__init__(task, default_metric_name)

    def predictions_processor(self, predictions: Any, label_mapping: Any = None) -> dict[str, Any]:
        """Return the transcripts."""
        return {"predictions": [answer["text"] for answer in predictions]}
