"""Models on OpenVINO (``optimum.intel``)."""

from enfold.lazy import face

TABLE = {
    ".openvino.configuration": [
        "OVConfig",
        "OVQuantizationConfig",
        "OVWeightQuantizationConfig",
    ],
    ".openvino.modeling": [
        "OVModelForAudioClassification",
        "OVModelForAudioFrameClassification",
        "OVModelForAudioXVector",
        "OVModelForCTC",
        "OVModelForCustomTasks",
        "OVModelForFeatureExtraction",
        "OVModelForImageClassification",
        "OVModelForMaskedLM",
        "OVModelForQuestionAnswering",
        "OVModelForSequenceClassification",
        "OVModelForTokenClassification",
        "OVModelForZeroShotImageClassification",
    ],
    ".openvino.modeling_base": ["OVBaseModel"],
    ".openvino.modeling_decoder": ["OVModelForCausalLM"],
    ".openvino.modeling_seq2seq": ["OVModelForSeq2SeqLM", "OVModelForSpeechSeq2Seq", "OVModelForVision2Seq"],
    ".openvino.quantization": ["OVQuantizer"],
}

__getattr__, __dir__, __all__ = face(__name__, TABLE)
