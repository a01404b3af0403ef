"""ELECTRA's configuration."""

from __future__ import annotations

from enfold.transformers.configs.bert import BertConfig

__all__ = ["ElectraConfig"]


class ElectraConfig(BertConfig):
    """The numbers of an ELECTRA model; the defaults are those of electra-small-discriminator.

    BERT's fields, with embeddings of ``embedding_size`` and, for multiple choice, how a row is summed up
    (``summary_type``: ``first``, ``last``, ``mean`` or ``cls_index``).

    Example:
        >>> ElectraConfig().embedding_size
        128
    """

    model_type = "electra"

    embedding_size: int = 128
    hidden_size: int = 256
    num_attention_heads: int = 4
    intermediate_size: int = 1024
    summary_type: str = "first"
    summary_use_proj: bool = True
    summary_activation: str | None = "gelu"
    summary_last_dropout: float = 0.1
