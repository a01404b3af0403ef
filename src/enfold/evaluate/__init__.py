"""Metrics that work offline: the surface of `evaluate`."""

from enfold.lazy import face

__version__ = "0.4.6"

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        ".combined": ["CombinedEvaluations", "combine"],
        ".errors": ["EvaluationError", "OptionError", "UnknownModuleError"],
        ".evaluators": [
            "AudioClassificationEvaluator",
            "AutomaticSpeechRecognitionEvaluator",
            "Evaluator",
            "ImageClassificationEvaluator",
            "QuestionAnsweringEvaluator",
            "SummarizationEvaluator",
            "Text2TextGenerationEvaluator",
            "TextClassificationEvaluator",
            "TextGenerationEvaluator",
            "TokenClassificationEvaluator",
            "TranslationEvaluator",
            "evaluator",
        ],
        ".info": ["ComparisonInfo", "EvaluationModuleInfo", "MeasurementInfo", "MetricInfo"],
        ".loading": ["inspect_evaluation_module", "list_evaluation_modules", "load"],
        ".module": ["Comparison", "EvaluationModule", "Measurement", "Metric"],
        ".saving": ["save"],
        ".sharing": ["push_to_hub"],
        ".suite": ["EvaluationSuite", "SubTask"],
        ".utils": ["disable_progress_bar", "enable_progress_bar", "is_progress_bar_enabled", "logging"],
    },
)
