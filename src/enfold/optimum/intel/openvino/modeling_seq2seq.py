"""Encoder-decoders: one graph reads, another writes and keeps its state."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from enfold.errors import EnfoldError
from enfold.optimum.intel.openvino.modeling_decoder import OVWriter, kept
from enfold.optimum.intel.openvino.state import StateCache
from enfold.transformers.config import PretrainedConfig
from enfold.transformers.generation.whisper import WhisperGenerationMixin
from enfold.transformers.outputs import BaseModelOutput, Seq2SeqLMOutput

__all__ = ["OVModelForSeq2SeqLM", "OVModelForSpeechSeq2Seq", "OVModelForVision2Seq"]


class OVEncoder:
    """The part that reads.

    Args:
        model: the whole.
    """

    def __init__(self, model: Any) -> None:
        self.parent, self.config, self.main_input_name = model, model.config, model.main_input_name
        self.device = model.device

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the graph; see ``forward``."""
        return self.forward(*args, **kwargs)

    forward: Any

    def _run(self, main: Tensor, mask: Tensor | None = None) -> BaseModelOutput:
        given = {self.main_input_name: main, "attention_mask": mask}
        if mask is None and self.main_input_name == "input_ids":
            given["attention_mask"] = torch.ones_like(main)
        made = self.parent.run("encoder_model", self.parent.prepared("encoder_model", given))
        return BaseModelOutput(last_hidden_state=torch.from_numpy(made["last_hidden_state"]))


class _TextEncoder(OVEncoder):
    def forward(  # type: ignore[override]
        self, input_ids: Tensor, attention_mask: Tensor | None = None, **_: Any
    ) -> BaseModelOutput:
        """Return the states (B, S, D) of a text (B, S)."""
        return self._run(input_ids, attention_mask)


class _SoundEncoder(OVEncoder):
    def forward(self, input_features: Tensor, **_: Any) -> BaseModelOutput:  # type: ignore[override]
        """Return the states (B, S, D) of spectrograms (B, M, F)."""
        return self._run(input_features)


class _ImageEncoder(OVEncoder):
    def forward(self, pixel_values: Tensor, **_: Any) -> BaseModelOutput:  # type: ignore[override]
        """Return the states (B, S, D) of images (B, channels, height, width)."""
        return self._run(pixel_values)


class OVModelForSeq2SeqLM(OVWriter):
    """A text turned into another."""

    export_feature = "text2text-generation"
    parts = ("encoder_model", "decoder_model")
    writer = "decoder_model"
    encoder_class: ClassVar[Any] = _TextEncoder

    def get_encoder(self) -> Any:
        """Return the part that reads."""
        if "_encoder" not in vars(self):
            self._encoder = self.encoder_class(self)
        return self._encoder

    @property
    def encoder(self) -> Any:
        """The part that reads."""
        return self.get_encoder()

    def prepare_inputs_for_generation(  # type: ignore[override]
        self, input_ids: Tensor, past_key_values: Any = None, attention_mask: Tensor | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Return the arguments of ``forward`` for the next step."""
        given = {"decoder_input_ids": input_ids, "past_key_values": past_key_values, "attention_mask": attention_mask}
        return {**given, **kwargs}

    def forward(  # type: ignore[override]
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        encoder_outputs: Any = None,
        past_key_values: StateCache | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        return_dict: bool | None = None,
        **extra: Any,
    ) -> Any:
        """Return next-token logits (B, T, V).

        Args:
            input_ids: (B, S), what is read; not needed with ``encoder_outputs``.
            attention_mask: (B, S), 0 for padding of it.
            decoder_input_ids: (B, T), the tokens written that the past does not hold yet.
            encoder_outputs: of an earlier run.
            past_key_values: of earlier steps of the same text; None begins a new one.
            use_cache: return the past.
            logits_to_keep: logits of this many last positions only; 0 keeps all.
            return_dict: False returns a tuple.
            extra: what else ``input_ids`` is called: ``input_features``, ``pixel_values``.
        """
        if decoder_input_ids is None:
            raise EnfoldError("decoder_input_ids are needed: what was written so far")
        written = extra.get("decoder_attention_mask")
        if written is not None and not bool(written.all()):
            raise EnfoldError("the graph takes no mask of what is written: give rows whose beginnings have one length")
        if encoder_outputs is None:
            main = extra.get(self.main_input_name, input_ids)
            if main is None:
                raise EnfoldError(f"one of {self.main_input_name} and encoder_outputs is needed")
            encoder_outputs = self.get_encoder()(main, attention_mask=attention_mask)
        states = encoder_outputs[0]
        cache = None
        if self.stateful:
            cache = past_key_values if isinstance(past_key_values, StateCache) else self.new_past()
        mask = torch.ones(states.shape[:2], dtype=torch.long) if attention_mask is None else attention_mask
        given = {"input_ids": decoder_input_ids, "encoder_hidden_states": states, "encoder_attention_mask": mask}
        if cache is not None:
            given["beam_idx"] = cache.next_rows(len(decoder_input_ids))
        made = self.run(self.writer, self.prepared(self.writer, given))
        if cache is not None:
            cache.filled += decoder_input_ids.shape[1]
        output = Seq2SeqLMOutput(
            logits=kept(made["logits"], logits_to_keep),
            past_key_values=None if use_cache is False else cache,
            encoder_last_hidden_state=states,
        )
        return output if return_dict is not False else output.to_tuple()


class OVModelForVision2Seq(OVModelForSeq2SeqLM):
    """An image described in words."""

    export_feature, main_input_name = "image-to-text", "pixel_values"
    encoder_class = _ImageEncoder


class OVModelForSpeechSeq2Seq(OVModelForSeq2SeqLM):
    """A recording written down."""

    export_feature, main_input_name = "automatic-speech-recognition", "input_features"
    encoder_class = _SoundEncoder

    @classmethod
    def _class_for(cls, config: PretrainedConfig) -> Any:
        return OVWhisper if config.model_type == "whisper" else cls


class OVWhisper(WhisperGenerationMixin, OVModelForSpeechSeq2Seq):  # type: ignore[misc]
    """Whisper, which listens to recordings of any length."""
