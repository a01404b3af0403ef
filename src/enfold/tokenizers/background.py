"""Encoding and decoding beside a running event loop."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from enfold import _native

# asyncio and concurrent.futures are imported where they are used: most programs that tokenize never need them.
if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from enfold.tokenizers.encoding import Encoding

__all__ = ["Background"]

R = TypeVar("R")

# Inputs that are handed over at a time: a few milliseconds of work, for which the interpreter's lock is needed at the
# beginning and at the end, and after which a call that was cancelled ends.
_SLICE = 256

_pool: ThreadPoolExecutor | None = None
_pool_lock = threading.Lock()


def _workers() -> ThreadPoolExecutor:
    from concurrent.futures import ThreadPoolExecutor

    global _pool
    with _pool_lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(max(2, _native.thread_count()), thread_name_prefix="enfold-tokenizers")
        return _pool


def _forget_pool() -> None:
    # The threads, and whatever they had locked, stayed behind in the parent.
    global _pool, _pool_lock
    _pool, _pool_lock = None, threading.Lock()


os.register_at_fork(after_in_child=_forget_pool)


async def _apart(work: Callable[[Callable[[], bool]], R]) -> R:
    """Await ``work(cancelled)`` in a worker thread; when the waiting is cancelled, ``cancelled()`` tells the work."""
    import asyncio

    stop = threading.Event()
    try:
        return await asyncio.get_running_loop().run_in_executor(_workers(), work, stop.is_set)
    except asyncio.CancelledError:
        stop.set()
        raise


def _in_slices(
    items: Sequence[Any], call: Callable[[Sequence[Any]], list[R]]
) -> Callable[[Callable[[], bool]], list[R]]:
    def work(cancelled: Callable[[], bool]) -> list[R]:
        made: list[R] = []
        for start in range(0, len(items), _SLICE):
            if cancelled():
                break
            made += call(items[start : start + _SLICE])
        return made

    return work


class Background:
    """The calls of a tokenizer that an event loop can await.

    They run on threads of their own, not on the loop's default executor, and never hold the loop up. A call that is
    cancelled stops after the inputs at hand; the tokenizer and other calls are undisturbed.
    """

    async def async_encode(
        self: Any, sequence: Any, pair: Any = None, is_pretokenized: bool = False, add_special_tokens: bool = True
    ) -> Encoding:
        """As encode, without blocking the event loop.

        Example:
            >>> import asyncio
            >>> from enfold.tokenizers import Tokenizer
            >>> from enfold.tokenizers.models import WordLevel
            >>> asyncio.run(Tokenizer(WordLevel({"a": 0}, unk_token="a")).async_encode("a")).ids
            [0]
        """
        return await _apart(lambda _: self.encode(sequence, pair, is_pretokenized, add_special_tokens))

    async def async_encode_batch(
        self: Any, input: Iterable[Any], is_pretokenized: bool = False, add_special_tokens: bool = True
    ) -> list[Encoding]:
        """As encode_batch, without blocking the event loop."""
        items = input if isinstance(input, list | tuple) else list(input)
        padding = self.padding
        if padding is not None and padding["length"] is None:  # as long as the longest of all: in one go
            return await _apart(lambda _: self.encode_batch(items, is_pretokenized, add_special_tokens))
        return await _apart(
            _in_slices(items, lambda part: self.encode_batch(part, is_pretokenized, add_special_tokens))
        )

    async def async_encode_batch_fast(
        self: Any, input: Iterable[Any], is_pretokenized: bool = False, add_special_tokens: bool = True
    ) -> list[Encoding]:
        """As encode_batch_fast, without blocking the event loop."""
        return await self.async_encode_batch(input, is_pretokenized, add_special_tokens)

    async def async_decode(self: Any, ids: Sequence[int], skip_special_tokens: bool = True) -> str:
        """As decode, without blocking the event loop."""
        return await _apart(lambda _: self.decode(ids, skip_special_tokens))

    async def async_decode_batch(
        self: Any, sequences: Sequence[Sequence[int]], skip_special_tokens: bool = True
    ) -> list[str]:
        """As decode_batch, without blocking the event loop."""
        return await _apart(_in_slices(sequences, lambda part: self.decode_batch(part, skip_special_tokens)))
