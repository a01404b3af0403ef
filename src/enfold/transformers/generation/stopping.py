"""When a row is finished. A criterion gets ids (B, T) and says True for each row (B,) that ends here."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor

__all__ = [
    "ConfidenceCriteria",
    "EosTokenCriteria",
    "MaxLengthCriteria",
    "MaxTimeCriteria",
    "StopStringCriteria",
    "StoppingCriteria",
    "StoppingCriteriaList",
]


class StoppingCriteria:
    """Base of criteria."""

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Any:
        """Return which rows end, (B,) booleans; a single boolean counts for all rows."""
        raise TypeError(f"{type(self).__name__} does not say when to stop: define __call__")


def _all(input_ids: Tensor, done: bool) -> Tensor:
    return torch.full((input_ids.shape[0],), done, dtype=torch.bool, device=input_ids.device)


class MaxLengthCriteria(StoppingCriteria):
    """Ends at a length, prompt included.

    Args:
        max_length: number of tokens.
    """

    def __init__(self, max_length: int, max_position_embeddings: int | None = None) -> None:
        self.max_length = max_length

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        """Return whether the length is reached, for every row."""
        return _all(input_ids, input_ids.shape[1] >= self.max_length)


class MaxTimeCriteria(StoppingCriteria):
    """Ends after a time.

    Args:
        max_time: seconds.
        initial_timestamp: when they began to count, as ``time.time()``; now by default.
    """

    def __init__(self, max_time: float, initial_timestamp: float | None = None) -> None:
        self.max_time = max_time
        self.initial_timestamp = time.time() if initial_timestamp is None else initial_timestamp

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        """Return whether the time is over, for every row."""
        return _all(input_ids, time.time() - self.initial_timestamp > self.max_time)


class EosTokenCriteria(StoppingCriteria):
    """Ends a row at an end token.

    Args:
        eos_token_id: one, several, or a tensor of them.
    """

    def __init__(self, eos_token_id: int | list[int] | Tensor) -> None:
        self.eos_token_id = torch.as_tensor(eos_token_id).reshape(-1)

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        """Return which rows have an end token last."""
        if self.eos_token_id.device != input_ids.device:
            self.eos_token_id = self.eos_token_id.to(input_ids.device)
        return (input_ids[:, -1:] == self.eos_token_id).any(1)


class ConfidenceCriteria(StoppingCriteria):
    """Ends an assistant's guesses where it is less sure of its newest token than this.

    Args:
        assistant_confidence_threshold: a probability.
    """

    def __init__(self, assistant_confidence_threshold: float) -> None:
        self.assistant_confidence_threshold = assistant_confidence_threshold

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        """Return which rows are unsure; ``scores`` are one (B, V) a step."""
        sure = scores[-1].softmax(-1).gather(1, input_ids[:, -1:].to(scores[-1].device))[:, 0]
        return sure < self.assistant_confidence_threshold


class StopStringCriteria(StoppingCriteria):
    """Ends a row whose newest token completes one of the strings, even in the middle of the token.

    Args:
        tokenizer: decodes the tokens.
        stop_strings: one or several.
    """

    def __init__(self, tokenizer: Any, stop_strings: str | list[str]) -> None:
        self.tokenizer = tokenizer
        self.stop_strings = (stop_strings,) if isinstance(stop_strings, str) else tuple(stop_strings)
        # A token that shows has a character; bytes of one character may be spread over four tokens.
        self._window = 4 * max(len(text.encode()) for text in self.stop_strings) + 4

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        """Return which rows are completed by their last token."""
        done = [self._ends(row) for row in input_ids[:, -self._window :].tolist()]
        return torch.tensor(done, dtype=torch.bool, device=input_ids.device)

    def _ends(self, tokens: list[int]) -> bool:
        text = self.tokenizer.decode(tokens)
        before = len(self.tokenizer.decode(tokens[:-1])) if len(tokens) > 1 else 0
        for wanted in self.stop_strings:
            place = text.rfind(wanted)
            if place >= 0 and place + len(wanted) > min(before, len(text) - 1):
                return True
        return False


class StoppingCriteriaList(list[StoppingCriteria]):
    """Several criteria: a row ends when any of them says so."""

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        """Return which rows end, (B,)."""
        done = _all(input_ids, False)
        for criterion in self:
            done = done | criterion(input_ids, scores, **kwargs)
        return done

    @property
    def max_length(self) -> int | None:
        """The length at which everything ends, or None."""
        return next((criterion.max_length for criterion in self if isinstance(criterion, MaxLengthCriteria)), None)
