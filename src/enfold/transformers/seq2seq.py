"""What encoder-decoder families share: reading, then writing, and the heads on top.

A family gives ``encoder`` and ``decoder``; a head calls ``self.base_model.run`` and reads its states. Shapes: B rows,
S tokens read, T tokens written, D width, V words, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from enfold.errors import EnfoldError
from enfold.nn.losses import classification_loss, span_loss, token_loss
from enfold.transformers.generation.mixin import GenerationMixin
from enfold.transformers.heads import as_asked
from enfold.transformers.outputs import (
    BaseModelOutput,
    CausalLMOutputWithCrossAttentions,
    Seq2SeqLMOutput,
    Seq2SeqModelOutput,
    Seq2SeqQuestionAnsweringModelOutput,
    Seq2SeqSequenceClassifierOutput,
)

if TYPE_CHECKING:
    from enfold.transformers.modeling import PreTrainedModel

    Base = PreTrainedModel
else:
    Base = object

__all__ = [
    "ClassificationLayers",
    "ConditionalGenerationHead",
    "DecoderHead",
    "EncoderDecoder",
    "Seq2SeqClassificationHead",
    "Seq2SeqQuestionAnsweringHead",
    "encoded",
    "shift_right",
    "surviving",
]


def shift_right(labels: Tensor, pad: int | None, start: int | None) -> Tensor:
    """Return what a decoder is given to learn ``labels``: the same tokens one place later, after a start token.

    Args:
        labels: (B, T), -100 where there is nothing to learn.
        pad: takes the place of -100.
        start: the first token.

    Example:
        >>> shift_right(torch.tensor([[5, 6, -100]]), pad=0, start=2).tolist()
        [[2, 5, 6]]
    """
    if start is None or pad is None:
        name = "decoder_start_token_id" if start is None else "pad_token_id"
        raise EnfoldError(f"config.{name} is not set: a decoder's inputs cannot be made of labels without it")
    shifted = labels.roll(1, -1)
    shifted[..., 0] = start
    return shifted.masked_fill(shifted == -100, pad)


def surviving(layers: Iterable[nn.Module], rate: float, training: bool) -> list[nn.Module]:
    """Return the layers that run: in training each is left out with probability ``rate`` (LayerDrop, Fan et al., 2019).

    Args:
        layers: all layers.
        rate: 0 keeps all.
        training: outside of training all run.
    """
    return [layer for layer in layers if not (training and rate > 0.0 and float(torch.rand([])) < rate)]


def encoded(outputs: Any) -> BaseModelOutput:
    """Return an encoder's output, given as one or as its tuple (states, hidden states, attentions)."""
    if isinstance(outputs, tuple | list):
        return BaseModelOutput(*outputs[:3])
    if isinstance(outputs, Tensor):
        raise EnfoldError("encoder_outputs is a tensor; pass (tensor,), or BaseModelOutput(last_hidden_state=tensor)")
    return outputs


class EncoderDecoder(Base):
    """Reads with ``self.encoder``, writes with ``self.decoder``."""

    encoder: Any
    decoder: Any

    def get_encoder(self) -> Any:
        """Return the part that reads."""
        return self.encoder

    def get_decoder(self) -> Any:
        """Return the part that writes."""
        return self.decoder

    def start_of(self, tokens: Tensor) -> Tensor:
        """Return the decoder's inputs that go with ``tokens`` (B, T)."""
        return shift_right(tokens, self.config.pad_token_id, self.config.decoder_start_token_id)

    def decoder_inputs(
        self, input_ids: Tensor | None, decoder_input_ids: Tensor | None, decoder_inputs_embeds: Tensor | None
    ) -> Tensor | None:
        """Return what the decoder is given: by default the text that is read, one place later (BART's pretraining).

        Raises:
            EnfoldError: where there is nothing to make it of.
        """
        if decoder_input_ids is not None or decoder_inputs_embeds is not None:
            return decoder_input_ids
        if input_ids is None:
            raise EnfoldError("one of decoder_input_ids, decoder_inputs_embeds and input_ids is needed")
        return self.start_of(input_ids)

    def run(
        self,
        inputs: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: Any = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        encoder_options: dict[str, Any] | None = None,
        **decoder_options: Any,
    ) -> Seq2SeqModelOutput:
        """Read, unless ``encoder_outputs`` says what was read, and write.

        Args:
            inputs: what the encoder reads: ids (B, S), or recordings, or images.
            attention_mask: (B, S), 0 for padding of what is read.
            decoder_input_ids: (B, T).
            decoder_attention_mask: (B, T with the past), 0 for padding of what is written.
            encoder_outputs: of an earlier run.
            past_key_values: keys and values of tokens written before.
            inputs_embeds: (B, S, D), instead of ``inputs``.
            decoder_inputs_embeds: (B, T, D), instead of ``decoder_input_ids``.
            use_cache: return the cache.
            output_attentions, output_hidden_states: record them.
            encoder_options, decoder_options: further arguments of the two parts.
        """
        asked = {"output_attentions": output_attentions, "output_hidden_states": output_hidden_states}
        if encoder_outputs is None:
            if inputs is None and inputs_embeds is None:
                raise EnfoldError(f"one of {self.main_input_name}, inputs_embeds and encoder_outputs is needed")
            given = {} if inputs_embeds is None else {"inputs_embeds": inputs_embeds}
            encoder_outputs = self.encoder(
                inputs, attention_mask=attention_mask, **given, **asked, **(encoder_options or {}), return_dict=True
            )
        read = encoded(encoder_outputs)
        written = self.decoder(
            input_ids=decoder_input_ids,
            attention_mask=decoder_attention_mask,
            encoder_hidden_states=read.last_hidden_state,
            encoder_attention_mask=attention_mask,
            past_key_values=past_key_values,
            inputs_embeds=decoder_inputs_embeds,
            use_cache=use_cache,
            **asked,
            **decoder_options,
            return_dict=True,
        )
        return Seq2SeqModelOutput(
            last_hidden_state=written.last_hidden_state,
            past_key_values=written.past_key_values,
            decoder_hidden_states=written.hidden_states,
            decoder_attentions=written.attentions,
            cross_attentions=written.cross_attentions,
            encoder_last_hidden_state=read.last_hidden_state,
            encoder_hidden_states=read.get("hidden_states"),
            encoder_attentions=read.get("attentions"),
        )


class _Head(Base):
    """Passes on to the model that reads and writes."""

    def get_encoder(self) -> Any:
        """Return the part that reads."""
        return self.base_model.encoder

    def get_decoder(self) -> Any:
        """Return the part that writes."""
        return self.base_model.decoder

    def answer(
        self, kind: Callable[..., Any], loss: Tensor | None, states: Any, return_dict: Any, **logits: Any
    ) -> Any:
        """Return an output of a kind with everything that ``states`` holds, or its tuple."""
        rest = {name: value for name, value in states.items() if name != "last_hidden_state"}
        return as_asked(kind(loss=loss, **logits, **rest), return_dict, self.config.return_dict)


class ConditionalGenerationHead(_Head, GenerationMixin):
    """Writes a text for what was read; ``read(states)`` gives the words' logits."""

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: Any = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        num_items_in_batch: Tensor | int | None = None,
        **extra: Any,
    ) -> Any:
        """Return next-token logits (B, T, V).

        Args:
            input_ids: (B, S), the text that is read.
            attention_mask: (B, S), 1 for a token, 0 for padding.
            decoder_input_ids: (B, T), the text written so far; ``labels`` one place later by default.
            decoder_attention_mask: (B, T with the past).
            encoder_outputs: what was read, of an earlier run.
            past_key_values: keys and values of tokens written before.
            inputs_embeds: (B, S, D), instead of ``input_ids``.
            decoder_inputs_embeds: (B, T, D), instead of ``decoder_input_ids``.
            labels: (B, T), the words to write, or -100 where there is nothing to learn.
            use_cache: return the cache; by default as the configuration says, and without labels only.
            output_attentions: return the attention weights.
            output_hidden_states: return the states between the layers.
            return_dict: False returns a tuple.
            logits_to_keep: that many positions from the end, or their indices; 0 keeps all.
            num_items_in_batch: divide the loss by this instead of by the count of labels.
        """
        model: Any = self.base_model
        if labels is not None:
            use_cache = False
            if decoder_input_ids is None and decoder_inputs_embeds is None:
                decoder_input_ids = model.start_of(labels)
        states = model.run(
            input_ids,
            attention_mask,
            self.decoder_start(input_ids, decoder_input_ids, decoder_inputs_embeds),
            decoder_attention_mask,
            encoder_outputs,
            past_key_values,
            inputs_embeds,
            decoder_inputs_embeds,
            use_cache,
            output_attentions,
            output_hidden_states,
            **extra,
        )
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.read(states.last_hidden_state[:, kept])
        loss = None if labels is None else token_loss(logits, labels, num_items_in_batch)
        return self.answer(Seq2SeqLMOutput, loss, states, return_dict, logits=logits)

    def prepare_inputs_for_generation(
        self,
        input_ids: Tensor,
        past_key_values: Any = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        position_ids: Tensor | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Return the arguments of the forward pass for the next step.

        Args:
            input_ids: (B, T), the tokens that the decoder has not seen yet.
            past_key_values: the cache.
            attention_mask: (B, S), of what was read, or None when nothing of it is padding.
            inputs_embeds, position_ids: accepted; what was read is in ``encoder_outputs``.
            kwargs: passed on: ``encoder_outputs``, ``decoder_attention_mask``, …
        """
        return {
            "decoder_input_ids": input_ids,
            "past_key_values": past_key_values,
            "attention_mask": attention_mask,
            **kwargs,
        }

    def decoder_start(self, input_ids: Tensor | None, ids: Tensor | None, embeds: Tensor | None) -> Tensor | None:
        """Return what the decoder is given; families that need not be told override it."""
        model: Any = self.base_model
        return model.decoder_inputs(input_ids, ids, embeds)

    def prepare_decoder_input_ids_from_labels(self, labels: Tensor) -> Tensor:
        """Return the decoder's inputs that go with ``labels`` (B, T)."""
        model: Any = self.base_model
        return model.start_of(labels)

    if TYPE_CHECKING:

        def read(self, states: Tensor) -> Tensor:
            """Return words' logits (B, T, V) for the decoder's states (B, T, D); families say how."""


class ClassificationLayers(nn.Module):
    """Two layers from a row's state to its classes.

    Args:
        width: D.
        classes: C.
        dropout: before each of the layers.
    """

    def __init__(self, width: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)
        self.out_proj = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C) for (B, D)."""
        return self.out_proj(self.dropout(torch.tanh(self.dense(self.dropout(x)))))


class Seq2SeqClassificationHead(_Head):
    """One prediction a row, read where the decoder sees the text's last end token."""

    classification_head: ClassificationLayers

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: Any = None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **extra: Any,
    ) -> Any:
        """Return logits (B, C); ``labels`` are (B,) classes or numbers, or (B, C) zeros and ones.

        Raises:
            EnfoldError: without ``input_ids``, whose end tokens say where to read, and for rows without one.
        """
        if input_ids is None:
            raise EnfoldError(f"{type(self).__name__} needs input_ids: their last end token says where it reads")
        model: Any = self.base_model
        states = model.run(
            input_ids,
            attention_mask,
            model.decoder_inputs(input_ids, decoder_input_ids, decoder_inputs_embeds),
            decoder_attention_mask,
            encoder_outputs,
            None,
            inputs_embeds,
            decoder_inputs_embeds,
            False if labels is not None else use_cache,
            output_attentions,
            output_hidden_states,
            **extra,
        )
        ends = input_ids == self.config.eos_token_id
        if not (torch.compiler.is_compiling() or input_ids.is_meta) and not bool(ends.any(1).all()):
            raise EnfoldError(f"every row must hold the end token {self.config.eos_token_id}; one has none")
        places = torch.arange(ends.shape[1], device=ends.device)
        rows = torch.arange(ends.shape[0], device=ends.device)
        last = states.last_hidden_state[rows, (places * ends).argmax(1)]  # (B, D)
        logits, loss = self.classification_head(last), None
        if labels is not None:
            loss, self.config.problem_type = classification_loss(logits, labels, self.config.problem_type)
        return self.answer(Seq2SeqSequenceClassifierOutput, loss, states, return_dict, logits=logits)


class Seq2SeqQuestionAnsweringHead(_Head):
    """Where in the text an answer starts and ends; the decoder sees the text once more."""

    qa_outputs: nn.Linear

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: Any = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **extra: Any,
    ) -> Any:
        """Return start and end logits (B, T); the positions, (B,), give a loss."""
        model: Any = self.base_model
        learns = start_positions is not None and end_positions is not None
        states = model.run(
            input_ids,
            attention_mask,
            model.decoder_inputs(input_ids, decoder_input_ids, decoder_inputs_embeds),
            decoder_attention_mask,
            encoder_outputs,
            None,
            inputs_embeds,
            decoder_inputs_embeds,
            False if learns else use_cache,
            output_attentions,
            output_hidden_states,
            **extra,
        )
        start, end = (x.squeeze(-1) for x in self.qa_outputs(states.last_hidden_state).split(1, -1))
        loss = span_loss(start, end, start_positions, end_positions) if learns else None  # type: ignore[arg-type]
        return self.answer(
            Seq2SeqQuestionAnsweringModelOutput, loss, states, return_dict, start_logits=start, end_logits=end
        )


class DecoderHead(GenerationMixin):
    """A decoder alone that continues a text, with or without an encoder's states beside it."""

    def get_decoder(self) -> Any:
        """Return the part that writes."""
        return self.base_model.decoder

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        return_dict: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        num_items_in_batch: Tensor | int | None = None,
        **extra: Any,
    ) -> Any:
        """Return next-token logits (B, T, V); ``labels`` (B, T) are the next tokens themselves: nothing is shifted."""
        decoder: Any = self.get_decoder()
        states = decoder(
            input_ids=input_ids,
            attention_mask=attention_mask,
            encoder_hidden_states=encoder_hidden_states,
            encoder_attention_mask=encoder_attention_mask,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
            **extra,
            return_dict=True,
        )
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.read(states.last_hidden_state[:, kept])
        loss = None if labels is None else token_loss(logits, labels, num_items_in_batch)
        output = CausalLMOutputWithCrossAttentions(
            loss, logits, states.past_key_values, states.hidden_states, states.attentions, states.cross_attentions
        )
        return as_asked(output, return_dict, self.config.return_dict)

    if TYPE_CHECKING:

        def read(self, states: Tensor) -> Tensor:
            """Return words' logits (B, T, V) for the decoder's states (B, T, D); families say how."""
