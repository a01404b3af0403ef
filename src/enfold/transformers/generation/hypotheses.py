"""The best finished texts of a search that carries several on side by side."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from enfold.transformers.generation.config import GenerationConfig

__all__ = ["Finished", "Hypotheses"]


class Finished(NamedTuple):
    """A text that ended.

    Attributes:
        score: the sum of its log probabilities, divided by its length to the power of the length penalty.
        tokens: (T,), prompt and end token included.
        origin: (new,), the row that each new token was written in.
    """

    score: float
    tokens: Tensor
    origin: Tensor


class Hypotheses:
    """The best finished texts of one search: no more than ``width``, the worst leaves first.

    Args:
        width: how many are kept.
        config: with ``length_penalty``, ``early_stopping`` and ``max_length``.
        prompt: how many tokens stood before the first new one.

    Example:
        >>> import torch
        >>> config = GenerationConfig(length_penalty=1.0, early_stopping=True, max_length=9)
        >>> kept, empty = Hypotheses(1, config, prompt=0), torch.tensor([])
        >>> for total in (-3.0, -1.0, -2.0):
        ...     kept.add(total, torch.tensor([5, 6]), empty)
        >>> [text.score for text in kept.best()], kept.is_done(-0.5, made=2)
        ([-0.5], True)
    """

    def __init__(self, width: int, config: GenerationConfig, prompt: int) -> None:
        self.width, self.prompt = width, prompt
        self.penalty, self.early = config.length_penalty, config.early_stopping
        self.longest = config.max_length - prompt
        self.texts: list[Finished] = []

    def __len__(self) -> int:
        return len(self.texts)

    def add(self, total: float, tokens: Tensor, origin: Tensor) -> None:
        """Keep a text if it is among the best.

        Args:
            total: the sum of its log probabilities.
            tokens: (T,), prompt and end token included.
            origin: (new,), the row that each new token was written in.
        """
        score = total / (len(tokens) - self.prompt) ** self.penalty
        if len(self.texts) == self.width:
            worst = min(range(self.width), key=lambda place: self.texts[place].score)
            if score <= self.texts[worst].score:
                return
            del self.texts[worst]
        self.texts.append(Finished(score, tokens, origin))

    def is_done(self, best: float, made: int) -> bool:
        """Return whether no text that goes on can join these.

        Args:
            best: the highest sum of log probabilities of a text that goes on.
            made: how many tokens it has made.
        """
        if len(self.texts) < self.width:
            return False
        if self.early is True:
            return True
        # At best a text ends here, or, where length is rewarded and waited for, at the last place.
        length = self.longest if self.early == "never" and self.penalty > 0.0 else made
        return min(text.score for text in self.texts) >= best / length**self.penalty

    def best(self) -> list[Finished]:
        """Return the texts, the best first; of equals the newest."""
        return sorted(self.texts, key=lambda text: text.score)[::-1]
