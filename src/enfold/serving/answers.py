"""One answer on its way from the engine's thread to the event loop that sends it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from enfold.log import get_logger
from enfold.serving.decoding import Decoder, Stops
from enfold.serving.errors import ServingError

__all__ = ["Answer", "Answers", "Bridge", "Piece", "Token"]

logger = get_logger(__name__)

REASONS = {"eos": "eos", "length": "length", "stopped": "stop", "stop_string": "stop", "cancelled": "cancelled"}


@dataclass(slots=True)
class Token:
    """A token of an answer: its logarithm, and those of the likeliest at its place, where they were asked for."""

    id: int
    logprob: float | None = None
    top: dict[int, float] = field(default_factory=dict)


@dataclass(slots=True)
class Piece:
    """What is new of an answer: text, which may be empty, and tokens."""

    index: int
    text: str
    tokens: list[Token]
    is_last: bool = False


class Bridge:
    """Carries tokens from an engine's thread to an event loop, which is woken once for all that came meanwhile.

    Args:
        loop: that reads.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._fresh: deque[tuple[Answer, list[int], bool]] = deque()
        self._called = False

    def tell(self, answer: Answer, tokens: list[int], is_end: bool) -> None:
        """Pass tokens on; called in the engine's thread, where nothing may go wrong."""
        self._fresh.append((answer, tokens, is_end))
        if not self._called:
            self._called = True
            try:
                self.loop.call_soon_threadsafe(self._deliver)
            except RuntimeError:  # the loop has ended, and nobody reads any more
                self._fresh.clear()

    def _deliver(self) -> None:
        self._called = False
        while self._fresh:
            answer, tokens, is_end = self._fresh.popleft()
            try:
                answer.take(tokens, is_end)
            except Exception:
                logger.exception("an answer could not be decoded")
                answer.fail(ServingError("the answer could not be decoded", 500))


class Answer:
    """One text that is written, as its reader sees it. It belongs to the event loop.

    Args:
        index: its place among the answers to one request.
        decoder: makes text of tokens.
        stops: ends the text.
        unread: tokens that may wait for the reader.
        on_over: called once, when nothing more will come.
    """

    def __init__(
        self, index: int, decoder: Decoder, stops: Stops, unread: int, on_over: Callable[[Answer], None]
    ) -> None:
        self.index, self._decoder, self._stops, self._unread, self._on_over = index, decoder, stops, unread, on_over
        self.request: Any = None  # of the engine
        self.group: Answers | None = None
        self.count = 0  # tokens that belong to it, the one that ended it included
        self.reason: str | None = None  # "eos", "stop", "length", "cancelled", "error"
        self.error: ServingError | None = None
        self._waiting: list[Token] = []
        self._text: list[str] = []
        self._given_last = False

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self.reason is not None

    @property
    def stop_string(self) -> str | None:
        """The string that ended it."""
        return self._stops.found

    def take(self, tokens: list[int], is_end: bool) -> None:
        """Take what the engine wrote."""
        if self.is_over:
            if is_end:
                self._finished()
            return
        ends = self.request.ends
        shown = [token for token in tokens if token not in ends]
        text = self._stops.step(self._decoder.step(shown)) if shown else ""
        self._keep(tokens)
        ended = self._stops.found is not None
        if is_end and not ended:
            text += self._last()
            ended = self._stops.found is not None
        if text:
            self._text.append(text)
        if ended:
            self.reason = "stop"
            if not is_end:
                self.request.cancel()
        elif is_end:
            self.reason = REASONS.get(self.request.finish_reason, "error")
            if self.reason == "error":
                self.error = ServingError("the engine failed while it wrote this answer", 500)
        elif len(self._waiting) > self._unread:
            message = f"{len(self._waiting)} tokens wait to be read; at most {self._unread} may: the answer is given up"
            self.fail(ServingError(message, 408, code="slow_reader"))
        if is_end:
            self._finished()
        self._wake()

    def fail(self, error: ServingError) -> None:
        """Give it up."""
        if not self.is_over:
            self.reason, self.error = "error", error
            self._waiting, self._text = [], []
            self.request.cancel()
        self._wake()

    def cancel(self) -> None:
        """Write no further; the reader is gone."""
        if not self.is_over:
            self.reason = "cancelled"
        if self.request is not None:
            self.request.cancel()

    def read(self) -> Piece | None:
        """Return what came since the last time; None when nothing did.

        Raises:
            ServingError: when it failed.
        """
        if self.error is not None and not self._given_last:
            self._given_last = True
            raise self.error
        if not self._waiting and not self._text and not (self.is_over and not self._given_last):
            return None
        piece = Piece(self.index, "".join(self._text), self._waiting, self.is_over)
        self._text, self._waiting = [], []
        self._given_last = self.is_over
        return piece

    def _keep(self, tokens: list[int]) -> None:
        """Note tokens with their logarithms."""
        request, first = self.request, self.count
        self.count += len(tokens)
        if request.asked_logprobs is None:
            self._waiting += [Token(token) for token in tokens]
            return
        for place, token in enumerate(tokens, first):
            self._waiting.append(Token(token, request.logprobs[place], request.top_logprobs[place]))

    def _last(self) -> str:
        return self._stops.step(self._decoder.end()) + self._stops.end()

    def _finished(self) -> None:
        self._on_over(self)

    def _wake(self) -> None:
        if self.group is not None:
            self.group.wake()


class Answers:
    """The answers to one request; iterating gives their pieces as they come.

    Args:
        answers: in order.
    """

    def __init__(self, answers: Sequence[Answer]) -> None:
        self.all = list(answers)
        self._news = asyncio.Event()
        self._news.set()  # something may have come before
        for answer in self.all:
            answer.group = self

    def wake(self) -> None:
        """Let the reader look."""
        self._news.set()

    def cancel(self) -> None:
        """Write none of them any further."""
        for answer in self.all:
            answer.cancel()

    async def __aiter__(self) -> AsyncIterator[Piece]:
        left = list(self.all)
        while left:
            await self._news.wait()
            self._news.clear()
            for answer in list(left):
                piece = answer.read()
                if piece is not None:
                    yield piece
                    if piece.is_last:
                        left.remove(answer)

    async def whole(self) -> list[tuple[str, list[Token]]]:
        """Wait for all of them, and return the text and the tokens of each."""
        texts: list[list[str]] = [[] for _ in self.all]
        tokens: list[list[Token]] = [[] for _ in self.all]
        async for piece in self:
            texts[piece.index].append(piece.text)
            tokens[piece.index] += piece.tokens
        return [("".join(text), found) for text, found in zip(texts, tokens, strict=True)]
