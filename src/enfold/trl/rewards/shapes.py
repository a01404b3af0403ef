"""Rewards for the shape of a completion: marked reasoning, its length, what it repeats."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["get_repetition_penalty_reward", "get_soft_overlong_punishment", "think_format_reward"]

_THOUGHT = re.compile(r"<think>((?!<think>).)*?</think>", re.DOTALL)


def think_format_reward(completions: list[Any], **kwargs: Any) -> list[float]:
    """Return 1 for each completion that begins with ``<think>…</think>``, and holds no second ``<think>``.

    Args:
        completions: each a list of one message, or text.
        kwargs: not looked at.

    Example:
        >>> think_format_reward([[{"content": "<think>Hm.</think>Four."}], [{"content": "Four."}]])
        [1.0, 0.0]
    """
    texts = [item if isinstance(item, str) else item[0]["content"] for item in completions]
    return [
        float(text.startswith("<think>") and text.count("<think>") == 1 and bool(_THOUGHT.match(text)))
        for text in texts
    ]


class RepetitionPenalty:
    """Returns how much of each completion repeats itself, times the penalty."""

    __name__ = "repetition_penalty_reward"

    def __init__(self, ngram_size: int, max_penalty: float) -> None:
        if max_penalty > 0:
            raise ValueError(f"max_penalty {max_penalty} may not be positive")
        self.ngram_size, self.max_penalty = ngram_size, max_penalty

    def __call__(self, completion_ids: list[list[int]], **kwargs: Any) -> list[float]:
        found = []
        for ids in completion_ids:
            pieces = [tuple(ids[start : start + self.ngram_size]) for start in range(len(ids) - self.ngram_size + 1)]
            repeated = len(pieces) - len(set(pieces))
            found.append(repeated / len(pieces) * self.max_penalty if repeated else 0.0)
        return found


def get_repetition_penalty_reward(ngram_size: int = 3, max_penalty: float = -1.0) -> RepetitionPenalty:
    """Return a reward that punishes repeated groups of tokens.

    Args:
        ngram_size: tokens of a group.
        max_penalty: reward of a completion that only repeats itself.

    Example:
        >>> get_repetition_penalty_reward(ngram_size=2)([[1, 2, 3, 4], [5, 5, 5, 5, 5]])
        [0.0, -0.75]

    Source: https://arxiv.org/abs/2502.03373, appendix C.2
    """
    return RepetitionPenalty(ngram_size, max_penalty)


class SoftOverlongPunishment:
    """Returns 0 for completions that are short enough, and falls to -1 at the longest that is let be."""

    __name__ = "soft_overlong_punishment_reward"

    def __init__(self, max_completion_len: int, soft_punish_cache: int) -> None:
        self.longest, self.soft = max_completion_len, soft_punish_cache

    def __call__(self, completion_ids: list[list[int]], **kwargs: Any) -> list[float]:
        over = [len(ids) - (self.longest - self.soft) for ids in completion_ids]
        return [0.0 if extra <= 0 else -1.0 if extra > self.soft else -extra / self.soft for extra in over]


def get_soft_overlong_punishment(max_completion_len: int, soft_punish_cache: int) -> SoftOverlongPunishment:
    """Return a reward that punishes completions for being longer than they should.

    Args:
        max_completion_len: tokens at which it reaches -1.
        soft_punish_cache: over how many tokens before that it falls.

    Example:
        >>> get_soft_overlong_punishment(100, 20)([[1] * 90])
        [-0.5]

    Source: https://arxiv.org/abs/2503.14476, equation 13
    """
    return SoftOverlongPunishment(max_completion_len, soft_punish_cache)
