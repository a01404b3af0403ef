"""Pegasus (Zhang et al., 2020, "PEGASUS: Pre-training with Extracted Gap-sentences for Abstractive Summarization")."""

from __future__ import annotations

from typing import Any, ClassVar

from enfold.transformers.configs.pegasus import PegasusConfig
from enfold.transformers.models.bart import BartForCausalLM, BartForConditionalGeneration, BartModel, DecoderAlone
from enfold.transformers.models.bart_core import BartDecoder, BartEncoder, BartPreTrainedModel
from enfold.transformers.models.marian import SinusoidalPositions, WithSinusoids

__all__ = ["PegasusConfig", "PegasusForCausalLM", "PegasusForConditionalGeneration", "PegasusModel"]
__all__ += ["PegasusPreTrainedModel"]


class PegasusPreTrainedModel(WithSinusoids, BartPreTrainedModel):
    """What all Pegasus models share."""

    config_class = PegasusConfig
    norm_first = norm_last = True

    def resize_position_embeddings(self, new_num_position_embeddings: int) -> None:
        """Let the model read and write longer texts: positions are waves and go on for ever.

        Args:
            new_num_position_embeddings: how long.
        """
        self.config.max_position_embeddings = new_num_position_embeddings
        for part in self.modules():
            if isinstance(part, _Side):
                part.embed_positions = self.positions().to(self.device, self.dtype)

    def get_position_embeddings(self) -> Any:
        """Return the positions of this side, or of both, the reading one first."""
        found = tuple(part for part in self.modules() if isinstance(part, SinusoidalPositions))
        return found[0] if len(found) == 1 else found


class PegasusEncoder(BartEncoder, PegasusPreTrainedModel):
    """The part that reads."""


class PegasusDecoder(BartDecoder, PegasusPreTrainedModel):
    """The part that writes."""


_Side = (PegasusEncoder, PegasusDecoder)


class PegasusModel(BartModel, PegasusPreTrainedModel):
    """Pegasus without a head."""

    encoder_kind, decoder_kind = PegasusEncoder, PegasusDecoder


class PegasusForConditionalGeneration(BartForConditionalGeneration, PegasusPreTrainedModel):
    """Pegasus that writes summaries."""

    model_kind = PegasusModel


class PegasusDecoderAlone(DecoderAlone, PegasusPreTrainedModel):
    """The decoder alone."""

    decoder_kind: ClassVar[type[BartDecoder]] = PegasusDecoder


class PegasusForCausalLM(BartForCausalLM, PegasusPreTrainedModel):
    """Pegasus's decoder alone, which continues a text."""

    model_kind = PegasusDecoderAlone
