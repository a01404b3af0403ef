"""Decoders: a graph that keeps its keys and values itself, under the ``generate`` of every other model."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from enfold.optimum.intel.openvino.logits import counted
from enfold.optimum.intel.openvino.modeling_base import OVBaseModel
from enfold.optimum.intel.openvino.state import StateCache
from enfold.optimum.runtimes.caches import GrowingCache
from enfold.optimum.runtimes.writing import Decoder, kept

__all__ = ["OVModelForCausalLM", "OVWriter"]


FIRST = np.zeros(1, dtype=np.int64)


class OVWriter(OVBaseModel):
    """What models that write share: the past is the graph's own state, so that one text is written at a time."""

    _counts = False  # whether the graph that is ready has the input "first_logit"
    _stateful: bool | None = None
    cache_class: ClassVar[type[GrowingCache]] = StateCache
    writer: ClassVar[str] = "model"  # the part with the state

    @property
    def stateful(self) -> bool:
        """Whether the graph keeps the past between two calls."""
        if self._stateful is None:
            self._stateful = bool(self.graphs[self.writer].get_variables())
        return self._stateful

    @property
    def remembers(self) -> bool:
        """The same under the name that every runtime has."""
        return self.stateful

    def new_past(self) -> StateCache:
        """Return the empty past of a new text; an older one ends."""
        return StateCache(self.request(self.writer))

    def ready_graph(self, part: str, graph: Any) -> Any:
        """Return a graph that writes with a further input, by which logits that nobody asks for are left out."""
        cut = counted(graph) if part == self.writer else None
        self._counts = cut is not None if part == self.writer else self._counts
        return graph if cut is None else cut

    def step(self, given: dict[str, Any], past: StateCache | None, tokens: int, keep: int | Tensor) -> Tensor:
        """Run the graph that writes and return its logits (B, kept of T, V)."""
        if past is not None:
            given["beam_idx"] = past.next_rows(len(given["input_ids"]))
        self.request(self.writer)  # says whether it counts
        ready = self.prepared(self.writer, given)
        if self._counts:
            first = max(tokens - keep, 0) if isinstance(keep, int) and keep else 0
            ready["first_logit"] = FIRST if first == 0 else np.array([first], dtype=np.int64)
        made = self.run(self.writer, ready, {"logits": lambda computed: np.array(kept(computed, keep))})
        if past is not None:
            past.filled += tokens
        return torch.from_numpy(made["logits"])


class OVModelForCausalLM(OVWriter, Decoder):  # type: ignore[misc]
    """A decoder.

    Example:
        >>> model = OVModelForCausalLM.from_pretrained("openai-community/gpt2", export=True)  # doctest: +SKIP
        >>> model.generate(**tokenizer("Hello", return_tensors="pt"), max_new_tokens=5)  # doctest: +SKIP
    """
