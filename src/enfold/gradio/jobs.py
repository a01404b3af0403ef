"""One call of a function, from the moment a visitor asks for it until its result is on the way."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

from enfold.gradio.edits import difference
from enfold.gradio.encoding import encode, plain

if TYPE_CHECKING:
    from enfold.gradio.functions import BlockFunction
    from enfold.gradio.playlists import MediaStream
    from enfold.gradio.request import Request
    from enfold.gradio.sessions import Session
    from enfold.web.sse import Mailbox

__all__ = ["Cancelled", "Job", "current_job"]

current_job: contextvars.ContextVar[Job | None] = contextvars.ContextVar("current_job", default=None)
FRAME = 0.016  # a page cannot show values that come faster


class Cancelled(BaseException):
    """Ends a function whose event was stopped; not an Exception, so that functions do not swallow it."""


class Job:
    """A call and what it has said so far. Its methods belong to the event loop, unless they say otherwise.

    Args:
        fn: the attached function.
        data: the payloads of its inputs.
        session: the visitor's session.
        request: the HTTP request.
        sink: where its messages go.
        event_data: what the event carried.
        trigger_id: the block it happened on.
        edits: whether values after the first travel as edits.
        every_value: whether each value of a generator is sent, or the newest when the page can show one.
        streams: whether values for streaming outputs travel as playlists, and not each as the next piece.
    """

    def __init__(
        self,
        fn: BlockFunction,
        data: list[Any],
        session: Session,
        request: Request,
        sink: Mailbox,
        *,
        event_data: Any = None,
        trigger_id: int | None = None,
        edits: bool = True,
        every_value: bool = True,
        streams: bool = False,
    ) -> None:
        self.id = uuid.uuid4().hex
        self.fn, self.data, self.session, self.request, self.sink = fn, data, session, request, sink
        self.event_data, self.trigger_id = event_data, trigger_id
        self.rendered: dict[str, Any] | None = None  # the part of the page that the function made
        self.root = ""  # the page's address for this visitor, which files' addresses begin with
        self.edits, self.every_value, self.streams = edits, every_value, streams
        self.run = ""  # what its streams' addresses have in common, which nobody else can know
        self.media: dict[int, MediaStream] = {}
        self.loop = asyncio.get_running_loop()
        self.cancelled = threading.Event()
        self.finished = False
        self.running = False
        self.task: asyncio.Task[Any] | None = None
        self.started = time.perf_counter()
        self.reported = 0.0
        self.last: list[Any] | None = None
        self.result: dict[str, Any] | None = None
        self._waiting: list[Any] | None = None
        self._shown = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.changed_states: list[int] = []
        self.used_cache: str | None = None  # "full" for a kept result, "partial" when the function used a cache
        self.recalled = 0.0  # seconds it took to find a kept result

    def post(self, message: dict[str, Any]) -> None:
        """Send a message about this call."""
        if not self.finished:
            self.sink.post(encode({**message, "event_id": self.id}))

    def post_soon(self, message: dict[str, Any]) -> None:
        """Send a message from any thread."""
        self.loop.call_soon_threadsafe(self.post, message)

    def offer(self, values: list[Any]) -> None:
        """Show a value of a generator that goes on: now, or when the page can take one."""
        if self.finished:
            return
        self._waiting = self._with_waiting(values)
        wait = 0.0 if self.every_value else self._shown + FRAME - time.perf_counter()
        if wait <= 0:
            self._show()
        elif self._timer is None:
            self._timer = self.loop.call_later(wait, self._show)

    def _with_waiting(self, values: list[Any]) -> list[Any]:
        """Values in place of those that the page was not shown: what those changed beside the value is not lost."""
        if self._waiting is None:
            return values
        return [_followed(before, value) for before, value in zip(self._waiting, values, strict=True)]

    def _show(self) -> None:
        self._timer = None
        values, self._waiting = self._waiting, None
        if values is None or self.finished:
            return
        self._shown = time.perf_counter()
        values = plain(values)
        data: list[Any] = values
        if self.last is not None and self.edits:
            data = [difference(old, new) for old, new in zip(self.last, values, strict=True)]
        self.last = values
        output = {**self.output(data), "is_generating": True}
        self.post({"msg": "process_generating", "output": output, "success": True, "time_limit": None})

    def output(self, data: list[Any]) -> dict[str, Any]:
        """The ``output`` of a message: values, how long it took, and which states changed."""
        changed, self.changed_states = sorted(set(self.changed_states)), []
        return {
            "data": data,
            "is_generating": False,
            "duration": time.perf_counter() - self.started,
            "average_duration": self.fn.average,
            "render_config": self.rendered,
            "changed_state_ids": changed,
        }

    def complete(self, data: list[Any]) -> None:
        """End with a result."""
        self._end({"success": True, "output": self.output(self._with_waiting(data)), "title": None})

    def fail(self, output: dict[str, Any]) -> None:
        """End with an error; ``output`` holds what clients know: error, at most duration, visible, title."""
        self.fn.failures += not self.finished
        self._end({"success": False, "output": output, "title": output.get("title")})

    def stop(self) -> None:
        """End without a result, because the visitor asked for it."""
        self.cancelled.set()
        if self.task is not None and self.fn.is_async:
            self.task.cancel()
        self._end({"success": True, "output": {}, "title": None})

    def _from_cache(self) -> dict[str, Any]:
        if self.used_cache is None:
            return {}
        seconds = self.recalled if self.used_cache == "full" else None
        return {"used_cache": self.used_cache, "cache_duration": seconds}

    def _end(self, message: dict[str, Any]) -> None:
        if self.finished:
            return
        if self._timer is not None:
            self._timer.cancel()
        for stream in list(self.media.values()):  # a function that was stopped may be giving its first piece
            stream.end()
        self.result = message
        seconds = time.perf_counter() - self.started
        try:
            average = {"avg_time": self.fn.average if self.used_cache == "full" else self.fn.average or seconds}
            self.post({"msg": "process_completed", **message, **self._from_cache(), **average})
        except TypeError as error:  # a value that cannot travel
            self.result = {"success": False, "output": {"error": str(error)}, "title": None}
            self.post({"msg": "process_completed", **self.result})
        self.finished = True
        self.session.pending.pop(self.id, None)
        self.sink.wake()


def _changes(value: Any) -> bool:
    return isinstance(value, dict) and value.get("__type__") == "update"


def _followed(before: Any, value: Any) -> Any:
    """One value after another, as one."""
    if _changes(before):
        return {**before, **value} if _changes(value) else {**before, "value": value}
    return {"value": before, **value} if _changes(value) else value
