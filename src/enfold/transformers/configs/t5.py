"""T5's configuration."""

from __future__ import annotations

from enfold.errors import EnfoldError
from enfold.transformers.config import PretrainedConfig

__all__ = ["T5Config"]


class T5Config(PretrainedConfig):
    """The numbers of a T5 model; the defaults are those of t5-small.

    T5 1.1 and Flan-T5 say ``feed_forward_proj="gated-gelu"`` and ``tie_word_embeddings=False``.

    Example:
        >>> T5Config(feed_forward_proj="gated-gelu").is_gated_act
        True
    """

    model_type = "t5"
    keys_to_ignore_at_inference = ["past_key_values"]
    attribute_map = {
        "hidden_size": "d_model",
        "num_attention_heads": "num_heads",
        "num_hidden_layers": "num_layers",
        "head_dim": "d_kv",
    }

    vocab_size: int = 32128
    d_model: int = 512
    d_kv: int = 64
    d_ff: int = 2048
    num_layers: int = 6
    num_decoder_layers: int = None  # type: ignore[assignment]  # as many as the encoder has
    num_heads: int = 8
    relative_attention_num_buckets: int = 32
    relative_attention_max_distance: int = 128
    dropout_rate: float = 0.1
    layer_norm_epsilon: float = 1e-6
    initializer_factor: float = 1.0
    feed_forward_proj: str = "relu"
    is_encoder_decoder: bool = True
    use_cache: bool = True
    pad_token_id: int | None = 0
    eos_token_id: int | list[int] | None = 1
    classifier_dropout: float = 0.0
    is_decoder: bool = False
    tie_word_embeddings: bool = True
    dense_act_fn: str = None  # type: ignore[assignment]  # both follow from feed_forward_proj
    is_gated_act: bool = None  # type: ignore[assignment]
    scale_decoder_outputs: bool = None  # type: ignore[assignment]  # where the head shares the embeddings

    def complete(self) -> None:
        """Fill in the decoder's layers, and what ``feed_forward_proj`` and the tying say."""
        if self.num_decoder_layers is None:
            self.num_decoder_layers = self.num_layers
        *gated, name = self.feed_forward_proj.split("-")
        if gated not in ([], ["gated"]):
            raise EnfoldError(f"feed_forward_proj={self.feed_forward_proj!r} is neither 'name' nor 'gated-name'")
        self.is_gated_act = bool(gated)
        self.dense_act_fn = "gelu_new" if gated and name == "gelu" else name
        if self.scale_decoder_outputs is None:
            self.scale_decoder_outputs = self.tie_word_embeddings is not False
