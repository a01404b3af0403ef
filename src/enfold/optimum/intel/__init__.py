"""Models on OpenVINO (``optimum.intel``)."""

from enfold.lazy import face
from enfold.optimum.runtimes.heads import names

# Heads that optimum-intel does not have.
WITHOUT = ("DepthEstimation", "MultipleChoice", "ObjectDetection", "SemanticSegmentation")
TABLE = {
    ".openvino.configuration": [
        "OVConfig",
        "OVQuantizationConfig",
        "OVWeightQuantizationConfig",
    ],
    ".openvino.modeling": names("OV", WITHOUT),
    ".openvino.modeling_base": ["OVBaseModel"],
    ".openvino.modeling_decoder": ["OVModelForCausalLM"],
    ".openvino.modeling_seq2seq": ["OVModelForSeq2SeqLM", "OVModelForSpeechSeq2Seq", "OVModelForVision2Seq"],
    ".openvino.quantization": ["OVQuantizer"],
}

__getattr__, __dir__, __all__ = face(__name__, TABLE)
