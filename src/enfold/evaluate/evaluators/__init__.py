"""Evaluators: a model or pipeline, a data set and a metric in one call."""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        ".base": ["Evaluator"],
        ".generation": [
            "AutomaticSpeechRecognitionEvaluator",
            "SummarizationEvaluator",
            "Text2TextGenerationEvaluator",
            "TextGenerationEvaluator",
            "TranslationEvaluator",
        ],
        ".labels": [
            "AudioClassificationEvaluator",
            "ImageClassificationEvaluator",
            "QuestionAnsweringEvaluator",
            "TextClassificationEvaluator",
            "TokenClassificationEvaluator",
        ],
        ".registry": ["SUPPORTED_EVALUATOR_TASKS", "evaluator", "get_supported_tasks"],
    },
)
