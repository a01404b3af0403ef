"""Models that write, by our own ``generate``: a decoder in one graph; an encoder and a decoder.

A runtime says what it remembers (``remembers``, ``new_past``), how the reading graph is run (``read``) and how one step
is written (``step``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from enfold.errors import EnfoldError
from enfold.optimum.runtimes.caches import GrowingCache
from enfold.optimum.runtimes.model import RuntimeModel
from enfold.transformers.generation.mixin import GenerationMixin
from enfold.transformers.outputs import BaseModelOutput, CausalLMOutputWithPast, Seq2SeqLMOutput

__all__ = ["Decoder", "EncoderDecoder", "Writer", "kept"]


class Writer(RuntimeModel, GenerationMixin):  # type: ignore[misc]
    """What both kinds share: a past of the runtime's own."""

    cache_class: ClassVar[type[GrowingCache]]
    writer: ClassVar[str] = "model"  # the graph that writes

    @property
    def remembers(self) -> bool:
        """Whether the graphs keep the past between two calls."""
        raise TypeError(f"{type(self).__name__} is a base; a runtime's class knows its graphs")

    def new_past(self) -> Any:
        """Return the empty past of a new text."""
        raise TypeError(f"{type(self).__name__} is a base; a runtime's class keeps the past")

    def step(self, given: dict[str, Any], past: Any, tokens: int, keep: int | Tensor) -> Tensor:
        """Run the graph that writes and return its logits (B, kept of T, V).

        Args:
            given: its inputs by name, without the past; the graph may take fewer.
            past: of a class ``cache_class``, which is changed; None where nothing is remembered.
            tokens: T, how many are given.
            keep: see ``kept``.
        """
        raise TypeError(f"{type(self).__name__} is a base; a runtime's class runs its graphs")

    def generate(self, *args: Any, **kwargs: Any) -> Any:
        """Write on; see ``GenerationMixin.generate``."""
        wanted = kwargs.get("use_cache")
        if wanted is None:
            config = kwargs.get("generation_config") or (args[1] if len(args) > 1 else None) or self.generation_config
            wanted = config.use_cache
        if not self.remembers:
            kwargs["use_cache"] = False
        elif kwargs.get("past_key_values") is None and wanted is not False:
            kwargs["past_key_values"] = self.new_past()
        return super().generate(*args, **kwargs)


def kept(logits: Any, keep: int | Tensor) -> Any:
    """Return logits (B, T, V) of the last ``keep`` positions, or those at its indices; 0 keeps all.

    Example:
        >>> kept(torch.zeros(1, 5, 9), 2).shape, kept(torch.zeros(1, 5, 9), 0).shape
        (torch.Size([1, 2, 9]), torch.Size([1, 5, 9]))
    """
    if isinstance(keep, int):
        return logits if keep in (0, logits.shape[1]) else logits[:, -keep:]
    return logits[:, keep]


class Decoder(Writer):
    """A decoder, of a graph with or without a past."""

    task: ClassVar[str] = "text-generation"

    def forward(  # type: ignore[override]
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Any = None,
        past_key_values: Any = None,
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
            past_key_values: of earlier steps of the same text, and it is changed; None begins a new one.
            use_cache: return the past.
            logits_to_keep: logits of this many last positions only; 0 keeps all.
            return_dict: False returns a tuple.
            extra: not looked at, but for inputs of the graph.
        """
        if input_ids is None:
            raise EnfoldError("input_ids are needed: a graph takes no embeddings")
        if past_key_values is not None and not isinstance(past_key_values, self.cache_class):
            wanted, found = self.cache_class.__name__, type(past_key_values).__name__
            raise EnfoldError(f"past_key_values is a {wanted} here, not {found}")
        rows, length = input_ids.shape
        past = None
        if self.remembers:
            past = self.new_past() if past_key_values is None else past_key_values
        begin = 0 if past is None else past.filled
        mask: Any = attention_mask
        if mask is None:
            mask = np.ones((rows, begin + length), np.int64)
            if position_ids is None:
                position_ids = np.arange(begin, begin + length)[None].repeat(rows, 0)
        elif position_ids is None:
            position_ids = (mask.long().cumsum(1) - 1).clamp(min=0)[:, begin:]
        if position_ids.shape[0] != rows:
            position_ids = position_ids.expand(rows, length)
        given = {"input_ids": input_ids, "attention_mask": mask, "position_ids": position_ids}
        logits = self.step({**extra, **given}, past, length, logits_to_keep)
        output = CausalLMOutputWithPast(logits=logits, past_key_values=None if use_cache is False else past)
        return output if return_dict is not False else output.to_tuple()


class Encoder:
    """The part that reads.

    Args:
        model: the whole.
    """

    def __init__(self, model: Any) -> None:
        self.whole, self.config, self.main_input_name = model, model.config, model.main_input_name

    @property
    def device(self) -> torch.device:
        """Where inputs are taken to."""
        device: torch.device = self.whole.device
        return device

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the graph; see ``forward``."""
        return self.forward(*args, **kwargs)

    forward: Any

    def _run(self, main: Tensor, **more: Tensor) -> BaseModelOutput:
        return BaseModelOutput(last_hidden_state=self.whole.read({self.main_input_name: main, **more}))


class TextEncoder(Encoder):
    """Reads words."""

    def forward(  # type: ignore[override]
        self, input_ids: Tensor, attention_mask: Tensor | None = None, **_: Any
    ) -> BaseModelOutput:
        """Return the states (B, S, D) of a text (B, S)."""
        return self._run(
            input_ids, attention_mask=torch.ones_like(input_ids) if attention_mask is None else attention_mask
        )


class SoundEncoder(Encoder):
    """Listens."""

    def forward(self, input_features: Tensor, **_: Any) -> BaseModelOutput:  # type: ignore[override]
        """Return the states (B, S, D) of spectrograms (B, M, F)."""
        return self._run(input_features)


class ImageEncoder(Encoder):
    """Looks."""

    def forward(self, pixel_values: Tensor, **_: Any) -> BaseModelOutput:  # type: ignore[override]
        """Return the states (B, S, D) of images (B, channels, height, width)."""
        return self._run(pixel_values)


ENCODERS = {"input_ids": TextEncoder, "input_features": SoundEncoder, "pixel_values": ImageEncoder}


class EncoderDecoder(Writer):
    """A text, recording or image turned into a text."""

    task: ClassVar[str] = "text2text-generation"
    parts: ClassVar[tuple[str, ...]] = ("encoder_model", "decoder_model")
    writer: ClassVar[str] = "decoder_model"

    def read(self, given: Mapping[str, Any]) -> Tensor:
        """Run the graph that reads and return its states (B, S, D)."""
        raise TypeError(f"{type(self).__name__} is a base; a runtime's class runs its graphs")

    def get_encoder(self) -> Any:
        """Return the part that reads."""
        if "_encoder" not in vars(self):
            self._encoder = ENCODERS[self.main_input_name](self)
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
        past_key_values: Any = None,
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
            past_key_values: of earlier steps of the same text, and it is changed; None begins a new one.
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
        past = None
        if self.remembers:
            past = past_key_values if isinstance(past_key_values, self.cache_class) else self.new_past()
        mask = torch.ones(states.shape[:2], dtype=torch.long) if attention_mask is None else attention_mask
        given = {"input_ids": decoder_input_ids, "encoder_hidden_states": states, "encoder_attention_mask": mask}
        output = Seq2SeqLMOutput(
            logits=self.step(given, past, decoder_input_ids.shape[1], logits_to_keep),
            past_key_values=None if use_cache is False else past,
            encoder_last_hidden_state=states,
        )
        return output if return_dict is not False else output.to_tuple()
