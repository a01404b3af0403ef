"""Encoder-decoders: one graph reads, another writes and keeps its state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from enfold.optimum.intel.openvino.modeling_decoder import OVWriter
from enfold.optimum.runtimes.writing import EncoderDecoder
from enfold.transformers.config import PretrainedConfig
from enfold.transformers.generation.whisper import WhisperGenerationMixin

__all__ = ["OVModelForSeq2SeqLM", "OVModelForSpeechSeq2Seq", "OVModelForVision2Seq"]


class OVModelForSeq2SeqLM(OVWriter, EncoderDecoder):  # type: ignore[misc]
    """A text turned into another."""

    writer: ClassVar[str] = "decoder_model"

    def read(self, given: Mapping[str, Any]) -> Tensor:
        """Run the graph that reads and return its states (B, S, D)."""
        made = self.run("encoder_model", self.prepared("encoder_model", given))
        return torch.from_numpy(made["last_hidden_state"])


class OVModelForVision2Seq(OVModelForSeq2SeqLM):
    """An image described in words."""

    task, main_input_name = "image-to-text", "pixel_values"


class OVModelForSpeechSeq2Seq(OVModelForSeq2SeqLM):
    """A recording written down."""

    task, main_input_name = "automatic-speech-recognition", "input_features"

    @classmethod
    def _class_for(cls, config: PretrainedConfig) -> Any:
        return OVWhisper if config.model_type == "whisper" else cls


class OVWhisper(WhisperGenerationMixin, OVModelForSpeechSeq2Seq):  # type: ignore[misc]
    """Whisper, which listens to recordings of any length."""
