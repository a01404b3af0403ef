"""The engine: requests come at any time, from any thread; each step reads for all of them and writes a token each."""

from __future__ import annotations

import inspect
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

from enfold.errors import nearest
from enfold.log import get_logger
from enfold.transformers.generation.config import GenerationConfig, GenerationError
from enfold.transformers.generation.engine.blocks import Blocks
from enfold.transformers.generation.engine.choosing import chosen, reason_to_end
from enfold.transformers.generation.engine.prefix import Prefixes
from enfold.transformers.generation.engine.requests import Request, Status
from enfold.transformers.generation.engine.runner import Runner
from enfold.transformers.generation.engine.scheduler import Scheduler
from enfold.transformers.generation.modes import GenerationMode, mode_of
from enfold.transformers.generation.shaping import criteria_for, processors_for
from enfold.transformers.generation.stopping import EosTokenCriteria, StopStringCriteria

__all__ = ["Engine", "EngineConfig", "Statistics"]

logger = get_logger(__name__)
GIGABYTE = 2**30


@dataclass
class EngineConfig:
    """How much an engine does at once.

    Args:
        block_size: positions in a block.
        blocks: how many there are; None takes as many as ``memory`` holds, and no more than can be needed.
        memory: bytes for keys and values.
        max_running: requests that are worked on at once.
        max_step_tokens: tokens that a step reads.
        prefix_cache: whether texts share what they have in common at their beginning.
    """

    block_size: int = 16
    blocks: int | None = None
    memory: int = GIGABYTE
    max_running: int = 32
    max_step_tokens: int = 512
    prefix_cache: bool = True

    def __post_init__(self) -> None:
        for name in ("block_size", "memory", "max_running", "max_step_tokens"):
            if getattr(self, name) < 1:
                raise GenerationError(f"{name}={getattr(self, name)} must be at least 1")
        if self.blocks is not None and self.blocks < 1:
            raise GenerationError(f"blocks={self.blocks} must be at least 1")


@dataclass
class Statistics:
    """What an engine has done, and what it holds now."""

    steps: int = 0
    requests: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    new_tokens: int = 0
    seconds: float = 0.0
    preemptions: int = 0
    running: int = 0
    waiting: int = 0
    blocks: int = 0
    blocks_free: int = 0
    blocks_kept: int = 0


class Engine:
    """Writes for many requests at once, each in its own way, with the tokens that ``generate`` gives it alone.

    Args:
        model: a decoder with ``generate``.
        config: how much at once; ``options`` override single fields.
        tokenizer: for ``stop_strings``; or None.
        options: fields of ``EngineConfig``.

    Without ``start`` it works while somebody waits for a result; started, it works in a thread of its own.

    Raises:
        GenerationError: for models that it cannot write with.

    Example:
        >>> from enfold.transformers import LlamaConfig, LlamaForCausalLM
        >>> shape = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
        >>> engine = Engine(LlamaForCausalLM(LlamaConfig(vocab_size=9, **shape)).eval())
        >>> [len(request.new_tokens) for request in engine.generate([[1, 2, 3], [4]], max_new_tokens=5)]
        [5, 5]

    Source: Yu et al., 2022, "Orca" (batches per step); Kwon et al., 2023 (paged keys and values).
    """

    def __init__(
        self, model: Any, config: EngineConfig | None = None, *, tokenizer: Any = None, **options: Any
    ) -> None:
        known = {**vars(config or EngineConfig())}
        for name in options:
            if name not in known:
                raise GenerationError(f"an engine has no {name!r}{nearest(name, known)}")
        self.config = EngineConfig(**{**known, **options})
        self.model, self.tokenizer = model, tokenizer
        self._check()
        self.blocks = Blocks(self._count(), self.config.block_size)
        self.prefixes = Prefixes(self.blocks) if self.config.prefix_cache else None
        self.scheduler = Scheduler(self.blocks, self.prefixes, self.config.max_running, self.config.max_step_tokens)
        self.runner = Runner(model, self.blocks)
        self._statistics = Statistics(blocks=self.blocks.count)
        self._inbox: deque[Request] = deque()
        self._turn = threading.Lock()  # one thread turns the wheel at a time
        self._news = threading.Condition()
        self._worker: threading.Thread | None = None
        self._stopping = False

    # --- asking

    def submit(
        self,
        ids: Sequence[int] | Tensor,
        generation_config: GenerationConfig | None = None,
        *,
        request_id: str | None = None,
        logprobs: int | None = None,
        seed: int | None = None,
        salt: Hashable = None,
        streamer: Any = None,
        on_token: Callable[[Request, int], None] | None = None,
        on_end: Callable[[Request], None] | None = None,
        logits_processor: Iterable[Any] | None = None,
        stopping_criteria: Iterable[Any] | None = None,
        prefix_allowed_tokens_fn: Callable[[int, Tensor], list[int]] | None = None,
        **options: Any,
    ) -> Request:
        """Ask for a text to be written on; any thread may.

        Args:
            ids: the tokens (T,) or (1, T) that it begins with.
            generation_config: how; None takes the model's. ``options`` override single fields of it.
            request_id: its name; numbered by default.
            logprobs: keep the logarithm of each new token's probability, and of this many of the likeliest.
            seed: of what is drawn; None draws from torch's own generator.
            salt: texts of different salts share nothing.
            streamer: receives the prompt and then each token.
            on_token, on_end: called in the engine's thread, with the request and each new token, and at the end.
            logits_processor, stopping_criteria, prefix_allowed_tokens_fn: as in ``generate``.
            options: fields of ``GenerationConfig``.

        Raises:
            GenerationError: for arguments that make no sense, and for texts that will not fit.
        """
        prompt = [int(token) for token in (ids.flatten().tolist() if isinstance(ids, Tensor) else ids)]
        if not prompt:
            raise GenerationError("a request begins with at least one token")
        model = self.model
        open_length = model._length_is_open(generation_config, options)
        config, rest = (generation_config or GenerationConfig()).filled(model.generation_config, **options)
        if rest:
            hints = [f"{name!r}{nearest(name, GenerationConfig.FIELDS)}" for name in sorted(rest)]
            raise GenerationError(f"a request does not take {', '.join(hints)}")
        mode = mode_of(config)
        if mode not in (GenerationMode.GREEDY_SEARCH, GenerationMode.SAMPLE) or config.guidance_scale not in (None, 1):
            raise GenerationError("the engine searches greedily and draws; for other searches there is generate")
        if config.num_return_sequences > 1:
            raise GenerationError("num_return_sequences: submit a request once for each text")
        model._set_lengths(config, len(prompt), 0, open_length)
        if self.blocks.needed(config.max_length) > self.blocks.count:
            room = self.blocks.count * self.blocks.size
            raise GenerationError(
                f"{config.max_length} tokens do not fit into {room}: ask for fewer, or give the engine more memory"
            )
        ends = None if config.eos_token_id is None else torch.as_tensor(config.eos_token_id).reshape(-1)
        source = torch.tensor([prompt])
        processors = processors_for(
            model, config, len(prompt), ends, None, source, prefix_allowed_tokens_fn, logits_processor
        )
        found = criteria_for(config, None, stopping_criteria, self.tokenizer)
        generator = None if seed is None else torch.Generator(model.device).manual_seed(seed)
        request = Request(
            self,
            prompt,
            config,
            id=request_id,
            processors=processors,
            criteria=[(_reason(criterion), criterion) for criterion in found],
            ends=frozenset(() if ends is None else ends.tolist()),
            logprobs=logprobs,
            generator=generator,
            salt=salt,
            streamer=streamer,
            on_token=on_token,
            on_end=on_end,
        )
        if streamer is not None:
            streamer.put(source)
        self._inbox.append(request)
        self.wake()
        return request

    def generate(
        self,
        prompts: Iterable[Sequence[int] | Tensor],
        generation_config: GenerationConfig | None = None,
        **options: Any,
    ) -> list[Request]:
        """Write all texts on, and return their requests in order when all are done.

        Args:
            prompts: tokens of each.
            generation_config, options: as for ``submit``.

        Raises:
            BaseException: what went wrong with the first that failed.
        """
        requests = [self.submit(prompt, generation_config, **options) for prompt in prompts]
        return [request.result() for request in requests]

    def stream(
        self, ids: Sequence[int] | Tensor, generation_config: GenerationConfig | None = None, **options: Any
    ) -> Iterator[int]:
        """Yield the new tokens of a text as they come; leaving off cancels it. Arguments as for ``submit``."""
        request = self.submit(ids, generation_config, **options)
        try:
            yield from request
        finally:
            request.cancel()

    @property
    def statistics(self) -> Statistics:
        """What it has done, and what it holds now."""
        found, scheduler = self._statistics, self.scheduler
        found.preemptions = scheduler.preemptions
        found.running, found.waiting = len(scheduler.running), len(scheduler.waiting) + len(self._inbox)
        found.blocks_free = self.blocks.free
        found.blocks_kept = 0 if self.prefixes is None else self.prefixes.idle
        return found

    # --- the wheel

    def step(self) -> bool:
        """Read and write once for everybody; return whether there was anything to do."""
        with self._turn:
            return self._step()

    def _step(self) -> bool:
        scheduler, told = self.scheduler, self._statistics
        while self._inbox:
            scheduler.waiting.append(self._inbox.popleft())
        for request in [request for request in (*scheduler.running, *scheduler.waiting) if request.cancelled]:
            self._end(request, Status.CANCELLED, "cancelled")
        pieces = scheduler.plan()
        if not pieces:
            return False
        began = time.perf_counter()
        for request in {id(piece.request): piece.request for piece in pieces}.values():
            if request.started is None:
                request.started = began
                told.requests += 1
                told.prompt_tokens += len(request.prompt)
                told.cached_tokens += request.cached_tokens
        try:
            logits = self.runner.read(pieces)
            for piece in pieces:
                scheduler.done(piece)
            ready = [piece.request for piece in pieces if piece.is_last]
            for request, token in zip(ready, chosen(ready, logits) if ready else (), strict=True):
                if isinstance(token, Exception):
                    self._end(request, Status.FAILED, "error", token)
                    continue
                request.add(token)
                reason = reason_to_end(request)
                if reason is not None:
                    self._end(request, Status.FINISHED, reason)
        except BaseException as error:
            for piece in pieces:
                if not piece.request.is_over:
                    self._end(piece.request, Status.FAILED, "error", error)
            if not isinstance(error, Exception):
                raise
            logger.error("a step failed, and its requests with it: %s", error)
            return True
        told.steps += 1
        told.new_tokens += len(ready)
        told.seconds += time.perf_counter() - began
        return True

    def _end(self, request: Request, status: Status, reason: str, error: BaseException | None = None) -> None:
        self.scheduler.drop(request)
        request.end(status, reason, error)

    def wake(self) -> None:
        """Tell the thread that there is something to do."""
        with self._news:
            self._news.notify_all()

    def drive(
        self, ready: Callable[[], bool], wait: Callable[[float | None], bool] | None, timeout: float | None
    ) -> bool:
        """Work, or wait for the thread that does, until something is ready; return whether it is.

        Args:
            ready: says so.
            wait: waits for it, where another thread works; None where the caller waits by itself.
            timeout: seconds, or None.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while not ready():
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                return False
            if self._worker is not None and self._worker.is_alive():
                if wait is None:
                    return True
                wait(0.1 if left is None else min(left, 0.1))
            elif not self.step() and not ready():
                raise RuntimeError("nothing is left to do, and what is waited for is not there")
        return True

    # --- a thread of its own

    def start(self) -> Engine:
        """Work in a thread of its own from now on."""
        if self._worker is None or not self._worker.is_alive():
            self._stopping = False
            self._worker = threading.Thread(target=self._work, name="enfold-engine", daemon=True)
            self._worker.start()
        return self

    def stop(self, finish: bool = True, timeout: float | None = None) -> None:
        """End the thread.

        Args:
            finish: whether everything that was asked for is written first; otherwise it is cancelled.
            timeout: seconds to wait for the thread, or None.
        """
        worker = self._worker
        if worker is None:
            return
        if not finish:
            with self._turn:  # lists stay as they are between two steps
                for request in (*self.scheduler.running, *self.scheduler.waiting, *self._inbox):
                    request.cancelled = True
        self._stopping = True
        self.wake()
        worker.join(timeout)
        if not worker.is_alive():
            self._worker = None

    @property
    def is_running(self) -> bool:
        """Whether a thread works."""
        return self._worker is not None and self._worker.is_alive()

    def _work(self) -> None:
        while True:
            if self.step():
                continue
            with self._news:
                if self._inbox:
                    continue
                if self._stopping:
                    return
                self._news.wait(0.5)

    def __enter__(self) -> Engine:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(finish=kind is None)

    # --- what it can write with

    def _check(self) -> None:
        model, name = self.model, type(self.model).__name__
        if model.config.is_encoder_decoder:
            raise GenerationError(f"the engine writes with decoders; {name} reads before it writes")
        takes = inspect.signature(model.forward).parameters
        if not {"position_ids", "past_key_values", "logits_to_keep"} <= set(takes):
            raise GenerationError(f"the engine cannot write with {name}: it takes no positions, or keeps no cache")
        text = model.config.get_text_config(decoder=True)
        rope = getattr(text, "rope_parameters", None) or {}
        kinds = {part.get("rope_type") for part in (rope, *rope.values()) if isinstance(part, dict)}
        changing = [kind for kind in ("dynamic", "longrope") if kind in kinds]
        if changing:
            raise GenerationError(f"the engine cannot write with {changing[0]} positions: all change as a text grows")

    def _count(self) -> int:
        if self.config.blocks is not None:
            return self.config.blocks
        text = self.model.config.get_text_config(decoder=True)
        heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
        dim = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
        size = torch.empty((), dtype=self.model.dtype).element_size()
        block = 2 * text.num_hidden_layers * heads * dim * size * self.config.block_size
        longest = getattr(text, "max_position_embeddings", None) or 2048
        most = self.config.max_running * -(-longest // self.config.block_size)
        return max(min(self.config.memory // block, most), 1)


def _reason(criterion: Any) -> str:
    if isinstance(criterion, StopStringCriteria):
        return "stop_string"
    return "eos" if isinstance(criterion, EosTokenCriteria) else "stopped"
