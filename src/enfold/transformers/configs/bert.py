"""BERT's configuration."""

from __future__ import annotations

from enfold.transformers.config import PretrainedConfig

__all__ = ["BertConfig"]


class BertConfig(PretrainedConfig):
    """The numbers of a BERT model; the defaults are those of bert-base-uncased.

    Example:
        >>> BertConfig(num_hidden_layers=2).num_hidden_layers
        2
    """

    model_type = "bert"

    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    pad_token_id: int | None = 0
    use_cache: bool = True
    classifier_dropout: float | None = None
    is_decoder: bool = False
    add_cross_attention: bool = False
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    tie_word_embeddings: bool = True
