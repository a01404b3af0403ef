"""M2M-100 (Fan et al., 2020, "Beyond English-Centric Multilingual Machine Translation") and NLLB (2022)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from enfold.transformers.configs.m2m_100 import M2M100Config
from enfold.transformers.models.bart import BartForConditionalGeneration, BartModel
from enfold.transformers.models.bart_core import BartDecoder, BartEncoder, BartPreTrainedModel

__all__ = ["M2M100Config", "M2M100ForConditionalGeneration", "M2M100Model", "M2M100PreTrainedModel"]


class Waves(nn.Module):
    """Positions as waves, sines in the first half of the columns and cosines in the second, computed as they come.

    Args:
        width: D.
        padding: the place of padding, which has no position.
    """

    def __init__(self, width: int, padding: int) -> None:
        super().__init__()
        self.width, self.padding = width, padding

    def forward(self, places: Tensor) -> Tensor:
        """Return (…, D) for places (…)."""
        half = self.width // 2
        slow = torch.exp(torch.arange(half, device=places.device).float() * -(math.log(10000.0) / (half - 1)))
        angles = places[..., None].float() * slow
        waves = nn.functional.pad(torch.cat((angles.sin(), angles.cos()), -1), (0, self.width % 2))
        return waves.masked_fill((places == self.padding)[..., None], 0.0)


class M2M100PreTrainedModel(BartPreTrainedModel):
    """What all M2M-100 models share."""

    config_class = M2M100Config
    norm_first = norm_last = True
    norm_embeddings = False
    logits_bias = False
    # old checkpoints stored the waves
    _keys_to_ignore_on_load_unexpected = [r"coder\.version$", r"embed_positions\.weights?$"]

    def positions(self) -> nn.Module:
        """Return what turns places (B | 1, T) into (B | 1, T, D)."""
        return Waves(self.config.d_model, self.config.pad_token_id)

    def places(self, input_ids: Tensor | None, x: Tensor, past: int) -> Tensor:
        """Return where the tokens are, (B | 1, T), counted from the one after the padding's place; padding has its."""
        pad = self.config.pad_token_id
        if input_ids is None:
            return super().places(input_ids, x, past) + pad + 1
        real = (input_ids != pad).long()
        return (real.cumsum(1) + past) * real + pad


class M2M100Encoder(BartEncoder, M2M100PreTrainedModel):
    """The part that reads."""


class M2M100Decoder(BartDecoder, M2M100PreTrainedModel):
    """The part that writes."""


class M2M100Model(BartModel, M2M100PreTrainedModel):
    """M2M-100 without a head."""

    encoder_kind, decoder_kind = M2M100Encoder, M2M100Decoder

    def decoder_inputs(
        self, input_ids: Tensor | None, decoder_input_ids: Tensor | None, decoder_inputs_embeds: Tensor | None
    ) -> Tensor | None:
        """Return what the decoder is given; nothing is made up."""
        return decoder_input_ids


class M2M100ForConditionalGeneration(BartForConditionalGeneration, M2M100PreTrainedModel):
    """M2M-100 that translates."""

    model_kind = M2M100Model
