"""A model that looks at a picture and one that writes about it: captions, and text in pictures (Li et al., 2021,
"TrOCR: Transformer-based Optical Character Recognition with Pre-trained Models")."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from enfold.transformers.configs.vision_encoder_decoder import VisionEncoderDecoderConfig
from enfold.transformers.models.encoder_decoder import EncoderDecoderModel

__all__ = ["VisionEncoderDecoderConfig", "VisionEncoderDecoderModel"]


class VisionEncoderDecoderModel(EncoderDecoderModel):
    """Any model of pictures, and any that continues texts and looks at an encoder."""

    config_class = VisionEncoderDecoderConfig
    base_model_prefix = "vision_encoder_decoder"
    main_input_name = "pixel_values"
    masks_what_is_read = False

    def forward(  # type: ignore[override]
        self,
        pixel_values: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: Any = None,
        past_key_values: Any = None,
        decoder_inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        **named: Any,
    ) -> Any:
        """Return next-token logits (B, T, V) for pictures (B, channels, height, width); further arguments as
        ``EncoderDecoderModel.forward``."""
        named.pop("attention_mask", None)
        return super().forward(
            pixel_values,
            None,
            decoder_input_ids,
            decoder_attention_mask,
            encoder_outputs,
            past_key_values,
            None,
            decoder_inputs_embeds,
            labels,
            use_cache,
            **named,
        )
