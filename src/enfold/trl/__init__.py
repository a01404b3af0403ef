"""Alignment training: the surface of `trl`, with the trainers that later versions of it left out."""

from enfold.lazy import face

__version__ = "1.16.0"

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        ".base": ["AlignmentTrainer"],
        ".collators": ["DataCollatorForLanguageModeling", "DataCollatorForUnpairedPreference"],
        ".cpo": ["CPOConfig", "CPOTrainer", "ORPOConfig", "ORPOTrainer"],
        ".dpo": ["DPOConfig", "DPOTrainer"],
        ".formats": [
            "ChatTemplateError",
            "MissingColumns",
            "apply_chat_template",
            "extract_prompt",
            "is_conversational",
            "is_conversational_from_value",
            "maybe_apply_chat_template",
            "maybe_convert_to_chatml",
            "maybe_extract_prompt",
            "maybe_unpair_preference_dataset",
            "prepare_multimodal_messages",
            "unpair_preference_dataset",
        ],
        ".grpo": ["GRPOConfig", "GRPOTrainer"],
        ".kto": ["BCOConfig", "BCOTrainer", "KTOConfig", "KTOTrainer"],
        ".packing": ["pack_dataset"],
        ".ppo": ["PPOConfig", "PPOTrainer"],
        ".preparing": ["AlignmentError", "create_reference_model"],
        ".reward": ["RewardConfig", "RewardTrainer"],
        ".rloo": ["RLOOConfig", "RLOOTrainer"],
        ".sft": ["SFTConfig", "SFTTrainer"],
        ".value_heads": [
            "AutoModelForCausalLMWithValueHead",
            "AutoModelForSeq2SeqLMWithValueHead",
            "PreTrainedModelWrapper",
        ],
        ".templates": [
            "clone_chat_template",
            "get_training_chat_template",
            "setup_chat_format",
            "supports_tool_calling",
        ],
    },
)
