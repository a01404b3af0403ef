"""Models that ONNX Runtime runs, optimizes and quantizes (``optimum.onnxruntime``)."""

from enfold.lazy import face
from enfold.optimum.runtimes.heads import names

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        ".model": ["ORTModel"],
        ".heads": names("ORT"),
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
