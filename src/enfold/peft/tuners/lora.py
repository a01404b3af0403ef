"""Low-rank adapters under the names that `peft.tuners.lora` and the modules below it have."""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        "enfold.peft.lora": [
            "LoraLayer",
            "Linear=LoraLinear",
            "Embedding=LoraEmbedding",
            "Conv1d=LoraConv",
            "Conv2d=LoraConv",
            "Conv3d=LoraConv",
        ],
        "enfold.peft.lora_attention": ["MultiheadAttention=LoraAttention"],
        "enfold.peft.lora_config": ["EvaConfig", "LoftQConfig", "LoraConfig", "LoraRuntimeConfig"],
        "enfold.peft.eva": ["get_eva_state_dict", "initialize_lora_eva_weights"],
        "enfold.peft.models": ["LoraModel"],
        "enfold.peft.targets": ["TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING=DEFAULT_TARGETS"],
    },
)
