"""The engine under the ecosystem's names: ``generate_batch`` and the manager of continuous batching."""

from __future__ import annotations

import copy
import queue
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import torch
from torch import Tensor

from enfold.errors import nearest
from enfold.progress import Progress
from enfold.transformers.generation.config import GenerationConfig, GenerationError
from enfold.transformers.generation.engine.engine import Engine
from enfold.transformers.generation.engine.requests import Request, Status

__all__ = [
    "ContinuousBatchingConfig",
    "ContinuousBatchingManager",
    "ContinuousMixin",
    "GenerationOutput",
    "RequestStatus",
]

# ContinuousBatchingConfig's names → those of EngineConfig
NAMES = {
    "page_size": "block_size",
    "block_size": "block_size",
    "num_blocks": "blocks",
    "max_batch_tokens": "max_step_tokens",
    "max_requests_per_batch": "max_running",
    "allow_block_sharing": "prefix_cache",
}
# What concerns kernels and devices that this engine leaves to torch.
LEFT_TO_TORCH = (
    "auto_switch_to_flash",
    "compile_config",
    "cpu_offload_space",
    "decode_compile_config",
    "default_compile_level",
    "kv_padding_interval_size",
    "manual_eviction",
    "max_blocks_per_request",
    "max_memory_percent",
    "max_queue_size",
    "num_kv_padding_intervals",
    "num_q_padding_intervals",
    "q_padding_interval_size",
    "safety_margin",
    "scheduler_type",
    "slice_inputs",
    "use_async_batching",
    "use_cuda_graph",
    "varlen_compile_config",
)


class ContinuousBatchingConfig:
    """How much is done at once, in the ecosystem's words.

    Args:
        page_size: positions in a block.
        num_blocks: how many there are.
        max_batch_tokens: tokens that a step reads.
        max_requests_per_batch: requests that are worked on at once.
        allow_block_sharing: whether texts share their beginnings.
        return_logprobs: whether each new token's logarithm is kept.
        seed: of what is drawn.
        options: what other engines know of kernels and devices; it changes nothing here.

    Raises:
        GenerationError: for anything else.

    Example:
        >>> ContinuousBatchingConfig(max_batch_tokens=64).engine_options()
        {'max_step_tokens': 64}
    """

    def __init__(self, return_logprobs: bool = False, seed: int | None = None, **options: Any) -> None:
        for name in options:
            if name not in NAMES and name not in LEFT_TO_TORCH:
                raise GenerationError(f"no such setting {name!r}{nearest(name, [*NAMES, *LEFT_TO_TORCH])}")
        self.return_logprobs, self.seed, self.options = return_logprobs, seed, options

    def engine_options(self) -> dict[str, Any]:
        """Return the fields of ``EngineConfig`` that are set."""
        given = {NAMES[name]: value for name, value in self.options.items() if name in NAMES}
        return {name: value for name, value in given.items() if value is not None}


class RequestStatus(IntEnum):
    """How far a request has come."""

    PENDING = 0
    PREFILLING = 1
    DECODING = 2
    FINISHED = 3
    FAILED = 4


@dataclass
class GenerationOutput:
    """What came of a request, so far or in all: its tokens, what went wrong, and seconds of ``time.perf_counter``."""

    request_id: str
    prompt_ids: list[int] = field(default_factory=list)
    generated_tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    error: str | None = None
    status: RequestStatus = RequestStatus.PENDING
    created_time: float = field(default_factory=time.perf_counter)
    lifespan: tuple[float, float] = (-1, -1)
    timestamps: list[float] | None = None

    def is_finished(self) -> bool:
        """Whether nothing more will come."""
        return self.status >= RequestStatus.FINISHED


def output_of(request: Request, timestamps: bool = False) -> GenerationOutput:
    """Return what has come of a request so far."""
    over = {Status.FINISHED: RequestStatus.FINISHED, Status.CANCELLED: RequestStatus.FINISHED}
    status = over.get(request.status, RequestStatus.DECODING if request.new_tokens else RequestStatus.PREFILLING)
    if request.status is Status.FAILED:
        status = RequestStatus.FAILED
    elif request.status is Status.WAITING and not request.new_tokens:
        status = RequestStatus.PENDING
    return GenerationOutput(
        request.id,
        list(request.prompt),
        list(request.new_tokens),
        list(request.logprobs),
        None if request.error is None else str(request.error),
        status,
        request.created,
        (request.started or -1, request.ended or -1),
        list(request.times) if timestamps else None,
    )


class ContinuousBatchingManager:
    """Takes requests and hands out what came of them, in the order in which they end.

    Args:
        model: a decoder.
        generation_config: how all of them are written, unless they say otherwise.
        continuous_batching_config: how much at once.

    Example:
        >>> from enfold.transformers import LlamaConfig, LlamaForCausalLM
        >>> shape = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
        >>> model = LlamaForCausalLM(LlamaConfig(vocab_size=9, **shape)).eval()
        >>> with model.continuous_batching_context_manager() as manager:
        ...     name = manager.add_request([1, 2, 3], max_new_tokens=4)
        ...     len(manager.get_result(name).generated_tokens)
        4
    """

    def __init__(
        self,
        model: Any,
        generation_config: GenerationConfig | None = None,
        continuous_batching_config: ContinuousBatchingConfig | None = None,
    ) -> None:
        self.model, self.generation_config = model, generation_config
        self.config = continuous_batching_config or ContinuousBatchingConfig()
        self.engine = Engine(model, **self.config.engine_options())
        self._requests: dict[str, Request] = {}
        self._stamped: set[str] = set()
        self._results: queue.Queue[GenerationOutput] = queue.Queue()
        self._apart: dict[str, list[GenerationOutput]] = {}  # taken while looking for another
        self._handlers: dict[str, Callable[[GenerationOutput], None]] = {}
        self._number = 0

    def start(self) -> None:
        """Begin to work."""
        self.engine.start()

    def stop(self, block: bool = True, timeout: float | None = None, **_: Any) -> None:
        """Cancel what is left, and end.

        Args:
            block: wait for the end.
            timeout: seconds to wait, or None.
        """
        self.engine.stop(finish=False, timeout=timeout if block else 0)

    def join(self, timeout: float | None = None, **_: Any) -> None:
        """Wait until everything that was asked for is written, and end."""
        self.engine.stop(finish=True, timeout=timeout)

    def is_running(self) -> bool:
        """Whether it works."""
        return self.engine.is_running

    def add_request(
        self,
        input_ids: list[int],
        request_id: str | None = None,
        max_new_tokens: int | None = None,
        streaming: bool = False,
        record_timestamps: bool = False,
        eos_token_id: int | list[int] | None = None,
        **options: Any,
    ) -> str:
        """Ask for a text to be written on, and return its name.

        Args:
            input_ids: the tokens that it begins with.
            request_id: its name; numbered by default.
            max_new_tokens: how many more, at most.
            streaming: hand out what there is with every token, not at the end alone.
            record_timestamps: note when each token came.
            eos_token_id: end tokens.
            options: further fields of ``GenerationConfig``.

        Raises:
            GenerationError: for a name that is taken, and as ``Engine.submit``.
        """
        if request_id is None:
            request_id = f"req_{self._number}"
        self._number += 1
        if request_id in self._requests:
            raise GenerationError(f"request_id {request_id!r} is taken")
        for name, value in (("max_new_tokens", max_new_tokens), ("eos_token_id", eos_token_id)):
            if value is not None:
                options[name] = value
        if record_timestamps:
            self._stamped.add(request_id)
        request = self.engine.submit(
            input_ids,
            self.generation_config,
            request_id=request_id,
            logprobs=0 if self.config.return_logprobs else None,
            seed=None if self.config.seed is None else self.config.seed + self._number,
            on_token=self._told if streaming else None,
            on_end=self._told,
            **{"num_return_sequences": 1, **options},
        )
        self._requests[request_id] = request
        if request.is_over:  # before it was noted
            del self._requests[request_id]
        return request_id

    def add_requests(self, inputs: Iterable[list[int]], **options: Any) -> list[str]:
        """Ask for several texts to be written on, and return their names; ``options`` as for ``add_request``."""
        return [self.add_request(ids, **options) for ids in inputs]

    def cancel_request(self, request_id: str) -> None:
        """Write a text no further."""
        if request_id not in self._requests:
            raise GenerationError(f"no request {request_id!r}{nearest(request_id, self._requests)}")
        self._requests[request_id].cancel()

    def get_result(self, request_id: str | None = None, timeout: float | None = None) -> GenerationOutput | None:
        """Return the next result, of one request or of any; None when there is none after ``timeout`` seconds."""
        for name in list(self._apart) if request_id is None else [request_id]:
            if self._apart.get(name):
                return self._apart[name].pop(0)
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            left = 0.1 if until is None else min(until - time.monotonic(), 0.1)
            try:
                result = self._results.get(timeout=max(left, 0.0)) if self.is_running() else self._results.get(False)
            except queue.Empty:
                if not self.is_running() or (until is not None and time.monotonic() >= until):
                    return None
                continue
            if request_id is None or result.request_id == request_id:
                return result
            self._apart.setdefault(result.request_id, []).append(result)

    def __iter__(self) -> Iterator[GenerationOutput]:
        """Yield results as they come, while it works."""
        while self.is_running() or not self._results.empty():
            result = self.get_result(timeout=0.1)
            if result is not None:
                yield result

    def request_id_iter(self, request_id: str) -> Iterator[GenerationOutput]:
        """Yield the results of one request until it ends."""
        while True:
            result = self.get_result(request_id, timeout=0.1)
            if result is not None:
                yield result
                if result.is_finished():
                    return
            elif not self.is_running():
                return

    def register_result_handler(self, request_id: str, callback: Callable[[GenerationOutput], None]) -> None:
        """Call a function with each result of a request, in the engine's thread, instead of keeping it."""
        self._handlers[request_id] = callback

    def _told(self, request: Request, token: int | None = None) -> None:
        """Hand out what has come of a request; an end is handed out once, when it is one."""
        result = output_of(request, request.id in self._stamped)
        if result.is_finished():
            self._requests.pop(request.id, None)
            self._stamped.discard(request.id)
        self._handlers.get(request.id, self._results.put)(result)
        if result.is_finished():
            self._handlers.pop(request.id, None)


def paged(
    model: Any, ids: Tensor, mask: Tensor | None, config: GenerationConfig, tokenizer: Any = None, **options: Any
) -> Tensor:
    """Return what ``generate`` does for ``cache_implementation="paged"``: ids (rows · sequences, T + new).

    Args:
        model: a decoder.
        ids: (B, T).
        mask: (B, T), 0 for padding, or None.
        config: made definite.
        tokenizer: for ``stop_strings``.
        options: as for ``Engine.submit``.
    """
    settings = copy.copy(config)
    settings.cache_implementation, settings.num_return_sequences = None, 1
    settings.max_length = None
    new = config.max_length - ids.shape[1]
    rows = [row if mask is None else row[mask[place].bool()] for place, row in enumerate(ids.cpu())]
    engine = Engine(model, tokenizer=tokenizer)
    requests = [
        engine.submit(row, settings, **{**options, "max_new_tokens": new})
        for row in rows
        for _ in range(config.num_return_sequences)
    ]
    written = [request.result().new_tokens for request in requests]
    pad = config.pad_token_id
    if pad is None:
        ends = config.eos_token_id
        pad = 0 if ends is None else ends if isinstance(ends, int) else int(ends[0])
    longest = max(map(len, written))
    tail = [tokens + [pad] * (longest - len(tokens)) for tokens in written]
    return torch.cat((ids.repeat_interleave(config.num_return_sequences, 0), ids.new_tensor(tail)), 1)


class ContinuousMixin:
    """Gives a decoder its ``generate_batch``."""

    def init_continuous_batching(
        self,
        generation_config: GenerationConfig | None = None,
        continuous_batching_config: ContinuousBatchingConfig | None = None,
        **options: Any,
    ) -> ContinuousBatchingManager:
        """Return a manager; ``options`` are single fields of ``ContinuousBatchingConfig``."""
        if continuous_batching_config is not None and options:
            raise GenerationError(f"both continuous_batching_config and {', '.join(sorted(options))} were given")
        options.pop("workload_hints", None)
        config = continuous_batching_config or ContinuousBatchingConfig(**options)
        return ContinuousBatchingManager(self, generation_config, config)

    @contextmanager
    def continuous_batching_context_manager(
        self,
        generation_config: GenerationConfig | None = None,
        block: bool = True,
        timeout: float | None = None,
        continuous_batching_config: ContinuousBatchingConfig | None = None,
        persistent_manager: bool = False,
        warmup: bool = True,
        **options: Any,
    ) -> Iterator[ContinuousBatchingManager]:
        """Yield a manager that works, and end it.

        Args:
            generation_config, continuous_batching_config, options: as for ``init_continuous_batching``.
            block: wait for its end.
            timeout: seconds to wait, or None.
            persistent_manager: keep it, with what it has read, for the next call.
            warmup: accepted; nothing here needs it.
        """
        kept = self.__dict__.get("_continuous_manager")
        manager = kept or self.init_continuous_batching(generation_config, continuous_batching_config, **options)
        manager.generation_config = generation_config
        manager.start()
        try:
            yield manager
        finally:
            manager.stop(block=block, timeout=timeout)
            if persistent_manager:
                self.__dict__["_continuous_manager"] = manager

    def destroy_cached_continuous_batching_manager(self) -> None:
        """Forget the manager that was kept."""
        self.__dict__.pop("_continuous_manager", None)

    def generate_batch(
        self,
        inputs: list[list[int]],
        generation_config: GenerationConfig | None = None,
        continuous_batching_config: ContinuousBatchingConfig | None = None,
        record_timestamps: bool = False,
        progress_bar: bool = False,
        persistent_manager: bool = False,
        warmup: bool = True,
        **options: Any,
    ) -> dict[str, GenerationOutput]:
        """Write all texts on, each as ``generate`` would alone, and return name → what came of it, in order.

        Args:
            inputs: the tokens that each begins with.
            generation_config: how; None takes the model's.
            continuous_batching_config: how much at once.
            record_timestamps: note when each token came.
            progress_bar: show how many are done.
            persistent_manager: keep what was read for the next call.
            warmup: accepted; nothing here needs it.
            options: fields of ``GenerationConfig`` and of ``ContinuousBatchingConfig``.

        Raises:
            GenerationError: for arguments that make no sense.
        """
        at_once = {name: options.pop(name) for name in sorted(set(options) & {*NAMES, *LEFT_TO_TORCH})}
        if at_once:
            continuous_batching_config = continuous_batching_config or ContinuousBatchingConfig(**at_once)
        settings = generation_config or getattr(self, "generation_config", None) or GenerationConfig()
        count = options.pop("num_return_sequences", None) or settings.num_return_sequences or 1
        with (
            self.continuous_batching_context_manager(
                generation_config,
                continuous_batching_config=continuous_batching_config,
                persistent_manager=persistent_manager,
            ) as manager,
            Progress(len(inputs) * count, "texts", unit="text", quiet=not progress_bar) as bar,
        ):
            names = [
                manager.add_request(ids, record_timestamps=record_timestamps, **options)
                for ids in inputs
                for _ in range(count)
            ]
            found: dict[str, GenerationOutput] = {}
            while len(found) < len(names):
                result = manager.get_result(timeout=1)
                if result is not None:
                    found[result.request_id] = result
                    bar.advance()
        return {name: found[name] for name in names}
