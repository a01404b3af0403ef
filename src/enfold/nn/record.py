"""What a model's layers leave behind on request: the states between them and what each attended to."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from enfold.nn.attention import Manner

__all__ = ["Record"]


class Record:
    """Collects hidden states and attention weights while layers run; nothing is kept that nobody asked for.

    Args:
        attentions: keep the attention weights.
        states: keep the states.
        explicit: how layers attend when no weights are asked for: True computes them all the same (the attention named
            ``"eager"``), a function is called in the place of torch's.
        routers: keep the routers' logits, in models with experts.

    Example:
        >>> import torch
        >>> record = Record(attentions=False, states=True)
        >>> record.before(torch.zeros(1, 2, 4))
        >>> record.finish(torch.ones(1, 2, 4))
        >>> len(record.hidden_states), record.attentions
        (2, None)
    """

    def __init__(self, *, attentions: bool, states: bool, explicit: Manner = False, routers: bool = False) -> None:
        self.wants_attentions, self.wants_states, self.wants_routers = attentions, states, routers
        self.explicit: Manner = explicit or attentions
        self._states: list[Tensor] = []
        self._attentions: list[Tensor | None] = []
        self._crossed: list[Tensor | None] = []
        self._routed: list[Tensor] = []

    @property
    def is_empty(self) -> bool:
        """Whether nothing was asked for, and layers attend as they like."""
        return not (self.wants_attentions or self.wants_states or self.wants_routers or self.explicit)

    def before(self, x: Tensor) -> None:
        """Keep what a layer is given, (B, T, D)."""
        if self.wants_states:
            self._states.append(x)

    def after(self, weights: Tensor | None, crossed: Tensor | None = None, routed: Tensor | None = None) -> None:
        """Keep what a layer attended to, (B, H, T, S): itself and, where there is one, the encoder; and the logits
        (B·T, E) with which it chose experts."""
        if self.wants_routers and routed is not None:
            self._routed.append(routed)
        if self.wants_attentions:
            self._attentions.append(weights)
            if crossed is not None:
                self._crossed.append(crossed)

    finish = before  # the states after the last layer

    @property
    def hidden_states(self) -> tuple[Tensor, ...] | None:
        """The states before each layer and after the last, or None."""
        return tuple(self._states) if self.wants_states else None

    @property
    def attentions(self) -> tuple[Any, ...] | None:
        """The attention weights of each layer, or None."""
        return tuple(self._attentions) if self.wants_attentions else None

    @property
    def cross_attentions(self) -> tuple[Any, ...] | None:
        """The attention weights of each layer to the encoder, or None."""
        return tuple(self._crossed) if self._crossed else None

    @property
    def router_logits(self) -> tuple[Tensor, ...] | None:
        """The logits with which each layer chose experts, or None."""
        return tuple(self._routed) if self.wants_routers else None
