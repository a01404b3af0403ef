"""Whole heads that encoders share: a family says how its base model is made, and inherits the rest.

Shapes: B rows, T tokens, D width, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from enfold.log import get_logger
from enfold.nn.activations import activation
from enfold.transformers.heads import (
    CausalLMHead,
    Head,
    MultipleChoiceHead,
    QuestionAnsweringHead,
    SequenceClassificationHead,
    TokenClassificationHead,
)

__all__ = [
    "DecodingEncoder",
    "EncoderHead",
    "FirstTokenClassifier",
    "PooledClassifier",
    "PooledMultipleChoice",
    "PooledSequenceClassifier",
    "QuestionAnswerer",
    "TokenClassifier",
    "TwoLayerClassifier",
]

logger = get_logger(__name__)


def head_dropout(config: Any) -> float:
    """Return how much heads drop: what the configuration says for classifiers, or else for the layers."""
    for name in ("classifier_dropout", "classifier_dropout_prob"):
        if getattr(config, name, None) is not None:
            return getattr(config, name)
    return config.hidden_dropout_prob


class EncoderHead(Head):
    """Puts the family's base model under the family's prefix.

    Args:
        config: its numbers.
        pooled: make the summary of the first token too.
    """

    if TYPE_CHECKING:

        def make_encoder(self, config: Any, pooled: bool) -> nn.Module:
            """Return the family's base model."""

    def __init__(self, config: Any, pooled: bool = False) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        setattr(self, self.base_model_prefix, self.make_encoder(config, pooled))


class PooledClassifier(EncoderHead):
    """A linear layer on the pooled first token."""

    classes: ClassVar[int | None] = None  # None reads the configuration
    drop: Callable[[Any], float] = staticmethod(head_dropout)

    def __init__(self, config: Any) -> None:
        super().__init__(config, pooled=True)
        self.dropout = nn.Dropout(self.drop(config))
        self.classifier = nn.Linear(config.hidden_size, self.classes or config.num_labels)
        self.post_init()

    def read(self, output: Any) -> Tensor:
        """Return logits (B, C)."""
        return self.classifier(self.dropout(output.pooler_output))


class PooledSequenceClassifier(SequenceClassificationHead, PooledClassifier):
    """One prediction a row."""


class PooledMultipleChoice(MultipleChoiceHead, PooledClassifier):
    """A choice among texts."""

    classes = 1


class TwoLayerClassifier(nn.Module):
    """Two layers on the first token.

    Args:
        config: its numbers.
        act: the activation between the layers, by name.
        dropout: before each layer.
    """

    def __init__(self, config: Any, act: str, dropout: float) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.act = activation(act)
        self.dropout = nn.Dropout(dropout)
        self.out_proj = nn.Linear(config.hidden_size, config.num_labels)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C) for (B, T, D)."""
        return self.out_proj(self.dropout(self.act(self.dense(self.dropout(x[:, 0])))))


class FirstTokenClassifier(SequenceClassificationHead, EncoderHead):
    """One prediction a row, of two layers on the first token."""

    act: ClassVar[str] = "tanh"

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.classifier = TwoLayerClassifier(config, self.act, head_dropout(config))
        self.post_init()

    def read(self, output: Any) -> Tensor:
        """Return logits (B, C)."""
        return self.classifier(output.last_hidden_state)


class TokenClassifier(TokenClassificationHead, EncoderHead):
    """One prediction a token."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.dropout = nn.Dropout(head_dropout(config))
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def read(self, output: Any) -> Tensor:
        """Return logits (B, T, C)."""
        return self.classifier(self.dropout(output.last_hidden_state))


class QuestionAnswerer(QuestionAnsweringHead, EncoderHead):
    """Where an answer starts and ends."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.qa_outputs = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def read(self, output: Any) -> Tensor:
        """Return logits (B, T, 2)."""
        return self.qa_outputs(output.last_hidden_state)


class DecodingEncoder(CausalLMHead, EncoderHead):
    """An encoder that continues a text; ``config.is_decoder`` makes its attention causal."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        if not config.is_decoder:
            name = type(self).__name__
            logger.warning("%s without config.is_decoder=True sees the whole text, also what follows", name)


def positions_after_padding(input_ids: Tensor | None, embedded: Tensor, padding: int, past: int = 0) -> Tensor:
    """Return positions (B | 1, T) that count real tokens from ``padding`` + 1, as fairseq's models do.

    Args:
        input_ids: (B, T); padding tokens get the position ``padding``. None counts every token.
        embedded: (B, T, D), the embedded words.
        padding: the id of padding.
        past: how many tokens came before.

    Example:
        >>> positions_after_padding(torch.tensor([[5, 6, 1]]), torch.zeros(1, 3, 2), 1).tolist()
        [[2, 3, 1]]
    """
    if input_ids is None:
        return torch.arange(padding + 1, padding + 1 + embedded.shape[1], device=embedded.device)[None]
    real = (input_ids != padding).long()
    return (real.cumsum(1) + past) * real + padding
