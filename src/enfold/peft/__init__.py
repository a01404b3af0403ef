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
        ".adalora": ["AdaLoraConfig", "AdaLoraModel"],
        ".adaption_prompt": ["AdaptionPromptConfig"],
        ".boft": ["BOFTConfig"],
        ".bottleneck": ["BottleneckConfig"],
        ".c3a": ["C3AConfig"],
        ".config": ["PeftConfig", "PeftType", "TaskType"],
        ".eva": ["get_eva_state_dict", "initialize_lora_eva_weights"],
        ".fourierft": ["FourierFTConfig"],
        ".helpers": ["get_peft_config", "rescale_adapter_scale", "shift_tokens_right"],
        ".hotswap": ["hotswap_adapter", "prepare_model_for_compiled_hotswap"],
        ".hra": ["HRAConfig"],
        ".ia3": ["IA3Config"],
        ".kbit": ["cast_mixed_precision_params", "prepare_model_for_kbit_training", "replace_lora_weights_loftq"],
        ".ln_tuning": ["LNTuningConfig"],
        ".loha": ["LoHaConfig"],
        ".lokr": ["LoKrConfig"],
        ".lora_config": ["EvaConfig", "LoftQConfig", "LoraConfig", "LoraRuntimeConfig"],
        ".miss": ["MissConfig"],
        ".mixed": ["PeftMixedModel"],
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
        ".models": [
            "AdaptionPromptModel",
            "BOFTModel",
            "BottleneckModel",
            "C3AModel",
            "FourierFTModel",
            "HRAModel",
            "IA3Model",
            "LNTuningModel",
            "LoHaModel",
            "LoKrModel",
            "LoraModel",
            "MissModel",
            "OFTModel",
            "TrainableTokensModel",
        ],
        ".oft": ["OFTConfig"],
        ".optimizers": ["LoraFAOptimizer", "create_lorafa_optimizer", "create_loraplus_optimizer"],
        ".prompt_configs": [
            "MultitaskPromptTuningConfig",
            "MultitaskPromptTuningInit",
            "PrefixTuningConfig",
            "PromptEncoderConfig",
            "PromptEncoderReparameterizationType",
            "PromptLearningConfig",
            "PromptTuningConfig",
            "PromptTuningInit",
        ],
        ".prompts": ["PrefixEncoder", "PromptEmbedding", "PromptEncoder"],
        ".status": ["get_layer_status", "get_model_status"],
        ".tokens": ["TrainableTokensConfig"],
        ".tuner": ["inject_adapter_in_model"],
        ".vblora": ["VBLoRAConfig", "VBLoRAModel"],
        ".vera": ["VeraConfig", "VeraModel"],
        ".weights": ["get_peft_model_state_dict", "load_peft_weights", "set_peft_model_state_dict"],
        # A model class is chosen by name there, on a higher floor.
        "enfold.transformers.trainer.adapters": _AUTO.split(),
    },
)
