"""The heads that families share: a family's class says how it reads its base model, a head does the rest.

Each head calls ``self.base_model``, turns its output into logits by ``self.read(output)`` and adds the loss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from enfold.errors import EnfoldError
from enfold.nn.losses import causal_lm_loss, classification_loss, span_loss, token_loss
from enfold.nn.outputs import ModelOutput
from enfold.transformers.outputs import (
    CausalLMOutputWithCrossAttentions,
    ImageClassifierOutput,
    MaskedLMOutput,
    MultipleChoiceModelOutput,
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
    SequenceClassifierOutputWithPast,
    TokenClassifierOutput,
)

if TYPE_CHECKING:
    from enfold.transformers.modeling import PreTrainedModel

    Base = PreTrainedModel
else:
    Base = object

__all__ = [
    "CausalLMHead",
    "ImageClassificationHead",
    "LastTokenClassificationHead",
    "MaskedLMHead",
    "MultipleChoiceHead",
    "QuestionAnsweringHead",
    "SequenceClassificationHead",
    "TokenClassificationHead",
]


def as_asked(output: ModelOutput, return_dict: bool | None, default: bool) -> Any:
    """Return the output, or its tuple where ``return_dict`` (or else the configuration) says so."""
    return output if (default if return_dict is None else return_dict) else output.to_tuple()


class Head(Base):
    """Runs the base model for a head."""

    def states(self, input_ids: Tensor | None, **inputs: Any) -> Any:
        """Return the base model's output, without the arguments that are None."""
        given = {name: value for name, value in inputs.items() if value is not None}
        return self.base_model(input_ids, **given, return_dict=True)

    if TYPE_CHECKING:

        def read(self, output: Any) -> Tensor:
            """Return the logits for the base model's output; families say how."""


class SequenceClassificationHead(Head):
    """One prediction a row: classes, many labels, or numbers."""

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **extra: Any,
    ) -> Any:
        """Return logits (B, C); ``labels`` are (B,) classes or numbers, or (B, C) zeros and ones."""
        states = self.states(
            input_ids,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            **extra,
        )
        logits = self.read(states)
        loss = None if labels is None else self.row_loss(logits, labels)
        output = SequenceClassifierOutput(loss, logits, states.hidden_states, states.attentions)
        return as_asked(output, return_dict, self.config.return_dict)

    def row_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of logits (B, C), by the kind of problem that the configuration or the labels say."""
        loss, self.config.problem_type = classification_loss(logits, labels, self.config.problem_type)
        return loss


class LastTokenClassificationHead(Head):
    """One prediction a row, read at its last token that is no padding: what decoders do."""

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **extra: Any,
    ) -> Any:
        """Return logits (B, C); ``labels`` are (B,) classes or numbers, or (B, C) zeros and ones."""
        states = self.states(
            input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            **extra,
        )
        count = states.last_hidden_state.shape[0]
        rows = torch.arange(count, device=states.last_hidden_state.device)
        logits = self.read(states)[rows, self._last(input_ids, count)]  # (B, T, C) → (B, C)
        loss = None
        if labels is not None:
            loss, self.config.problem_type = classification_loss(logits, labels, self.config.problem_type)
        output = SequenceClassifierOutputWithPast(
            loss, logits, states.past_key_values, states.hidden_states, states.attentions
        )
        return as_asked(output, return_dict, self.config.return_dict)

    def _last(self, input_ids: Tensor | None, rows: int) -> Tensor | int:
        pad = self.config.get_text_config().pad_token_id
        if pad is None:
            if rows != 1:
                raise EnfoldError(
                    "a batch of several rows needs config.pad_token_id, to find each row's last token; "
                    "set model.config.pad_token_id = tokenizer.pad_token_id"
                )
            return -1
        if input_ids is None:
            return -1
        places = torch.arange(input_ids.shape[1], device=input_ids.device)
        return (places * (input_ids != pad)).argmax(-1)


class TokenClassificationHead(Head):
    """One prediction a token."""

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **extra: Any,
    ) -> Any:
        """Return logits (B, T, C); ``labels`` (B, T) are classes, or -100 where there is none."""
        states = self.states(
            input_ids,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            **extra,
        )
        logits = self.read(states)
        loss = None if labels is None else token_loss(logits, labels)
        output = TokenClassifierOutput(loss, logits, states.hidden_states, states.attentions)
        return as_asked(output, return_dict, self.config.return_dict)


class QuestionAnsweringHead(Head):
    """Where in the text an answer starts and ends."""

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **extra: Any,
    ) -> Any:
        """Return start and end logits (B, T); the positions, (B,), give a loss."""
        states = self.states(
            input_ids,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            **extra,
        )
        start, end = (x.squeeze(-1).contiguous() for x in self.read(states).split(1, dim=-1))  # (B, T) each
        loss = None
        if start_positions is not None and end_positions is not None:
            loss = span_loss(start, end, start_positions, end_positions)
        output = QuestionAnsweringModelOutput(loss, start, end, states.hidden_states, states.attentions)
        return as_asked(output, return_dict, self.config.return_dict)


class MultipleChoiceHead(Head):
    """Which of several texts fits; inputs are (B, choices, T)."""

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **extra: Any,
    ) -> Any:
        """Return logits (B, choices); ``labels`` (B,) are the right choices."""
        given = input_ids if input_ids is not None else inputs_embeds
        if given is None:
            raise EnfoldError("one of input_ids and inputs_embeds is needed")
        choices = given.shape[1]
        states = self.states(
            _rows(input_ids),
            attention_mask=_rows(attention_mask),
            token_type_ids=_rows(token_type_ids),
            position_ids=_rows(position_ids),
            inputs_embeds=_rows(inputs_embeds),
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            **extra,
        )
        logits = self.read(states).view(-1, choices)
        loss = None if labels is None else token_loss(logits, labels)
        output = MultipleChoiceModelOutput(loss, logits, states.hidden_states, states.attentions)
        return as_asked(output, return_dict, self.config.return_dict)


class MaskedLMHead(Head):
    """The words that were masked."""

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **extra: Any,
    ) -> Any:
        """Return logits (B, T, V); ``labels`` (B, T) are words, or -100 where nothing was masked."""
        items = extra.pop("num_items_in_batch", None)
        states = self.states(
            input_ids,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            **extra,
        )
        logits = self.read(states)
        loss = None if labels is None else token_loss(logits, labels, items)
        output = MaskedLMOutput(loss, logits, states.hidden_states, states.attentions)
        return as_asked(output, return_dict, self.config.return_dict)


class CausalLMHead(Head):
    """The next words, of an encoder that decodes; it may look at another encoder's states."""

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        past_key_values: Any = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        num_items_in_batch: Tensor | int | None = None,
        return_dict: bool | None = None,
        **extra: Any,
    ) -> Any:
        """Return next-token logits (B, T, V); ``labels`` (B, T) are the input ids, or -100."""
        states = self.states(
            input_ids,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            encoder_hidden_states=encoder_hidden_states,
            encoder_attention_mask=encoder_attention_mask,
            past_key_values=past_key_values,
            use_cache=False if labels is not None else use_cache,
            **extra,
        )
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        states.last_hidden_state = states.last_hidden_state[:, kept]
        logits = self.read(states)
        loss = None if labels is None else causal_lm_loss(logits, labels, num_items_in_batch)
        output = CausalLMOutputWithCrossAttentions(
            loss,
            logits,
            states.past_key_values,
            states.hidden_states,
            states.attentions,
            states.cross_attentions,
        )
        return as_asked(output, return_dict, self.config.return_dict)


class ImageClassificationHead(Head):
    """One prediction an image: classes, many labels, or numbers."""

    output_class: type[ModelOutput] = ImageClassifierOutput

    def forward(
        self,
        pixel_values: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **extra: Any,
    ) -> Any:
        """Return logits (B, C) of images (B, channels, height, width); ``labels`` are (B,) classes or numbers, or
        (B, C) zeros and ones."""
        states = self.states(
            pixel_values, output_attentions=output_attentions, output_hidden_states=output_hidden_states, **extra
        )
        logits, loss = self.read(states), None
        if labels is not None:
            loss, self.config.problem_type = classification_loss(logits, labels, self.config.problem_type)
        given = {"loss": loss, "logits": logits, "hidden_states": states.hidden_states}
        if hasattr(states, "attentions"):
            given["attentions"] = states.attentions
        return as_asked(self.output_class(**given), return_dict, self.config.return_dict)


def _rows(x: Tensor | None) -> Tensor | None:
    """Return (B, choices, …) as (B·choices, …)."""
    return None if x is None else x.reshape(-1, *x.shape[2:])
