"""Models that ONNX Runtime runs, optimizes and quantizes (``optimum.onnxruntime``)."""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        ".model": ["ORTModel"],
        ".heads": [
            "ORTModelForAudioClassification",
            "ORTModelForAudioFrameClassification",
            "ORTModelForAudioXVector",
            "ORTModelForCTC",
            "ORTModelForCustomTasks",
            "ORTModelForDepthEstimation",
            "ORTModelForFeatureExtraction",
            "ORTModelForImageClassification",
            "ORTModelForMaskedLM",
            "ORTModelForMultipleChoice",
            "ORTModelForObjectDetection",
            "ORTModelForQuestionAnswering",
            "ORTModelForSemanticSegmentation",
            "ORTModelForSequenceClassification",
            "ORTModelForTokenClassification",
            "ORTModelForZeroShotImageClassification",
        ],
        ".decoding": [
            "ORTModelForCausalLM",
            "ORTModelForSeq2SeqLM",
            "ORTModelForSpeechSeq2Seq",
            "ORTModelForVision2Seq",
        ],
        ".configuration": [
            "AutoCalibrationConfig",
            "AutoOptimizationConfig",
            "AutoQuantizationConfig",
            "CalibrationConfig",
            "ORTConfig",
            "OptimizationConfig",
            "QuantizationConfig",
        ],
        ".optimization": ["ORTOptimizer"],
        ".quantization": ["ORTQuantizer"],
    },
)
