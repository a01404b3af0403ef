"""BART's configuration, and what the families built on it share."""

from __future__ import annotations

from typing import Any

from enfold.transformers.config import PretrainedConfig

__all__ = ["BartConfig", "BartLikeConfig"]


class BartLikeConfig(PretrainedConfig):
    """The numbers that BART and the families built on it have in common."""

    keys_to_ignore_at_inference = ["past_key_values"]
    attribute_map = {
        "num_attention_heads": "encoder_attention_heads",
        "hidden_size": "d_model",
        "num_hidden_layers": "encoder_layers",
    }

    vocab_size: int = 50265
    max_position_embeddings: int = 1024
    encoder_layers: int = 12
    encoder_ffn_dim: int = 4096
    encoder_attention_heads: int = 16
    decoder_layers: int = 12
    decoder_ffn_dim: int = 4096
    decoder_attention_heads: int = 16
    encoder_layerdrop: float = 0.0
    decoder_layerdrop: float = 0.0
    activation_function: str = "gelu"
    d_model: int = 1024
    dropout: float = 0.1
    attention_dropout: float = 0.0
    activation_dropout: float = 0.0
    init_std: float = 0.02
    classifier_dropout: float = 0.0
    scale_embedding: bool = False
    use_cache: bool = True
    pad_token_id: int | None = 1
    bos_token_id: int | None = 0
    eos_token_id: int | list[int] | None = 2
    is_encoder_decoder: bool = True
    decoder_start_token_id: int | None = None
    forced_eos_token_id: int | list[int] | None = None
    is_decoder: bool = False
    tie_word_embeddings: bool = True


class BartConfig(BartLikeConfig):
    """The numbers of a BART model; the defaults are those of bart-large.

    Example:
        >>> BartConfig(encoder_layers=2).num_hidden_layers, BartConfig().num_labels
        (2, 3)
    """

    model_type = "bart"

    decoder_start_token_id: int | None = 2
    forced_eos_token_id: int | list[int] | None = 2

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if kwargs.get("id2label") is None:
            kwargs["num_labels"] = kwargs.get("num_labels", 3)  # entailment, neutral, contradiction
        super().__init__(*args, **kwargs)

    def complete(self) -> None:
        """Read the first token that summaries begin with, as files of 2020 spell it."""
        if (
            getattr(self, "force_bos_token_to_be_generated", False)
            and getattr(self, "forced_bos_token_id", None) is None
        ):
            self.forced_bos_token_id = self.bos_token_id
