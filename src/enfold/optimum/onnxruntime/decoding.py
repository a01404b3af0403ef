"""Models that write: a decoder in one graph; an encoder-decoder in two or three."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from enfold.optimum.onnxruntime.caches import SessionCache, empty
from enfold.optimum.onnxruntime.model import ORTModel
from enfold.optimum.onnxruntime.sessions import Session, tensor_of
from enfold.optimum.runtimes.caches import GrowingCache
from enfold.optimum.runtimes.writing import Decoder, EncoderDecoder, kept
from enfold.transformers.generation.whisper import WhisperGenerationMixin

__all__ = [
    "ORTModelForCausalLM",
    "ORTModelForSeq2SeqLM",
    "ORTModelForSpeechSeq2Seq",
    "ORTModelForVision2Seq",
]

TEXT = ("input_ids", "attention_mask", "position_ids", "use_cache_branch")
LONG = 64  # tokens from which a second reading of the weights is less than the scores of all words for each


class _Writer(ORTModel):
    """Gives ``generate`` a past that holds onnxruntime's own values."""

    cache_class: ClassVar[type[GrowingCache]] = SessionCache

    @property
    def remembers(self) -> bool:
        """Whether a graph gives keys and values."""
        return any(name.startswith("present") for session in self.sessions.values() for name in session.outputs)

    def new_past(self) -> SessionCache:
        """Return the empty past of a new text."""
        return SessionCache()

    def _session_for(self, past: SessionCache | None) -> Session:
        return self.session

    def step(self, given: dict[str, Any], past: SessionCache | None, tokens: int, keep: int | Tensor) -> Tensor:
        """Run the graph that writes and return its logits (B, kept of T, V); keys and values are the next step's."""
        return kept(tensor_of(self._run(given, past, tokens)["logits"]), keep)

    def _run(
        self, given: dict[str, Any], past: SessionCache | None, tokens: int, logits: bool = True
    ) -> dict[str, Any]:
        """Run the graph that writes and return its outputs; without ``logits`` only keys and values are computed."""
        session = self._session_for(past)
        if past is not None:
            rows = len(given["input_ids"])
            given |= past.values or {
                name: empty(shape, rows, session.inputs[name])
                for name, shape in session.shapes.items()
                if name.startswith("past_key_values")
            }
        if "use_cache_branch" in session.inputs:
            given["use_cache_branch"] = torch.tensor([past is not None and past.filled > 0])
        outputs = None if logits else [name for name in session.outputs if name.startswith("present")]
        made = session.run(given, outputs, alone=not logits)
        if past is not None:
            past.keep(made, tokens)
        return made


class ORTModelForCausalLM(_Writer, Decoder):  # type: ignore[misc]
    """A decoder, of a graph with or without a past.

    Example:
        >>> model = ORTModelForCausalLM.from_pretrained("openai-community/gpt2", export=True)  # doctest: +SKIP
        >>> model.generate(**tokenizer("Hello", return_tensors="pt"), max_new_tokens=5)  # doctest: +SKIP
    """

    def step(self, given: dict[str, Any], past: SessionCache | None, tokens: int, keep: int | Tensor) -> Tensor:
        """Run the graph and return its logits (B, kept of T, V).

        Of a long prompt all but the end is read first, without computing which words may follow each of its tokens.
        """
        if past is not None and isinstance(keep, int) and 0 < keep <= tokens - LONG and self._reads_in_parts:
            first = tokens - keep
            ids, places = given["input_ids"], given["position_ids"]
            mask = given["attention_mask"][:, : past.filled + first]
            begin = {"input_ids": ids[:, :first], "attention_mask": mask, "position_ids": places[:, :first]}
            self._run({**given, **begin}, past, first, logits=False)
            given = {**given, "input_ids": ids[:, first:], "position_ids": places[:, first:]}
            tokens = keep
        return super().step(given, past, tokens, keep)

    @property
    def _reads_in_parts(self) -> bool:
        """Whether nothing that the graph is given of the text is unknown here, and so can be cut."""
        return all(name in TEXT or name.startswith("past_key_values") for name in self.session.inputs)


class ORTModelForSeq2SeqLM(_Writer, EncoderDecoder):  # type: ignore[misc]
    """A text turned into another."""

    further_parts: ClassVar[tuple[str, ...]] = ("decoder_with_past_model",)

    @property
    def remembers(self) -> bool:
        """Whether there is a graph for the steps after the first."""
        return "decoder_with_past_model" in self.sessions

    def _session_for(self, past: SessionCache | None) -> Session:
        return self.sessions["decoder_with_past_model" if past is not None and past.values else "decoder_model"]

    def read(self, given: Mapping[str, Any]) -> Tensor:
        """Run the graph that reads, whatever it calls its first input, and return its states (B, S, D)."""
        first = self.input_names("encoder_model")[0]
        given = {first if name == self.main_input_name else name: value for name, value in given.items()}
        return self.sessions["encoder_model"](self.completed("encoder_model", given))["last_hidden_state"]


class ORTModelForVision2Seq(ORTModelForSeq2SeqLM):
    """An image described in words."""

    task = "image-to-text"
    main_input_name = "pixel_values"


class ORTModelForSpeechSeq2Seq(WhisperGenerationMixin, ORTModelForSeq2SeqLM):  # type: ignore[misc]
    """A recording written down."""

    task = "automatic-speech-recognition"
    main_input_name = "input_features"
