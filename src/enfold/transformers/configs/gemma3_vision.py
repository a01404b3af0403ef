"""Gemma 3's configuration, with its image encoder."""

from __future__ import annotations

from typing import Any

from enfold.transformers.configs.composite import CompositeConfig
from enfold.transformers.configs.gemma3 import Gemma3TextConfig
from enfold.transformers.configs.siglip import SiglipVisionConfig

__all__ = ["Gemma3Config"]


class Gemma3Config(CompositeConfig):
    """The numbers of a Gemma 3 that sees: its decoder's, its image encoder's, and how images stand in texts.

    Example:
        >>> config = Gemma3Config(vision_config={"patch_size": 14}, mm_tokens_per_image=64)
        >>> config.image_token_id, config.get_text_config().model_type
        (262144, 'gemma3_text')
    """

    model_type = "gemma3"
    keys_to_ignore_at_inference = ["past_key_values"]
    sub_configs = {"text_config": Gemma3TextConfig, "vision_config": SiglipVisionConfig}
    attribute_map = {
        "image_token_id": "image_token_index",
        "boi_token_id": "boi_token_index",
        "eoi_token_id": "eoi_token_index",
    }

    text_config: Any = None
    vision_config: Any = None
    mm_tokens_per_image: int = 256
    boi_token_index: int = 255999
    eoi_token_index: int = 256000
    image_token_index: int = 262144
    initializer_range: float = 0.02
    tie_word_embeddings: bool = True
