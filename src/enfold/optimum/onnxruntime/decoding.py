"""Models that write, by our own ``generate``: a decoder in one graph; an encoder-decoder in two or three."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from enfold.errors import EnfoldError
from enfold.optimum.onnxruntime.caches import SessionCache, empty
from enfold.optimum.onnxruntime.model import ORTModel
from enfold.optimum.onnxruntime.sessions import tensor_of
from enfold.transformers.generation.mixin import GenerationMixin
from enfold.transformers.generation.whisper import WhisperGenerationMixin
from enfold.transformers.outputs import BaseModelOutput, CausalLMOutputWithPast, Seq2SeqLMOutput

__all__ = [
    "ORTModelForCausalLM",
    "ORTModelForSeq2SeqLM",
    "ORTModelForSpeechSeq2Seq",
    "ORTModelForVision2Seq",
]


class _Writer(ORTModel, GenerationMixin):  # type: ignore[misc]
    """Gives ``generate`` a cache that holds onnxruntime's own values."""

    def generate(self, *args: Any, **kwargs: Any) -> Any:
        """Write on; see ``GenerationMixin.generate``."""
        config = kwargs.get("generation_config") or (args[1] if len(args) > 1 else None) or self.generation_config
        wanted = kwargs.get("use_cache", config.use_cache)
        if not self._remembers:
            kwargs["use_cache"] = False
        elif kwargs.get("past_key_values") is None and wanted is not False:
            kwargs["past_key_values"] = SessionCache()
        return super().generate(*args, **kwargs)

    @property
    def _remembers(self) -> bool:
        return any(name.startswith("present") for session in self.sessions.values() for name in session.outputs)


class ORTModelForCausalLM(_Writer):
    """A decoder, of a graph with or without a past.

    Example:
        >>> model = ORTModelForCausalLM.from_pretrained("openai-community/gpt2", export=True)  # doctest: +SKIP
        >>> model.generate(**tokenizer("Hello", return_tensors="pt"), max_new_tokens=5)  # doctest: +SKIP
    """

    task = "text-generation"

    def forward(  # type: ignore[override]
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: SessionCache | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        return_dict: bool | None = None,
        **extra: Any,
    ) -> Any:
        """Return next-token logits (B, T, V).

        Args:
            input_ids: (B, T).
            attention_mask: (B, past + T), 0 for padding.
            position_ids: (B | 1, T); counted on from the past, without padding, by default.
            past_key_values: of earlier steps; it is changed.
            use_cache: return the cache.
            logits_to_keep: logits of this many last positions only; 0 keeps all.
            return_dict: False returns a tuple.
            extra: not looked at, but for inputs of the graph.
        """
        if input_ids is None:
            raise EnfoldError("input_ids are needed: a graph takes no embeddings")
        session, (rows, length) = self.session, input_ids.shape
        if past_key_values is not None and not isinstance(past_key_values, SessionCache):
            raise EnfoldError(f"past_key_values is a SessionCache here, not {type(past_key_values).__name__}")
        keeps = self._remembers
        cache = past_key_values if past_key_values is not None else SessionCache()
        past = cache.filled if keeps else 0
        mask = torch.ones(rows, past + length, dtype=torch.long) if attention_mask is None else attention_mask
        given: dict[str, Any] = {"input_ids": input_ids, "attention_mask": mask}
        if "position_ids" in session.inputs:
            if position_ids is None:
                counted = mask.long().cumsum(1) - 1
                position_ids = counted.clamp(min=0)[:, past:]
            given["position_ids"] = position_ids.expand(rows, length)
        if keeps:
            given |= cache.values or {
                name: empty(shape, rows, session.inputs[name])
                for name, shape in session.shapes.items()
                if name.startswith("past_key_values")
            }
        if "use_cache_branch" in session.inputs:
            given["use_cache_branch"] = torch.tensor([past > 0])
        given |= {name: value for name, value in extra.items() if name in session.inputs}
        made = session.run(given)
        if keeps:
            cache.keep(made, length)
        logits = _kept(tensor_of(made["logits"]), logits_to_keep)
        wanted = keeps and use_cache is not False
        output = CausalLMOutputWithPast(logits=logits, past_key_values=cache if wanted else None)
        return output if return_dict is not False else output.to_tuple()


class _Encoder:
    """The part that reads."""

    def __init__(self, model: ORTModel, main_input_name: str) -> None:
        self.session, self.config, self.main_input_name = model.sessions["encoder_model"], model.config, main_input_name

    @property
    def device(self) -> torch.device:
        """Where inputs are taken to."""
        return self.session.device

    def _run(self, main: Tensor, attention_mask: Tensor | None = None) -> BaseModelOutput:
        given = {next(iter(self.session.inputs)): main}
        if "attention_mask" in self.session.inputs:
            given["attention_mask"] = torch.ones_like(main) if attention_mask is None else attention_mask
        return BaseModelOutput(last_hidden_state=self.session(given)["last_hidden_state"])

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the graph; see ``forward``."""
        return self.forward(*args, **kwargs)

    forward: Any


class _TextEncoder(_Encoder):
    def forward(  # type: ignore[override]
        self, input_ids: Tensor, attention_mask: Tensor | None = None, **_: Any
    ) -> BaseModelOutput:
        """Return the states (B, S, D) of a text (B, S)."""
        return self._run(input_ids, attention_mask)


class _SoundEncoder(_Encoder):
    def forward(self, input_features: Tensor, **_: Any) -> BaseModelOutput:  # type: ignore[override]
        """Return the states (B, S, D) of spectrograms (B, M, F)."""
        return self._run(input_features)


class _ImageEncoder(_Encoder):
    def forward(self, pixel_values: Tensor, **_: Any) -> BaseModelOutput:  # type: ignore[override]
        """Return the states (B, S, D) of images (B, channels, height, width)."""
        return self._run(pixel_values)


class ORTModelForSeq2SeqLM(_Writer):
    """A text turned into another."""

    task: ClassVar[str] = "text2text-generation"
    graphs: ClassVar[tuple[str, ...]] = ("encoder_model", "decoder_model")
    further_graphs: ClassVar[tuple[str, ...]] = ("decoder_with_past_model",)
    encoder_class: ClassVar[Any] = _TextEncoder

    def get_encoder(self) -> Any:
        """Return the part that reads."""
        if "_encoder" not in vars(self):
            self._encoder = self.encoder_class(self, self.main_input_name)
        return self._encoder

    @property
    def encoder(self) -> Any:
        """The part that reads."""
        return self.get_encoder()

    @property
    def _remembers(self) -> bool:
        return "decoder_with_past_model" in self.sessions

    def prepare_inputs_for_generation(  # type: ignore[override]
        self,
        input_ids: Tensor,
        past_key_values: Any = None,
        attention_mask: Tensor | None = None,
        **kwargs: Any,
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
        past_key_values: SessionCache | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        return_dict: bool | None = None,
        **extra: Any,
    ) -> Any:
        """Return next-token logits (B, T, V).

        Args:
            input_ids: (B, S), what is read; not needed with ``encoder_outputs``.
            attention_mask: (B, S), 0 for padding of it.
            decoder_input_ids: (B, T), the tokens written that the cache does not hold yet.
            encoder_outputs: of an earlier run.
            past_key_values: of earlier steps; it is changed.
            use_cache: return the cache.
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
        cache = past_key_values if isinstance(past_key_values, SessionCache) else SessionCache()
        again = bool(cache.values)
        session = self.sessions["decoder_with_past_model" if again else "decoder_model"]
        given: dict[str, Any] = {"input_ids": decoder_input_ids, "encoder_hidden_states": states, **cache.values}
        if "encoder_attention_mask" in session.inputs:
            given["encoder_attention_mask"] = (
                torch.ones(states.shape[:2], dtype=torch.long) if attention_mask is None else attention_mask
            )
        made = session.run(given)
        if self._remembers:
            cache.keep(made, decoder_input_ids.shape[1])
        output = Seq2SeqLMOutput(
            logits=_kept(tensor_of(made["logits"]), logits_to_keep),
            past_key_values=cache if self._remembers and use_cache is not False else None,
            encoder_last_hidden_state=states,
        )
        return output if return_dict is not False else output.to_tuple()


class ORTModelForVision2Seq(ORTModelForSeq2SeqLM):
    """An image described in words."""

    task = "image-to-text"
    main_input_name = "pixel_values"
    encoder_class = _ImageEncoder


class ORTModelForSpeechSeq2Seq(WhisperGenerationMixin, ORTModelForSeq2SeqLM):  # type: ignore[misc]
    """A recording written down."""

    task = "automatic-speech-recognition"
    main_input_name = "input_features"
    encoder_class = _SoundEncoder


def _kept(logits: Tensor, keep: int | Tensor) -> Tensor:
    return logits[:, slice(-keep, None) if isinstance(keep, int) else keep]
