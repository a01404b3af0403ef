"""What arrives together is computed together: while one batch runs, others gather, and the next takes them all."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from enfold.serving.errors import ServingError
from enfold.web.lanes import Lane

__all__ = ["Batches"]

T = TypeVar("T")
R = TypeVar("R")


class Batches(Generic[T, R]):
    """Runs a function on what callers ask for, in one thread of its own, as many at once as wait and may share a batch.

    Nobody waits for others to come: whoever finds the thread idle starts at once.

    Args:
        run: items → results, in order; called in the thread.
        size: items of a batch, at most.
        joins: whether an item may share the batch of the first; any may by default.
        waiting: items that may wait; None is no limit.
        name: of the thread.

    Example:
        >>> async def ask():
        ...     doubled = Batches(lambda items: [2 * item for item in items])
        ...     return await asyncio.gather(*map(doubled, range(4)))
        >>> asyncio.run(ask())
        [0, 2, 4, 6]
    """

    def __init__(
        self,
        run: Callable[[list[T]], list[R]],
        *,
        size: int = 64,
        joins: Callable[[T, T], bool] | None = None,
        waiting: int | None = None,
        name: str = "enfold-batches",
    ) -> None:
        self._run, self.most_waiting = run, waiting
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._lane: Lane[tuple[T, asyncio.Future[R]]] = Lane(
            self._start,
            limit=1,
            size=lambda _: size,
            joins=lambda first, other: joins is None or joins(first[0], other[0]),
        )
        self._numbers = itertools.count()
        self._tasks: set[asyncio.Task[None]] = set()
        self.batches = self.items = 0

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._lane)

    async def __call__(self, item: T) -> R:
        """Return what ``run`` makes of an item; whoever stops waiting for it leaves the queue.

        Raises:
            ServingError: 429, when too many wait already.
        """
        if self.most_waiting is not None and len(self._lane) >= self.most_waiting:
            raise ServingError(f"{len(self._lane)} requests wait already; ask again later", 429, retry_after=1)
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        key = str(next(self._numbers))
        self._lane.push(key, (item, future))
        try:
            return await future
        finally:
            self._lane.remove(key)

    async def outside(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Run something short in another thread, beside the batches."""
        return await asyncio.get_running_loop().run_in_executor(None, work, *arguments)

    def close(self) -> None:
        """Let the thread end."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _start(self, batch: list[tuple[T, asyncio.Future[R]]]) -> None:
        task = asyncio.get_running_loop().create_task(self._work(batch))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self, batch: list[tuple[T, asyncio.Future[R]]]) -> None:
        self.batches += 1
        self.items += len(batch)
        try:
            items = [item for item, _ in batch]
            found = await asyncio.get_running_loop().run_in_executor(self._thread, self._attempt, items)
            for (_, future), (result, error) in zip(batch, found, strict=True):
                if future.done():  # its caller has gone
                    continue
                if error is None:
                    future.set_result(result)
                else:
                    future.set_exception(error)
        except BaseException as error:
            for _, future in batch:
                if not future.done():
                    future.cancel() if isinstance(error, asyncio.CancelledError) else future.set_exception(error)
            if isinstance(error, asyncio.CancelledError):
                raise
        finally:
            self._lane.done()

    def _attempt(self, items: list[T]) -> list[tuple[Any, Exception | None]]:
        """Return each item's result or error; where a batch fails, each is tried alone, so that one spoils no other."""
        try:
            return [(result, None) for result in self._run(items)]
        except Exception as error:
            if len(items) == 1:
                return [(None, error)]
        return [self._attempt([item])[0] for item in items]
