"""Decoders: a graph that keeps its keys and values itself, under the ``generate`` of every other model."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from enfold.errors import EnfoldError
from enfold.optimum.intel.openvino.modeling_base import OVBaseModel
from enfold.optimum.intel.openvino.state import StateCache
from enfold.transformers.generation.mixin import GenerationMixin
from enfold.transformers.outputs import CausalLMOutputWithPast

__all__ = ["OVModelForCausalLM", "OVWriter", "kept"]


class OVWriter(OVBaseModel, GenerationMixin):  # type: ignore[misc]
    """What models that write share: the past is the graph's own state."""

    writer = "model"  # the part with the state

    @property
    def stateful(self) -> bool:
        """Whether the graph keeps the past between two calls."""
        return bool(self.graphs[self.writer].get_variables())

    def new_past(self) -> StateCache:
        """Return the empty past of a new text; an older one ends."""
        return StateCache(self.request(self.writer))

    def generate(self, *args: Any, **kwargs: Any) -> Any:
        """Write on; see ``GenerationMixin.generate``. One call at a time: the past is the graph's."""
        if not self.stateful:
            kwargs["use_cache"] = False
            return super().generate(*args, **kwargs)
        asked = kwargs.get("use_cache")
        given = kwargs.get("generation_config") or self.generation_config
        asked = getattr(given, "use_cache", True) if asked is None else asked
        if kwargs.get("past_key_values") is None and asked is not False:
            kwargs["past_key_values"] = self.new_past()
        return super().generate(*args, **kwargs)


class OVModelForCausalLM(OVWriter):
    """A decoder.

    Example:
        >>> model = OVModelForCausalLM.from_pretrained("openai-community/gpt2", export=True)  # doctest: +SKIP
        >>> model.generate(**tokenizer("Hello", return_tensors="pt"), max_new_tokens=5)  # doctest: +SKIP
    """

    export_feature = "text-generation"

    def forward(  # type: ignore[override]
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: StateCache | None = None,
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
            past_key_values: of earlier steps of the same text; None begins a new one.
            use_cache: return the past.
            logits_to_keep: logits of this many last positions only; 0 keeps all.
            return_dict: False returns a tuple.
            extra: not looked at.
        """
        if input_ids is None:
            raise EnfoldError("input_ids are needed: a graph takes no embeddings")
        if past_key_values is not None and not isinstance(past_key_values, StateCache):
            raise EnfoldError(f"past_key_values is a StateCache here, not {type(past_key_values).__name__}")
        rows, length = input_ids.shape
        cache = None
        if self.stateful:
            cache = self.new_past() if past_key_values is None else past_key_values
        past = 0 if cache is None else cache.filled
        mask = torch.ones(rows, past + length, dtype=torch.long) if attention_mask is None else attention_mask
        given: dict[str, Any] = {"input_ids": input_ids, "attention_mask": mask}
        names = {port.get_any_name() for port in self.model.inputs}
        if "position_ids" in names:
            if position_ids is None:
                position_ids = (mask.long().cumsum(1) - 1).clamp(min=0)[:, past:]
            given["position_ids"] = position_ids.expand(rows, length)
        if cache is not None:
            given["beam_idx"] = cache.next_rows(rows)
        made = self.run(self.writer, self.prepared(self.writer, given))
        if cache is not None:
            cache.filled += length
        output = CausalLMOutputWithPast(
            logits=kept(made["logits"], logits_to_keep), past_key_values=None if use_cache is False else cache
        )
        return output if return_dict is not False else output.to_tuple()


def kept(logits: np.ndarray[Any, Any], keep: int | Tensor) -> Tensor:
    """Return the logits of the last ``keep`` positions, or those at its indices; 0 keeps all."""
    return torch.from_numpy(logits)[:, slice(-keep, None) if isinstance(keep, int) else keep]
