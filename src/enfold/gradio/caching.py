"""Results that are kept: ``cache`` for functions, ``Cache`` for what a function keeps by itself.

Values are known by their contents: two equal arrays, pictures, tables or records are one key. A kept result of an
attached function is answered beside the queue.
"""

from __future__ import annotations

import copy
import functools
import inspect
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

from enfold.gradio.digests import digest, size_of

__all__ = ["MISSING", "Cache", "Store", "cache", "forget"]

MISSING: Any = object()
WRAPPERS = 1024  # functions that ``cache(fn)`` remembers having wrapped


class Store:
    """Kept entries, the least recently used dropped first.

    Args:
        max_size: entries at most; any number when 0.
        max_memory: bytes at most, as well as they can be told; the newest entry always stays.
        per_session: whether each visitor has entries of their own.
    """

    def __init__(self, max_size: int, max_memory: int | None, per_session: bool) -> None:
        self.max_size, self.max_memory, self.per_session = max_size, max_memory, per_session
        self.entries: OrderedDict[tuple[str, str], Any] = OrderedDict()
        self.sizes: dict[tuple[str, str], int] = {}
        self.memory = 0
        self.lock = threading.Lock()
        if per_session:
            _by_session.add(self)

    def _visitor(self) -> str:
        from enfold.gradio.jobs import current_job

        job = current_job.get() if self.per_session else None
        return job.session.hash if job is not None else ""

    def get(self, key: str) -> Any:
        """What is kept under a key, or ``MISSING``."""
        with self.lock:
            entry = self.entries.get((self._visitor(), key), MISSING)
            if entry is not MISSING:
                self.entries.move_to_end((self._visitor(), key))
            return entry

    def put(self, key: str, entry: Any) -> None:
        """Keep something under a key."""
        place = (self._visitor(), key)
        size = size_of(entry) if self.max_memory is not None else 0
        with self.lock:
            self.memory += size - self.sizes.get(place, 0)
            self.entries[place], self.sizes[place] = entry, size
            self.entries.move_to_end(place)
            while len(self.entries) > 1 and (
                0 < self.max_size < len(self.entries) or (self.max_memory is not None and self.memory > self.max_memory)
            ):
                self._drop(next(iter(self.entries)))

    def _drop(self, place: tuple[str, str]) -> None:
        del self.entries[place]
        self.memory -= self.sizes.pop(place)

    def clear(self) -> None:
        """Forget everything."""
        with self.lock:
            self.entries.clear()
            self.sizes.clear()
            self.memory = 0

    def forget(self, visitor: str) -> None:
        """Forget what one visitor has."""
        with self.lock:
            for place in [place for place in self.entries if place[0] == visitor]:
                self._drop(place)

    def own(self) -> list[Any]:
        """The entries of the visitor whose event runs; all when visitors share them."""
        with self.lock:
            visitor = self._visitor()
            return [entry for (owner, _), entry in self.entries.items() if owner == visitor]

    def __len__(self) -> int:
        with self.lock:
            return len(self.entries)


_by_session: weakref.WeakSet[Store] = weakref.WeakSet()
_wrapped: OrderedDict[tuple[Any, ...], Callable[..., Any]] = OrderedDict()
_wrapping = threading.Lock()


def forget(visitor: str) -> None:
    """Forget what the caches of single visitors hold for one who has left."""
    for store in list(_by_session):
        store.forget(visitor)


def _used() -> None:
    """Note that the running event took something from a cache."""
    from enfold.gradio.jobs import current_job

    job = current_job.get()
    if job is not None:
        job.used_cache = "partial"


def cache(
    fn: Callable[..., Any] | None = None,
    *,
    key: Callable[[dict[str, Any]], Any] | None = None,
    max_size: int = 128,
    max_memory: str | int | None = None,
    per_session: bool = False,
) -> Any:
    """Keep a function's results by what it was given; generators' values are kept and given one after the other.

    An attached function that has a kept result answers at once, beside the queue. ``cache(fn)(...)`` inside of a
    function keeps the results of a helper: every such call with the same options shares them.

    Args:
        fn: the function, generator or coroutine; left out, the call is a decorator.
        key: given the arguments by name, what of them the result depends on; everything when None.
        max_size: results kept at most, the least recently used dropped first; any number when 0.
        max_memory: bytes at most, or a text such as "512mb".
        per_session: whether each visitor has results of their own, forgotten when they leave.

    Returns:
        The function with a cache, whose ``cache`` attribute has ``clear()`` and a length.

    Raises:
        TypeError: ``fn`` is no function, or an argument cannot be told from others by its contents.

    Example:
        >>> calls = []
        >>> @cache
        ... def double(x):
        ...     calls.append(x)
        ...     return 2 * x
        >>> double(2), double(x=2), calls
        (4, 4, [2])
    """
    if fn is not None and not callable(fn):
        raise TypeError("cache(...) takes a function: cache(fn)(*args), not cache(fn(*args))")

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        from enfold.gradio.files import parse_size

        options = (key, max_size, parse_size(max_memory), per_session)
        try:
            hash(function)
            known: tuple[Any, ...] = (function, *options)
        except TypeError:  # a callable object that compares by contents
            known = (id(function), *options)
        with _wrapping:
            if known not in _wrapped:
                _wrapped[known] = _wrapper(function, Store(*options[1:]), key)
                while len(_wrapped) > WRAPPERS:
                    _wrapped.popitem(last=False)
            _wrapped.move_to_end(known)
            return _wrapped[known]

    return wrap if fn is None else wrap(fn)


def _wrapper(fn: Callable[..., Any], store: Store, key: Callable[[dict[str, Any]], Any] | None) -> Callable[..., Any]:
    signature = inspect.signature(fn)

    def place(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        given = dict(bound.arguments)
        return digest({name: _visitors(value) for name, value in given.items()} if key is None else key(given))

    def kept(at: str) -> Any:
        entry = store.get(at)
        if entry is not MISSING:
            _used()
        return entry

    def peek(*args: Any, **kwargs: Any) -> Any:
        """The kept result, the list of a generator's values, or ``MISSING``."""
        return _copied(store.get(place(args, kwargs)))

    made: Any
    if inspect.isgeneratorfunction(fn):

        @functools.wraps(fn)
        def generated(*args: Any, **kwargs: Any) -> Iterator[Any]:
            at = place(args, kwargs)
            if (entry := kept(at)) is not MISSING:
                yield from _copied(entry)
                return
            values = []
            for value in fn(*args, **kwargs):
                values.append(_copied(value))
                yield value
            store.put(at, values)

        made = generated
    elif inspect.isasyncgenfunction(fn):

        @functools.wraps(fn)
        async def generated_later(*args: Any, **kwargs: Any) -> Any:
            at = place(args, kwargs)
            if (entry := kept(at)) is not MISSING:
                for value in _copied(entry):
                    yield value
                return
            values = []
            async for value in fn(*args, **kwargs):
                values.append(_copied(value))
                yield value
            store.put(at, values)

        made = generated_later
    elif inspect.iscoroutinefunction(fn):

        @functools.wraps(fn)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            at = place(args, kwargs)
            if (entry := kept(at)) is not MISSING:
                return _copied(entry)
            result = await fn(*args, **kwargs)
            store.put(at, _copied(result))
            return result

        made = awaited
    else:

        @functools.wraps(fn)
        def called(*args: Any, **kwargs: Any) -> Any:
            at = place(args, kwargs)
            if (entry := kept(at)) is not MISSING:
                return _copied(entry)
            result = fn(*args, **kwargs)
            store.put(at, _copied(result))
            return result

        made = called
    made.cache, made.peek = store, peek
    return made  # type: ignore[no-any-return]


def _visitors(value: Any) -> Any:
    """What of an argument a result depends on: a request stands for its visitor, so that nobody gets another's."""
    from enfold.gradio.events import EventData
    from enfold.gradio.request import Progress, Request

    if isinstance(value, (Progress, Cache)):
        return None
    if isinstance(value, Request):
        return ("visitor", value.username, value.session_hash, value.signed_in)
    if isinstance(value, EventData):
        return ("event", None if value.target is None else value.target._id, value._data)
    return value


def _copied(value: Any) -> Any:
    """A copy, so that who changes a result does not change what is kept; the value itself where there can be none."""
    if value is MISSING:
        return value
    try:
        return copy.deepcopy(value)
    except Exception:
        return value


class Cache:
    """A cache that a function fills and reads by itself: make it the default of a parameter.

    Args:
        max_size, max_memory, per_session: as for :func:`cache`; limits hold for all visitors together.

    Example:
        >>> def answer(question, kept=Cache()):
        ...     hit = kept.get(question)
        ...     if hit is None:
        ...         kept.set(question, text=question.upper())
        ...     return (hit or kept.get(question))["text"]
        >>> answer("a"), answer("a")
        ('A', 'A')
    """

    def __init__(self, *, max_size: int = 128, max_memory: str | int | None = None, per_session: bool = False) -> None:
        from enfold.gradio.files import parse_size

        self._store = Store(max_size, parse_size(max_memory), per_session)

    @property
    def per_session(self) -> bool:
        """Whether each visitor has entries of their own."""
        return self._store.per_session

    def get(self, key: Any) -> dict[str, Any] | None:
        """What was set under a key that equals this one; None when nothing is kept."""
        entry = self._store.get(digest(key))
        if entry is MISSING:
            return None
        _used()
        return dict(entry[1])

    def set(self, key: Any, **data: Any) -> None:
        """Keep values by name under a key."""
        self._store.put(digest(key), (key, data))

    def keys(self) -> list[Any]:
        """The keys, the least recently used first."""
        return [key for key, _ in self._store.own()]

    def clear(self) -> None:
        """Forget everything, every visitor's."""
        self._store.clear()

    def __len__(self) -> int:
        return len(self._store)
