"""Models that write: one engine in a thread of its own, its adapters, and the answers that are asked of it."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from enfold.errors import EnfoldError
from enfold.log import get_logger
from enfold.serving.adapters import AdapterRunner, Adapters
from enfold.serving.answers import Answer, Answers, Bridge
from enfold.serving.decoding import Decoder, Stops
from enfold.serving.errors import ServingError
from enfold.serving.grammar import Grammars
from enfold.serving.limits import Limits
from enfold.serving.metrics import Metrics
from enfold.serving.sampling import Wish
from enfold.transformers.generation.config import GenerationError
from enfold.transformers.generation.engine import Engine, Request
from enfold.transformers.generation.engine.choosing import reason_to_end

__all__ = ["TextModel", "Writer"]

logger = get_logger(__name__)


class Writer:
    """An engine with its queue, for one model and its adapters.

    Args:
        model: a decoder.
        tokenizer: its tokenizer, with a core of its own.
        limits: how much is accepted.
        metrics: what is counted.
        adapters: name → PEFT folder.
        options: fields of :class:`~enfold.transformers.generation.engine.EngineConfig`.

    Raises:
        EnfoldError: for a model or a tokenizer that cannot be served.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        limits: Limits | None = None,
        metrics: Metrics | None = None,
        adapters: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        if not hasattr(tokenizer, "backend_tokenizer"):
            raise EnfoldError(
                f"{type(tokenizer).__name__} cannot be served: it has no core that decodes token by token"
            )
        self.model, self.tokenizer = model.eval().requires_grad_(False), tokenizer
        self.limits, self.metrics = limits or Limits(), metrics or Metrics()
        self.adapters = Adapters(model, adapters) if adapters else None
        self.engine = Engine(model, tokenizer=tokenizer, **options)
        if self.adapters is not None:
            self.engine.runner = AdapterRunner(model, self.engine.blocks, self.adapters)
        text = model.config.get_text_config(decoder=True)
        self.width = int(text.vocab_size)
        positions = getattr(text, "max_position_embeddings", None)
        room = self.engine.blocks.count * self.engine.blocks.size
        self.longest = min(positions or room, room)
        """Tokens that a prompt and its answer have together, at most."""
        ends = model.generation_config.eos_token_id
        ends = tokenizer.eos_token_id if ends is None else ends
        self.ends = [] if ends is None else [ends] if isinstance(ends, int) else [int(end) for end in ends]
        self.grammars = Grammars(tokenizer, self.width, self.ends, self.limits.schema)
        self.open = 0  # answers that were asked for and are not over in the engine
        self._bridge: Bridge | None = None
        self._pace = 1.0  # seconds that an answer takes, lately

    # --- asking

    def room(self, prompt: int, param: str = "messages") -> int:
        """Return how many tokens an answer to a prompt may have.

        Raises:
            ServingError: 400 for a prompt that is too long, with both numbers.
        """
        most = self.longest - 1 if self.limits.prompt_tokens is None else self.limits.prompt_tokens
        most = min(most, self.longest - 1)
        if prompt > most:
            raise ServingError(
                f"the prompt has {prompt} tokens; this model is served with at most {most}",
                param=param,
                code="context_length_exceeded",
            )
        return min(self.longest - prompt, self.limits.new_tokens)

    async def ask(
        self, name: str, adapter: str | None, prompt: list[int], wish: Wish, *, goes_on: bool = False
    ) -> Answers:
        """Ask the engine for answers.

        Args:
            name: that counts are kept under.
            adapter: to write with, or None.
            prompt: token ids.
            wish: how.
            goes_on: the answer's text goes on from the prompt's, as its first space shows.

        Raises:
            ServingError: 429 where the queue is full, 400 for what makes no sense.
        """
        self._admit(name, wish.count)
        constraints: list[Any] = [None] * wish.count
        if wish.grammar is not None:
            kind, value = wish.grammar
            made = partial(self.grammars.constraint, kind, value, len(prompt), wish.grammar_param)
            constraints = [await asyncio.to_thread(made) for _ in range(wish.count)]
            self._admit(name, wish.count)  # others came meanwhile
        bridge = self._bridge
        if bridge is None or bridge.loop is not asyncio.get_running_loop():
            bridge = self._bridge = Bridge(asyncio.get_running_loop())
        answers: list[Answer] = []
        try:
            for index, constraint in enumerate(constraints):
                answer = self._answer(name, prompt if goes_on else [], wish, index)
                self._submit(bridge, answer, adapter, prompt, wish, constraint)
                answers.append(answer)
        except BaseException:
            for answer in answers:
                answer.cancel()
            raise
        self.metrics.prompt_tokens.add(len(prompt), name)
        return Answers(answers)

    def _answer(self, name: str, before: list[int], wish: Wish, index: int) -> Answer:
        decoder, stops = Decoder(self.tokenizer, before, wish.skip_special), Stops(wish.stops, wish.keep_stop)
        return Answer(index, decoder, stops, self.limits.unread, partial(self._over, name))

    def _submit(
        self, bridge: Bridge, answer: Answer, adapter: str | None, prompt: list[int], wish: Wish, constraint: Any
    ) -> None:
        told = 0

        def on_token(request: Request, token: int) -> None:
            nonlocal told
            if reason_to_end(request) is None:  # the last token is told with the end
                told += 1
                bridge.tell(answer, [token], False)

        def on_end(request: Request) -> None:
            bridge.tell(answer, request.new_tokens[told:], True)

        try:
            # The bridge delivers in this thread, after this call: the answer knows its request by then.
            answer.request = self.engine.submit(
                prompt,
                logprobs=wish.logprobs,
                seed=None if wish.seed is None else (wish.seed + answer.index) % 2**63,
                salt=adapter,
                on_token=on_token,
                on_end=on_end,
                logits_processor=wish.processors(len(prompt), constraint),
                **{"eos_token_id": self.ends or None, **wish.options},
            )
        except (GenerationError, ValueError) as error:
            raise ServingError(str(error)) from None
        self.open += 1

    def _admit(self, name: str, count: int) -> None:
        most = self.engine.config.max_running + self.limits.queue
        if self.open + count > most:
            self.metrics.refused.add(1, name)
            waiting = max(self.open - self.engine.config.max_running, 1)
            seconds = min(max(round(self._pace * waiting / self.engine.config.max_running), 1), 60)
            raise ServingError(
                f"{self.open} answers are being written or wait; at most {most} may",
                429,
                code="queue_full",
                retry_after=seconds,
            )

    def _over(self, name: str, answer: Answer) -> None:
        self.open -= 1
        request = answer.request
        metrics, times = self.metrics, request.times
        metrics.ends.add(1, name, answer.reason or "error")
        metrics.new_tokens.add(len(times), name)
        if times:
            metrics.first_token.add(times[0] - request.created, name)
            for first, second in itertools.pairwise(times):
                metrics.between_tokens.add(second - first, name)
        self._pace += 0.1 * (time.perf_counter() - request.created - self._pace)

    # --- the engine's life

    def start(self) -> None:
        """Begin to write."""
        self.engine.start()

    def stop(self) -> None:
        """Cancel what is left, and end."""
        self.engine.stop(finish=False, timeout=30)

    def gauges(self) -> dict[str, float]:
        """Return what the engine holds now."""
        told = self.engine.statistics
        return {
            "running_answers": told.running,
            "waiting_answers": told.waiting,
            "cache_blocks": told.blocks,
            "cache_blocks_free": told.blocks_free,
            "cache_blocks_kept": told.blocks_kept,
            "preemptions": told.preemptions,
            "engine_steps": told.steps,
            "engine_seconds": told.seconds,
            "prompt_tokens_from_cache": told.cached_tokens,
        }


class TextModel:
    """A model, or a model with one of its adapters, under the name that clients use.

    Args:
        name: of it.
        writer: that writes.
        adapter: its adapter's name, or None.
        parent: the name of the model that the adapter is for.
    """

    kind = "text"

    def __init__(self, name: str, writer: Writer, adapter: str | None = None, parent: str | None = None) -> None:
        self.name, self.writer, self.adapter = name, writer, adapter
        self.about: dict[str, Any] = {"max_model_len": writer.longest}
        if parent is not None:
            self.about |= {"parent": parent, "root": adapter}

    @property
    def tokenizer(self) -> Any:
        """Its tokenizer."""
        return self.writer.tokenizer

    async def ask(self, prompt: list[int], wish: Wish, *, goes_on: bool = False) -> Answers:
        """Ask for answers; see :meth:`Writer.ask`."""
        return await self.writer.ask(self.name, self.adapter, prompt, wish, goes_on=goes_on)

    def room(self, prompt: int, param: str = "messages") -> int:
        """Return how many tokens an answer may have; see :meth:`Writer.room`."""
        return self.writer.room(prompt, param)

    def start(self) -> None:
        """Begin to write; an adapter writes with its model's engine."""
        if self.adapter is None:
            self.writer.start()

    def stop(self) -> None:
        """End."""
        if self.adapter is None:
            self.writer.stop()

    def gauges(self) -> dict[str, float]:
        """Return what the engine holds; an adapter holds nothing of its own."""
        return self.writer.gauges() if self.adapter is None else {}
