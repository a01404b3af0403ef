"""Adapters on any module: the surface of `peft`."""

from enfold.lazy import face

__version__ = "0.21.2"

_AUTO = (
    "AutoPeftModel AutoPeftModelForCausalLM AutoPeftModelForFeatureExtraction AutoPeftModelForQuestionAnswering "
    "AutoPeftModelForSeq2SeqLM AutoPeftModelForSequenceClassification AutoPeftModelForTokenClassification"
)

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        ".config": ["LoraConfig", "PeftConfig", "PeftType", "TaskType"],
        ".model": [
            "PeftModel",
            "PeftModelForCausalLM",
            "PeftModelForFeatureExtraction",
            "PeftModelForQuestionAnswering",
            "PeftModelForSeq2SeqLM",
            "PeftModelForSequenceClassification",
            "PeftModelForTokenClassification",
            "get_peft_model",
        ],
        ".tuner": ["LoraModel", "inject_adapter_in_model"],
        ".weights": ["get_peft_model_state_dict", "load_peft_weights", "set_peft_model_state_dict"],
        # A model class is chosen by name there, on a higher floor.
        "enfold.transformers.trainer.adapters": _AUTO.split(),
    },
)
