"""XLM-RoBERTa's configuration."""

from __future__ import annotations

from enfold.transformers.configs.roberta import RobertaConfig

__all__ = ["XLMRobertaConfig"]


class XLMRobertaConfig(RobertaConfig):
    """The numbers of an XLM-RoBERTa model: RoBERTa's fields.

    Example:
        >>> XLMRobertaConfig(vocab_size=250002).hidden_size
        768
    """

    model_type = "xlm-roberta"

    vocab_size: int = 30522
