"""What is asked of the engine, how far it has come, and what came of it."""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from enum import Enum
from typing import Any

import torch

from enfold.transformers.generation.config import GenerationConfig

__all__ = ["Request", "Status"]

_END = object()
_numbers = itertools.count()


class Status(str, Enum):
    """How far a request has come."""

    WAITING = "waiting"
    RUNNING = "running"
    FINISHED = "finished"
    CANCELLED = "cancelled"
    FAILED = "failed"


class Request:
    """One text that is written on. Iterating gives its new tokens as they come; ``result`` waits for all.

    Attributes:
        id: its name.
        prompt: the tokens that it began with.
        new_tokens: those that were written.
        logprobs: of each new token the logarithm of its probability, where asked for.
        top_logprobs: of each new token the likeliest ones, {token: logarithm}, where asked for.
        status: how far it has come.
        finish_reason: ``"eos"``, ``"length"``, ``"stop_string"``, ``"stopped"`` (by a criterion of one's own),
            ``"cancelled"`` or ``"error"``; None before.
        error: what went wrong, or None.
        cached_tokens: how many tokens of the prompt had been read for others.
        created, started, first_token, ended: seconds of ``time.perf_counter``; None before.
    """

    def __init__(
        self,
        engine: Any,
        prompt: list[int],
        config: GenerationConfig,
        *,
        id: str | None = None,
        processors: Any = (),
        criteria: Any = (),
        ends: frozenset[int] = frozenset(),
        logprobs: int | None = None,
        generator: torch.Generator | None = None,
        salt: Hashable = None,
        streamer: Any = None,
        on_token: Callable[[Request, int], None] | None = None,
        on_end: Callable[[Request], None] | None = None,
    ) -> None:
        self.engine, self.prompt, self.config = engine, prompt, config
        self.id = f"request-{next(_numbers)}" if id is None else id
        self.processors, self.criteria, self.ends = processors, criteria, ends
        self.asked_logprobs, self.generator, self.salt, self.streamer = logprobs, generator, salt, streamer
        self.on_token, self.on_end = on_token, on_end
        self.new_tokens: list[int] = []
        self.logprobs: list[float] = []
        self.top_logprobs: list[dict[int, float]] = []
        self.times: list[float] = []  # of each new token
        self.status, self.finish_reason = Status.WAITING, None  # type: tuple[Status, str | None]
        self.error: BaseException | None = None
        self.cached_tokens = 0
        self.created = time.perf_counter()
        self.started: float | None = None
        self.ended: float | None = None
        self.cancelled = False
        # what the scheduler knows of it
        self.ids = torch.empty(1, config.max_length, dtype=torch.long)
        self.ids[0, : len(prompt)] = torch.tensor(prompt, dtype=torch.long)
        self.length = len(prompt)  # tokens so far
        self.filled = 0  # positions whose keys and values are kept
        self.blocks: list[int] = []
        self.numbers: list[int] = []  # of the full blocks that others may share
        self._fresh: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._done = threading.Event()

    @property
    def tokens(self) -> list[int]:
        """All tokens so far."""
        return self.prompt + self.new_tokens

    @property
    def first_token(self) -> float | None:
        """When the first new token came."""
        return self.times[0] if self.times else None

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self._done.is_set()

    def add(self, token: int) -> None:
        """Take a new token, and tell whoever listens."""
        self.ids[0, self.length] = token
        self.length += 1
        self.new_tokens.append(token)
        self.times.append(time.perf_counter())
        self._fresh.put(token)
        if self.streamer is not None:
            self.streamer.put(self.ids[0, self.length - 1 : self.length])
        if self.on_token is not None:
            self.on_token(self, token)

    def end(self, status: Status, reason: str, error: BaseException | None = None) -> None:
        """Nothing more will come."""
        self.status, self.finish_reason, self.error = status, reason, error
        self.ended = time.perf_counter()
        if self.streamer is not None:
            self.streamer.end()
        self._done.set()
        self._fresh.put(_END)
        if self.on_end is not None:
            self.on_end(self)

    def cancel(self) -> None:
        """Write no further; what was written stays."""
        self.cancelled = True
        self.engine.wake()

    def result(self, timeout: float | None = None) -> Request:
        """Wait until nothing more will come, and return this request.

        Args:
            timeout: seconds; None waits as long as it takes.

        Raises:
            TimeoutError: after that time.
            BaseException: what went wrong, if something did.
        """
        if not self.engine.drive(self._done.is_set, self._done.wait, timeout):
            raise TimeoutError(f"request {self.id} was not done after {timeout} s")
        if self.error is not None:
            raise self.error
        return self

    def __iter__(self) -> Iterator[int]:
        while True:
            self.engine.drive(lambda: not self._fresh.empty(), None, None)
            token = self._fresh.get()
            if token is _END:
                if self.error is not None:
                    raise self.error
                return
            yield token

    def __repr__(self) -> str:
        return f"Request({self.id}, {self.status.value}, {len(self.prompt)} + {len(self.new_tokens)} tokens)"
