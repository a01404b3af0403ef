"""BART (Lewis et al., 2020, "BART: Denoising Sequence-to-Sequence Pre-training").

Shapes: B rows, S tokens read, T tokens written, D width, V words.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from enfold.nn.linear import project
from enfold.transformers.configs.bart import BartConfig, BartLikeConfig
from enfold.transformers.heads import as_asked
from enfold.transformers.models.bart_core import BartDecoder, BartEncoder, BartLike, BartPreTrainedModel
from enfold.transformers.seq2seq import (
    ClassificationLayers,
    ConditionalGenerationHead,
    DecoderHead,
    EncoderDecoder,
    Seq2SeqClassificationHead,
    Seq2SeqQuestionAnsweringHead,
)

__all__ = [
    "BartConfig",
    "BartForCausalLM",
    "BartForConditionalGeneration",
    "BartForQuestionAnswering",
    "BartForSequenceClassification",
    "BartModel",
    "BartPreTrainedModel",
]


class BartModel(EncoderDecoder, BartPreTrainedModel):
    """BART without a head."""

    encoder_kind: ClassVar[type[BartEncoder]] = BartEncoder
    decoder_kind: ClassVar[type[BartDecoder]] = BartDecoder
    _tied_weights_keys = {
        "encoder.embed_tokens.weight": "shared.weight",
        "decoder.embed_tokens.weight": "shared.weight",
    }

    def __init__(self, config: BartLikeConfig) -> None:
        super().__init__(config)
        self.shared: Any = self.words(config.vocab_size)
        self.encoder = self.encoder_kind(config)
        self.decoder = self.decoder_kind(config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """Return the embedding of tokens."""
        return self.shared

    def set_input_embeddings(self, value: Any) -> None:
        """Replace the embedding of tokens, on both sides."""
        self.shared = self.encoder.embed_tokens = self.decoder.embed_tokens = value

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        *inputs: Any,
        decoder_inputs_embeds: Tensor | None = None,
        return_dict: bool | None = None,
        **named: Any,
    ) -> Any:
        """Return the decoder's states (B, T, D); arguments as ``EncoderDecoder.run``. Without decoder inputs they are
        the text that is read, one place later."""
        written = self.decoder_inputs(input_ids, decoder_input_ids, decoder_inputs_embeds)
        named["decoder_inputs_embeds"] = decoder_inputs_embeds
        output = self.run(input_ids, attention_mask, written, *inputs, **named)
        return as_asked(output, return_dict, self.config.return_dict)


class BartForConditionalGeneration(ConditionalGenerationHead, BartPreTrainedModel):
    """BART that answers a text with a text: summaries, translations.

    Example:
        >>> config = BartConfig(vocab_size=9, d_model=8, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=8,
        ...                     decoder_ffn_dim=8, encoder_attention_heads=2, decoder_attention_heads=2)
        >>> model = BartForConditionalGeneration(config).eval()
        >>> model.generate(torch.tensor([[5, 2]]), max_new_tokens=3, min_new_tokens=3, num_beams=1).shape
        torch.Size([1, 4])
    """

    model_kind: ClassVar[type[BartModel]] = BartModel
    _tied_weights_keys = {"lm_head.weight": "model.shared.weight"}
    final_logits_bias: Tensor

    def __init__(self, config: BartLikeConfig) -> None:
        super().__init__(config)
        self.model = self.model_kind(config)
        words = self.model.decoder.embed_tokens.num_embeddings
        self.lm_head = nn.Linear(config.d_model, words, bias=False)
        if self.logits_bias:
            self.register_buffer("final_logits_bias", torch.zeros(1, words))
        self.post_init()

    def read(self, states: Tensor) -> Tensor:
        """Return words' logits (B, T, V)."""
        logits = project(self.lm_head, states)
        return logits + self.final_logits_bias if self.logits_bias else logits

    def resize_token_embeddings(self, *args: Any, **kwargs: Any) -> nn.Embedding:
        """Give the model as many tokens as the tokenizer has; see ``PreTrainedModel.resize_token_embeddings``."""
        embedding = super().resize_token_embeddings(*args, **kwargs)
        self.fit_logits_bias()
        return embedding

    def fit_logits_bias(self) -> None:
        """Give the logits' bias as many words as the head has."""
        if self.logits_bias:
            old = self.final_logits_bias
            new = old.new_zeros(1, self.lm_head.out_features)
            kept = min(old.shape[1], new.shape[1])
            new[:, :kept] = old[:, :kept]
            self.final_logits_bias = new


class BartForSequenceClassification(Seq2SeqClassificationHead, BartPreTrainedModel):
    """BART with one prediction a row."""

    model_kind: ClassVar[type[BartModel]] = BartModel

    def __init__(self, config: BartLikeConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.model = self.model_kind(config)
        self.classification_head = ClassificationLayers(config.d_model, config.num_labels, config.classifier_dropout)
        self.post_init()


class BartForQuestionAnswering(Seq2SeqQuestionAnsweringHead, BartPreTrainedModel):
    """BART that marks an answer in a text."""

    model_kind: ClassVar[type[BartModel]] = BartModel

    def __init__(self, config: BartLikeConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels = 2
        self.model = self.model_kind(config)
        self.qa_outputs = nn.Linear(config.d_model, 2)
        self.post_init()


class DecoderAlone(BartPreTrainedModel):
    """A decoder under the name that it has beside an encoder."""

    decoder_kind: ClassVar[type[BartDecoder]] = BartDecoder
    _input_embed_layer = "decoder.embed_tokens"

    def __init__(self, config: BartLike) -> None:
        super().__init__(config)
        self.decoder = self.decoder_kind(config)
        self.post_init()

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """Run the decoder."""
        return self.decoder(*inputs, **named)


class BartForCausalLM(DecoderHead, BartPreTrainedModel):
    """BART's decoder alone, which continues a text."""

    model_kind: ClassVar[type[DecoderAlone]] = DecoderAlone
    _tied_weights_keys = {"lm_head.weight": "model.decoder.embed_tokens.weight"}

    def __init__(self, config: BartLikeConfig) -> None:
        config.is_decoder, config.is_encoder_decoder = True, False
        super().__init__(config)
        self.model = self.model_kind(config)
        self.lm_head = nn.Linear(config.d_model, self.model.decoder.embed_tokens.num_embeddings, bias=False)
        self.post_init()

    def read(self, states: Tensor) -> Tensor:
        """Return words' logits (B, T, V)."""
        return project(self.lm_head, states)
