"""How many tokens an assistant guesses at once."""

from __future__ import annotations

from enfold.transformers.generation.config import GenerationConfig

__all__ = ["Pace"]


class Pace:
    """A number of guesses that learns how many are worth while.

    Args:
        config: ``num_assistant_tokens``, and ``num_assistant_tokens_schedule``: ``"constant"`` never learns,
            ``"heuristic_transient"`` learns, and ``"heuristic"`` remembers it for the next call too.
        settings: where it is remembered.

    Example:
        >>> pace = Pace(GenerationConfig(num_assistant_tokens=5, num_assistant_tokens_schedule="heuristic_transient"))
        >>> pace.learn(right=5, guessed=5)
        >>> pace.learn(right=3, guessed=7)
        >>> pace.count
        6
    """

    def __init__(self, config: GenerationConfig, settings: GenerationConfig | None = None) -> None:
        self.count, self.schedule = config.num_assistant_tokens, config.num_assistant_tokens_schedule
        self.settings = settings

    def learn(self, right: int, guessed: int) -> None:
        """Guess two more after a step in which all was right, and one fewer after another."""
        if self.schedule in ("heuristic", "heuristic_transient"):
            self.count = self.count + 2 if right == guessed else max(1, self.count - 1)
        if self.schedule == "heuristic" and self.settings is not None:
            self.settings.num_assistant_tokens = self.count
