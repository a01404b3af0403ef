"""How an answer is written: what a request wishes, and what changes the scores of tokens for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

__all__ = ["Allowed", "Bias", "Penalties", "Wish"]


@dataclass
class Wish:
    """How the answers to one request are written.

    Attributes:
        options: fields of ``GenerationConfig``.
        count: how many answers.
        seed: of the first; the others' follow. None draws anew each time.
        logprobs: how many likely tokens are told for each place; None tells nothing.
        stops: strings that end an answer.
        keep_stop: leave such a string in the answer.
        skip_special: leave special tokens out of the text.
        presence, frequency: what a token loses for having come, once and each time.
        bias: token → what is added to its score.
        allowed: the only tokens that may come; None for all.
        grammar: (kind, value) that the answer keeps to, or None.
        grammar_param: the field that asked for it.
    """

    options: dict[str, Any] = field(default_factory=dict)
    count: int = 1
    seed: int | None = None
    logprobs: int | None = None
    stops: list[str] = field(default_factory=list)
    keep_stop: bool = False
    skip_special: bool = True
    presence: float = 0.0
    frequency: float = 0.0
    bias: dict[int, float] = field(default_factory=dict)
    allowed: list[int] | None = None
    grammar: tuple[str, Any] | None = None
    grammar_param: str = "response_format"

    def with_options(self, **options: Any) -> Wish:
        """Return a copy with further fields of ``GenerationConfig``."""
        return replace(self, options={**self.options, **options})

    def processors(self, prompt: int, constraint: Any = None) -> list[Any]:
        """Return what changes the scores of one answer, beside what the engine does for ``options``.

        Args:
            prompt: tokens before the answer.
            constraint: holds it to a grammar, or None.
        """
        found: list[Any] = []
        if self.presence or self.frequency:
            found.append(Penalties(prompt, self.presence, self.frequency))
        if self.bias:
            found.append(Bias(self.bias))
        if self.allowed is not None:
            found.append(Allowed(self.allowed))
        return [*found, *([] if constraint is None else [constraint])]


class Penalties:
    """Takes from the scores of tokens that the answer has: once each, and for each time.

    Args:
        prompt: tokens before the answer, which do not count.
        presence, frequency: how much; below 0 gives.

    Source: https://platform.openai.com/docs/api-reference (frequency and presence penalties).
    """

    def __init__(self, prompt: int, presence: float, frequency: float) -> None:
        self.prompt, self.presence, self.frequency = prompt, presence, frequency

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores (1, V) for ids (1, T)."""
        written = ids[0, self.prompt :]
        if not len(written):
            return scores
        counts = torch.bincount(written, minlength=scores.shape[1])[: scores.shape[1]].to(scores)
        return scores - self.frequency * counts - self.presence * (counts > 0)


class Bias:
    """Adds to the scores of some tokens.

    Args:
        bias: token → how much.
    """

    def __init__(self, bias: Mapping[int, float]) -> None:
        self.places = torch.tensor(list(bias))
        self.values = torch.tensor(list(bias.values()), dtype=torch.float32)

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores (1, V)."""
        return scores.index_add(1, self.places.to(scores.device), self.values[None].to(scores))


class Allowed:
    """Gives all tokens but some no chance.

    Args:
        tokens: those.
    """

    def __init__(self, tokens: list[int]) -> None:
        self.tokens = torch.tensor(tokens)

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores (1, V)."""
        tokens = self.tokens.to(scores.device)
        return torch.full_like(scores, -torch.inf).index_copy(1, tokens, scores.index_select(1, tokens))
