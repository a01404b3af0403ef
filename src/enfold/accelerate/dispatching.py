"""A loader that only the main process reads: it sends every other process its share of each batch."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

from enfold.accelerate.data import DataLoaderShard
from enfold.accelerate.operations import (
    broadcast_object_list,
    concatenate,
    ignorant_find_batch_size,
    recursively_apply,
    send_to_device,
    slice_tensors,
)
from enfold.accelerate.state import PartialState

__all__ = ["DataLoaderDispatcher"]


class DataLoaderDispatcher(DataLoaderShard):
    """A ``DataLoader`` that is read once, on the main process: what a stream wants that must not be read twice.

    Args:
        dataset: what is read; on the other processes it is not touched.
        split_batches: each batch is cut into shares; otherwise as many batches as processes are read, one for each.
        skip_batches: batches (of all processes together) to leave out at the beginning.
        use_stateful_dataloader: accepted for the ecosystem's callers; every loader knows its place here.
        slice_fn: how a share is cut out of a batch: ``(batch, slice) → share``.
        drop_last_share: leave out an end that does not fill a batch for everyone; otherwise it is filled with the first
            examples, and ``remainder`` says how many are real.
        kwargs: of :class:`DataLoaderShard`.
    """

    def __init__(
        self,
        dataset: Any,
        split_batches: bool = False,
        skip_batches: int = 0,
        use_stateful_dataloader: bool = False,
        *,
        slice_fn: Callable[[Any, slice], Any] | None = None,
        drop_last_share: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(dataset, skip_batches=skip_batches, **kwargs)
        self.split_batches, self.drop_last_share = split_batches, drop_last_share
        self.slice_fn = slice_fn or slice_tensors
        self.state = PartialState()

    def __len__(self) -> int:
        whole = super().__len__()
        if self.split_batches:
            return whole
        rounds, extra = divmod(whole, self.state.num_processes)
        return rounds if not extra or self.drop_last_share else rounds + 1

    @property
    def total_batch_size(self) -> int:
        """Examples of one step over all processes."""
        size = self.batch_size or getattr(self.batch_sampler, "batch_size", None) or 1
        return size if self.split_batches else size * self.state.num_processes

    def _batches(self) -> Iterator[Any]:
        """Whole batches for all processes, on the main process."""
        source = iter(self.base_dataloader)
        count = 1 if self.split_batches else self.state.num_processes
        while True:
            part = list(itertools.islice(source, count))
            if not part:
                return
            if len(part) < count and self.drop_last_share:
                return
            yield part[0] if len(part) == 1 else concatenate(part)

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        self.begin()
        self.remainder = -1  # only the batch that comes last says it
        self._announce(everyone=False)
        source = self._batches() if self.state.is_main_process else iter(())
        ahead: list[Any] = []
        first: Any = None
        skipped = 0
        try:
            while True:
                # The main process says what comes: nothing more, or a batch and whether it is the last.
                news: list[Any] = [None]
                if self.state.is_main_process:
                    if not ahead:
                        ahead = list(itertools.islice(source, 1))
                    if ahead:
                        batch = ahead.pop()
                        ahead = list(itertools.islice(source, 1))
                        news = [(batch, not ahead)]
                broadcast_object_list(news)
                if news[0] is None:
                    return
                batch, last = news[0]
                size = ignorant_find_batch_size(batch)
                first = batch if first is None else first
                if skipped < self.skip_batches:
                    skipped += 1
                    continue
                if last:
                    self.end_of_dataloader = True
                    self.remainder = size or -1
                yield self._move(self._mine(batch, first, size or 0, last))
                if last:
                    self.iteration += 1
                    return
        finally:
            self.end()

    def _mine(self, batch: Any, first: Any, size: int, last: bool) -> Any:
        count = self.state.num_processes
        if last and size % count and not self.drop_last_share:
            batch = concatenate([batch, self.slice_fn(first, slice(0, count - size % count))])
            size += count - size % count
        share = size // count
        index = self.state.process_index
        mine = self.slice_fn(batch, slice(index * share, (index + 1) * share))
        # a share of its own, so that the whole batch can go
        return recursively_apply(lambda tensor: tensor.clone(), send_to_device(mine, "cpu"))
