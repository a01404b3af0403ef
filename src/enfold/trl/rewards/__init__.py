"""Rewards that need no model: right answers, the form of reasoning, lengths and repetitions."""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        ".answers": ["accuracy_reward", "get_cosine_scaled_reward", "reasoning_accuracy_reward"],
        ".shapes": ["get_repetition_penalty_reward", "get_soft_overlong_punishment", "think_format_reward"],
    },
)
