"""Visitors: what the server remembers of each, and for how long."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from enfold.gradio.caching import forget
from enfold.gradio.components.base import Component
from enfold.gradio.components.state import State
from enfold.web.sse import Mailbox

if TYPE_CHECKING:
    from enfold.gradio.block import Block
    from enfold.gradio.jobs import Job
    from enfold.gradio.playlists import MediaStream

__all__ = ["Session", "Sessions"]

RUNS = 64  # calls of one session whose streams are kept


class Session:
    """One page or client: its states, the properties its events changed, and its messages.

    Nothing is copied for what did not change: a session begins as a few empty containers.
    """

    __slots__ = (
        "_mailbox",
        "connections",
        "hash",
        "lingers",
        "overlay",
        "parts",
        "pending",
        "reader",
        "runs",
        "seen",
        "shown",
        "state",
        "touched",
    )

    def __init__(self, hash: str) -> None:
        self.hash = hash
        self.state: dict[int, tuple[State, Any]] = {}
        self.touched: dict[int, float] = {}
        self.overlay: dict[int, Component] = {}
        self.parts: dict[int, Any] = {}  # what render functions made for this visitor, by render id
        self._mailbox: Mailbox | None = None
        self.pending: dict[str, Job] = {}
        self.reader = 0  # number of the stream that reads the mailbox; a newer one takes over
        self.connections = 0
        self.lingers = False  # whether its stream waits for a next call
        self.seen = time.monotonic()
        self.runs: dict[str, dict[int, MediaStream]] | None = None  # streams of each call, by the outputs' ids
        self.shown: dict[int, dict[str, Any]] | None = None  # what the page shows, where links to it can be made

    @property
    def mailbox(self) -> Mailbox:
        """The messages of the visitor's calls, made with the first of them."""
        if self._mailbox is None:
            self._mailbox = Mailbox()
        return self._mailbox

    def function(self, number: int) -> Any:
        """A function in a part of the page that was made for this visitor, or None."""
        return next((part.own[number] for part in self.parts.values() if number in part.own), None)

    def block(self, number: int) -> Any:
        """A block in such a part, or None."""
        return next((part.blocks[number] for part in self.parts.values() if number in part.blocks), None)

    def component(self, block: Block) -> Any:
        """The block as this visitor sees it."""
        return self.overlay.get(block._id, block)

    def change(self, block: Block, properties: Mapping[str, Any]) -> None:
        """Remember properties that an event changed for this visitor, as far as values are read by them."""
        if isinstance(block, Component):
            kept = {name: value for name, value in properties.items() if name not in {"value", "__type__", "visible"}}
            if kept:
                self.overlay[block._id] = self.component(block).changed(kept)

    def see(self, block: Block, changes: Mapping[str, Any]) -> None:
        """Note properties that the visitor's page has now."""
        if self.shown is None:
            self.shown = {}
        self.shown[block._id] = {**self.shown.get(block._id, {}), **changes}

    def keep_run(self, run: str, streams: dict[int, MediaStream]) -> None:
        """Keep a call's streams for the visitor to read; the oldest call's leave when there are many."""
        if self.runs is None:
            self.runs = {}
        self.runs[run] = streams
        while len(self.runs) > RUNS:
            del self.runs[next(iter(self.runs))]

    def read_state(self, state: State) -> Any:
        """The visitor's value of a state, made at first use."""
        now = time.monotonic()
        kept = self.state.get(state._id)
        if kept is not None and state.time_to_live is not None and now - self.touched[state._id] > state.time_to_live:
            self.drop(state)
            kept = None
        if kept is None:
            kept = self.state[state._id] = (state, state.fresh())
        self.touched[state._id] = now
        return kept[1]

    def drop(self, state: State) -> None:
        """Forget a state's value, telling those that asked for it."""
        _, value = self.state.pop(state._id)
        self.touched.pop(state._id, None)
        if state.delete_callback is not None:
            state.delete_callback(value)

    def expire(self) -> None:
        """Forget the states that nobody has touched for longer than they live."""
        now = time.monotonic()
        for state, _ in list(self.state.values()):
            if state.time_to_live is not None and now - self.touched[state._id] > state.time_to_live:
                self.drop(state)

    def write_state(self, state: State, value: Any) -> bool:
        """Set a state; whether that changed it."""
        old = self.read_state(state)
        self.state[state._id] = (state, value)
        try:
            return old is not value or bool(old != value)
        except Exception:  # values whose comparison is not a truth value, such as arrays
            return True

    def close(self) -> None:
        """Forget the visitor's states, telling those that asked for it, and what caches hold for them alone."""
        forget(self.hash)
        self.runs = None
        states, self.state = self.state, {}
        for state, value in states.values():
            if state.delete_callback is not None:
                state.delete_callback(value)


class Sessions:
    """Every visitor's session, the least recently seen dropped first.

    Args:
        capacity: sessions remembered at most.
        idle: seconds a session without connection and work is kept; 60 minutes, and a minute when it has no states
            and no streams.
    """

    def __init__(self, capacity: int = 10_000, idle: float = 3600.0) -> None:
        self.capacity, self.idle = capacity, idle
        self._all: OrderedDict[str, Session] = OrderedDict()

    def __len__(self) -> int:
        return len(self._all)

    def get(self, hash: str) -> Session | None:
        """The session with this hash, if the server knows it."""
        session = self._all.get(hash)
        if session is not None:
            self._touch(session)
        return session

    def open(self, hash: str) -> Session:
        """The session with this hash, made when it is new."""
        session = self._all.get(hash)
        if session is None:
            self._sweep()
            session = self._all[hash] = Session(hash)
        self._touch(session)
        return session

    def close(self) -> None:
        """Forget everyone."""
        while self._all:
            self._all.popitem()[1].close()

    def __iter__(self) -> Any:
        return iter(list(self._all.values()))

    def _touch(self, session: Session) -> None:
        session.seen = time.monotonic()
        self._all.move_to_end(session.hash)

    def _sweep(self) -> None:
        # Done when someone arrives, a few at a time: an idle server has no timer.
        now = time.monotonic()
        for session in list(self._all.values())[:8]:
            session.expire()
            limit = self.idle if session.state or session.runs else min(60.0, self.idle)
            busy = session.pending or session.connections
            if not busy and (now - session.seen > limit or len(self._all) >= self.capacity):
                del self._all[session.hash]
                session.close()
