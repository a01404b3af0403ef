"""Marian (Junczys-Dowmunt et al., 2018, "Marian: Fast Neural Machine Translation in C++"): the OPUS-MT translators."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from enfold.errors import EnfoldError
from enfold.nn.embedding import Positions, resize_embedding, resize_linear
from enfold.transformers.configs.marian import MarianConfig
from enfold.transformers.models.bart import BartForCausalLM, BartForConditionalGeneration, BartModel, DecoderAlone
from enfold.transformers.models.bart_core import BartDecoder, BartEncoder, BartPreTrainedModel

__all__ = ["MarianConfig", "MarianForCausalLM", "MarianMTModel", "MarianModel", "MarianPreTrainedModel"]


def sinusoids(length: int, width: int) -> Tensor:
    """Return waves (length, width) that tell places apart: sines in the first half of the columns, cosines in the
    second (Vaswani et al., 2017, section 3.5, not interleaved)."""
    pairs = torch.arange((width + 1) // 2, dtype=torch.float64)
    angles = torch.arange(length, dtype=torch.float64)[:, None] / 10000.0 ** (2 * pairs / width)
    return torch.cat((angles.sin(), angles[:, : width // 2].cos()), 1).float()


class SinusoidalPositions(Positions):
    """Positions that are computed, yet stand in checkpoints."""

    def __init__(self, length: int, width: int) -> None:
        super().__init__(length, width)
        self.weight.requires_grad_(False)


class WithSinusoids(BartPreTrainedModel):
    """Positions are waves, words are scaled where the text enters, embeddings are not normalised."""

    norm_embeddings = False
    scales_given = True

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, SinusoidalPositions):
            module.weight.copy_(sinusoids(*module.weight.shape))

    def positions(self) -> nn.Module:
        """Return what turns places (B | 1, T) into (B | 1, T, D)."""
        return SinusoidalPositions(self.config.max_position_embeddings, self.config.d_model)


class MarianPreTrainedModel(WithSinusoids):
    """What all Marian models share."""

    config_class = MarianConfig
    _keys_to_ignore_on_load_missing = [r"final_logits_bias$", r"embed_positions\.weight$"]


class MarianEncoder(BartEncoder, MarianPreTrainedModel):
    """The part that reads."""


class MarianDecoder(BartDecoder, MarianPreTrainedModel):
    """The part that writes."""


class MarianModel(BartModel, MarianPreTrainedModel):
    """Marian without a head; both sides may have words of their own (``share_encoder_decoder_embeddings=False``)."""

    encoder_kind, decoder_kind = MarianEncoder, MarianDecoder

    def __init__(self, config: MarianConfig) -> None:
        super().__init__(config)
        if not config.share_encoder_decoder_embeddings:
            del self.shared

    def own_tied_names(self) -> dict[str, str]:
        """Return name → the name whose parameter it shares."""
        return super().own_tied_names() if self.config.share_encoder_decoder_embeddings else {}

    def get_input_embeddings(self) -> nn.Module:
        """Return the embedding of what is read."""
        return self.encoder.embed_tokens

    def set_input_embeddings(self, value: Any) -> None:
        """Replace the embedding of what is read, and of what is written where they share it."""
        if self.config.share_encoder_decoder_embeddings:
            super().set_input_embeddings(value)
        else:
            self.encoder.embed_tokens = value


class MarianMTModel(BartForConditionalGeneration, MarianPreTrainedModel):
    """Marian that translates."""

    model_kind = MarianModel
    _keys_to_ignore_on_save = [r"embed_positions\.weight$"]
    _tied_weights_keys = {"lm_head.weight": "model.decoder.embed_tokens.weight"}

    def resize_token_embeddings(self, *args: Any, **kwargs: Any) -> nn.Embedding:
        """Give the model as many tokens as the tokenizer has; only those that are read, where both sides have their
        own words."""
        if self.config.share_encoder_decoder_embeddings:
            embedding = super().resize_token_embeddings(*args, **kwargs)
            self.config.decoder_vocab_size = embedding.num_embeddings
            return embedding
        return self.model.resize_token_embeddings(*args, **kwargs)

    def resize_decoder_token_embeddings(self, new_num_tokens: int) -> nn.Embedding:
        """Give the writing side as many tokens as its tokenizer has.

        Args:
            new_num_tokens: how many.

        Raises:
            EnfoldError: where both sides share their words.
        """
        if self.config.share_encoder_decoder_embeddings:
            raise EnfoldError("encoder and decoder share their words: use resize_token_embeddings")
        std = self.config.init_std
        new = resize_embedding(self.model.decoder.embed_tokens, new_num_tokens, std=std)
        self.model.decoder.embed_tokens = new
        self.lm_head = resize_linear(self.lm_head, new_num_tokens, std=std)
        self.fit_logits_bias()
        self.config.decoder_vocab_size = new_num_tokens
        self.tie_weights()
        return new


class MarianDecoderAlone(DecoderAlone, MarianPreTrainedModel):
    """The decoder alone."""

    decoder_kind: ClassVar[type[BartDecoder]] = MarianDecoder


class MarianForCausalLM(BartForCausalLM, MarianPreTrainedModel):
    """Marian's decoder alone, which continues a text."""

    model_kind = MarianDecoderAlone
