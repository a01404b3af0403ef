"""RoBERTa's configuration."""

from __future__ import annotations

from enfold.transformers.configs.bert import BertConfig

__all__ = ["RobertaConfig"]


class RobertaConfig(BertConfig):
    """The numbers of a RoBERTa model: BERT's fields; positions are counted from ``pad_token_id`` + 1.

    Example:
        >>> RobertaConfig().pad_token_id
        1
    """

    model_type = "roberta"

    vocab_size: int = 50265
    pad_token_id: int | None = 1
    bos_token_id: int | None = 0
    eos_token_id: int | list[int] | None = 2
