"""Tokens as text while they are made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from queue import Queue
from typing import Any

from enfold.errors import EnfoldError

__all__ = ["AsyncTextIteratorStreamer", "BaseStreamer", "TextIteratorStreamer", "TextStreamer"]


class BaseStreamer:
    """Receives tokens from ``generate``."""

    def put(self, value: Any) -> None:
        """Receive the prompt (B, T) once, then the new tokens (B,) of each step."""
        raise TypeError(f"{type(self).__name__} does not say what it does with tokens: define put")

    def end(self) -> None:
        """Learn that no more tokens come."""
        raise TypeError(f"{type(self).__name__} does not say what it does at the end: define end")


def _is_ideograph(character: str) -> bool:
    """Return whether a character is a word by itself (the CJK Unified Ideographs blocks of Unicode)."""
    code = ord(character)
    return (
        0x3400 <= code <= 0x4DBF or 0x4E00 <= code <= 0x9FFF or 0xF900 <= code <= 0xFAFF or 0x20000 <= code <= 0x2FA1F
    )


class TextStreamer(BaseStreamer):
    """Prints text as soon as its words are whole.

    Args:
        tokenizer: decodes the tokens.
        skip_prompt: leave the prompt out.
        decode_kwargs: passed to ``tokenizer.decode``, such as ``skip_special_tokens=True``.
    """

    def __init__(self, tokenizer: Any, skip_prompt: bool = False, **decode_kwargs: Any) -> None:
        self.tokenizer = tokenizer
        self.skip_prompt = skip_prompt
        self.decode_kwargs = decode_kwargs
        self._tokens: list[int] = []  # since the last line break: decoding is not always token by token
        self._shown = 0  # characters of theirs that have been passed on
        self._prompt_comes = True

    def put(self, value: Any) -> None:
        """Receive tokens and pass on the words that are whole."""
        if value.ndim > 1:
            if value.shape[0] > 1:
                raise EnfoldError(f"{type(self).__name__} streams one row, but the batch has {value.shape[0]}")
            value = value[0]
        is_prompt, self._prompt_comes = self._prompt_comes, False
        if is_prompt and self.skip_prompt:
            return
        self._tokens.extend(value.tolist())
        text = self.tokenizer.decode(self._tokens, **self.decode_kwargs)
        if text.endswith("\n"):
            ready = text[self._shown :]
            self._tokens, self._shown = [], 0
        else:
            # A word is whole when a space follows it; an ideograph is whole by itself.
            end = len(text) if text and _is_ideograph(text[-1]) else text.rfind(" ") + 1
            ready = text[self._shown : end]
            self._shown += len(ready)
        self.on_finalized_text(ready)

    def end(self) -> None:
        """Pass on what is left."""
        text = self.tokenizer.decode(self._tokens, **self.decode_kwargs) if self._tokens else ""
        ready = text[self._shown :]
        self._tokens, self._shown, self._prompt_comes = [], 0, True
        self.on_finalized_text(ready, stream_end=True)

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        """Print the text; subclasses do something else with it."""
        print(text, flush=True, end=None if stream_end else "")


class TextIteratorStreamer(TextStreamer):
    """Iterates over the text from another thread.

    Args:
        tokenizer: decodes the tokens.
        skip_prompt: leave the prompt out.
        timeout: seconds to wait for the next piece; None waits for ever.
        decode_kwargs: passed to ``tokenizer.decode``.
    """

    def __init__(
        self, tokenizer: Any, skip_prompt: bool = False, timeout: float | None = None, **decode_kwargs: Any
    ) -> None:
        super().__init__(tokenizer, skip_prompt, **decode_kwargs)
        self.text_queue: Queue[str | None] = Queue()
        self.stop_signal = None
        self.timeout = timeout

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        """Queue the text."""
        self.text_queue.put(text, timeout=self.timeout)
        if stream_end:
            self.text_queue.put(self.stop_signal, timeout=self.timeout)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        piece = self.text_queue.get(timeout=self.timeout)
        if piece is None:
            raise StopIteration
        return piece


class AsyncTextIteratorStreamer(TextStreamer):
    """Iterates over the text in an event loop while another thread generates; arguments as ``TextIteratorStreamer``."""

    def __init__(
        self, tokenizer: Any, skip_prompt: bool = False, timeout: float | None = None, **decode_kwargs: Any
    ) -> None:
        super().__init__(tokenizer, skip_prompt, **decode_kwargs)
        self.text_queue: asyncio.Queue[str | None] = asyncio.Queue()
        self.stop_signal = None
        self.timeout = timeout
        self.loop = asyncio.get_running_loop()

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        """Queue the text in the event loop."""
        self.loop.call_soon_threadsafe(self.text_queue.put_nowait, text)
        if stream_end:
            self.loop.call_soon_threadsafe(self.text_queue.put_nowait, self.stop_signal)

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        piece = await asyncio.wait_for(self.text_queue.get(), self.timeout)
        if piece is None:
            raise StopAsyncIteration
        return piece
