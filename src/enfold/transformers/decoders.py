"""What decoders share: the head that continues a text, and the losses and logits around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from enfold.nn.linear import project
from enfold.nn.losses import causal_lm_loss
from enfold.nn.outputs import ModelOutput
from enfold.transformers.generation.mixin import GenerationMixin
from enfold.transformers.heads import as_asked
from enfold.transformers.outputs import CausalLMOutputWithPast

__all__ = ["CausalLMHead"]


class CausalLMHead(GenerationMixin):
    """The next token of every position: a class sets ``lm_head``, and ``output_class`` where its output differs."""

    output_class: Any = CausalLMOutputWithPast

    if TYPE_CHECKING:
        lm_head: Any

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        num_items_in_batch: Tensor | int | None = None,
        return_dict: bool | None = None,
        **extra: Any,
    ) -> Any:
        """Return next-token logits (B, T, V).

        Args:
            input_ids: (B, T).
            attention_mask: (B, S), 1 for a token, 0 for padding; the past included.
            position_ids: (B | 1, T); counted on from the past by default.
            past_key_values: keys and values of the tokens before.
            inputs_embeds: (B, T, D), instead of ``input_ids``.
            labels: (B, T), the input ids, or -100 where there is nothing to learn; gives the loss.
            use_cache: return the cache; ``config.use_cache`` by default.
            logits_to_keep: logits of this many last positions only, or of these positions; 0 keeps all.
            num_items_in_batch: divide the loss's sum by this number instead of by the count of labels.
            return_dict: False returns a tuple.
            extra: further arguments of the base model, such as ``output_attentions``.
        """
        states = self.base_model(
            input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
            return_dict=True,
            **extra,
        )
        return self.continued(states, labels, logits_to_keep, num_items_in_batch, return_dict)

    def logits(self, x: Tensor) -> Tensor:
        """Return next-token logits (B, T, V) for states (B, T, D)."""
        return project(self.lm_head, x)

    def continued(
        self,
        states: Any,
        labels: Tensor | None,
        logits_to_keep: int | Tensor,
        num_items_in_batch: Tensor | int | None,
        return_dict: bool | None,
        **fields: Any,
    ) -> Any:
        """Return the output for the base model's; arguments as ``forward``, ``fields`` are further ones of it."""
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.logits(states.last_hidden_state[:, kept])
        loss = None if labels is None else causal_lm_loss(logits, labels, num_items_in_batch)
        recorded = {name: states.get(name) for name in ("past_key_values", "hidden_states", "attentions")}
        output: ModelOutput = self.output_class(loss=loss, logits=logits, **recorded, **fields)
        return as_asked(output, return_dict, self.config.return_dict)
