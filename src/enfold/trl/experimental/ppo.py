"""Another name of what ``enfold.trl`` has for PPO."""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        "enfold.trl.ppo": ["PPOConfig", "PPOTrainer"],
        "enfold.trl.value_heads": [
            "AutoModelForCausalLMWithValueHead",
            "AutoModelForSeq2SeqLMWithValueHead",
            "PreTrainedModelWrapper",
        ],
    },
)
