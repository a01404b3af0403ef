"""Who says which of two completions is better."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from enfold.errors import MissingExtra
from enfold.log import get_logger

__all__ = [
    "AllTrueJudge",
    "BaseBinaryJudge",
    "BaseJudge",
    "BasePairwiseJudge",
    "BaseRankJudge",
    "HfPairwiseJudge",
    "OpenAIPairwiseJudge",
    "RewardJudge",
]

logger = get_logger(__name__)

QUESTION = (
    "Which of two answers to a prompt is better? Weigh whether they are correct, helpful and clear.\n\n"
    "Prompt:\n{prompt}\n\nAnswer 0:\n{response0}\n\nAnswer 1:\n{response1}\n\n"
    "Reply with a single digit, 0 or 1, and nothing else."
)


class BaseJudge(ABC):
    """Judges completions."""

    @abstractmethod
    def judge(self, prompts: list[Any], completions: list[Any], shuffle_order: bool = True) -> list[Any]:
        """Return what is thought of each prompt's completions."""


class BaseRankJudge(BaseJudge):
    """Ranks a prompt's completions: for each the list of places, 0 the best."""


class BasePairwiseJudge(BaseJudge):
    """Says for each prompt which of two completions is better: 0, 1, or -1 where it does not know."""


class BaseBinaryJudge(BaseJudge):
    """Says of each completion whether it is good: 1, 0, or -1 where it does not know."""


class AllTrueJudge(BaseBinaryJudge):
    """Says that a completion is good where all of several judges do.

    Args:
        judges: of the binary kind.
    """

    def __init__(self, judges: list[BaseBinaryJudge]) -> None:
        self.judges = judges

    def judge(self, prompts: list[Any], completions: list[Any], shuffle_order: bool = True) -> list[int]:
        """Return 1, 0 or -1 for each completion."""
        verdicts = zip(*(judge.judge(prompts, completions, shuffle_order) for judge in self.judges), strict=True)
        return [-1 if any(item not in (0, 1) for item in each) else int(all(each)) for each in verdicts]


class RewardJudge(BasePairwiseJudge):
    """Says which completion a reward finds better; without a network.

    Args:
        reward: a function or a model, as for :class:`~enfold.trl.rewarding.Rewards`.
    """

    def __init__(self, reward: Any) -> None:
        from enfold.trl.rewarding import Rewards

        self.rewards = Rewards(reward)

    def judge(
        self, prompts: list[Any], completions: list[Any], shuffle_order: bool = True, return_scores: bool = False
    ) -> list[Any]:
        """Return the better one's place, or how likely it is the first."""
        sides = [[pair[place] for pair in completions] for place in (0, 1)]
        scores = [self.rewards(prompts, side, [[] for _ in side]).nansum(1) for side in sides]
        if return_scores:
            return (scores[0] - scores[1]).sigmoid().tolist()  # type: ignore[no-any-return]
        return (scores[1] > scores[0]).long().tolist()  # type: ignore[no-any-return]


class _Asked(BasePairwiseJudge):
    """A judge that is asked in words, by ``ask``: question → reply."""

    ask: Callable[[str], str]

    def __init__(self, system_prompt: str | None = None) -> None:
        self.question = system_prompt or QUESTION

    def judge(self, prompts: list[Any], completions: list[Any], shuffle_order: bool = True) -> list[int]:
        """Return the better one's place for each prompt."""
        found = []
        for prompt, pair in zip(prompts, completions, strict=True):
            swapped = shuffle_order and random.random() < 0.5
            first, second = (pair[1], pair[0]) if swapped else (pair[0], pair[1])
            reply = self.ask(self.question.format(prompt=prompt, response0=first, response1=second)).strip()
            if reply not in ("0", "1"):
                logger.warning("the judge replied %r, which is neither 0 nor 1", reply)
            found.append(int(reply) ^ swapped if reply in ("0", "1") else -1)
        return found


class HfPairwiseJudge(_Asked):
    """Asks a model through :class:`~enfold.hub.InferenceClient`.

    Args:
        model: repository or address.
        token: of the Hub.
        system_prompt: the question, with ``{prompt}``, ``{response0}`` and ``{response1}`` in it.
    """

    def __init__(self, model: str = "", token: str | None = None, system_prompt: str | None = None) -> None:
        super().__init__(system_prompt)
        import enfold.hub

        client = enfold.hub.InferenceClient(model=model, token=token)
        self.ask = lambda text: client.chat_completion(  # type: ignore[method-assign]
            messages=[{"role": "user", "content": text}], max_tokens=1
        ).choices[0].message.content  # fmt: skip


class OpenAIPairwiseJudge(_Asked):
    """Asks a model through the package ``openai``; with an address of your own server too.

    Args:
        model: its name.
        system_prompt: as of :class:`HfPairwiseJudge`.
        max_requests: most questions; further pairs are answered with -1. None for no bound.
        client: an ``openai.OpenAI``; made by default.
    """

    def __init__(
        self, model: str, system_prompt: str | None = None, max_requests: int | None = 1000, client: Any = None
    ) -> None:
        super().__init__(system_prompt)
        if client is None:
            try:
                from openai import OpenAI
            except ModuleNotFoundError:
                raise MissingExtra("OpenAIPairwiseJudge (the package openai)", "all") from None
            client = OpenAI()
        self.left = max_requests

        def ask(text: str) -> str:
            if self.left is not None:
                if self.left <= 0:
                    return ""
                self.left -= 1
            messages = [{"role": "user", "content": text}]
            return str(
                client.chat.completions.create(model=model, messages=messages, max_tokens=1).choices[0].message.content
            )

        self.ask = ask  # type: ignore[method-assign]
