"""The order in which rows are read, and loaders that take batches from columns where they can."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import BatchSampler, DataLoader, Dataset, IterableDataset, Sampler, SequentialSampler

from enfold.accelerate.data import BatchSamplerShard, IterableDatasetShard, SeedableRandomSampler, SkipBatchSampler
from enfold.transformers.trainer.columns import ColumnTable
from enfold.transformers.trainer.rebalancing import BatchRebalanceSampler

__all__ = ["LengthGroupedSampler", "LengthSortedSampler", "build_loader", "length_grouped_indices", "lengths_of"]


def length_grouped_indices(
    lengths: Sequence[int],
    batch_size: int,
    mega_batch_mult: int | None = None,
    generator: torch.Generator | None = None,
) -> list[int]:
    """Return a random order whose batches hold rows of similar length.

    Rows are shuffled, cut into groups of many batches, and each group is sorted, longest first; the longest row of all
    comes first, so that a batch too large for memory shows at once.

    Args:
        lengths: length of each row.
        batch_size: rows per batch.
        mega_batch_mult: batches per group; by default 50, or fewer where there would not be four groups.
        generator: source of randomness; by default torch's.
    """
    sizes = np.asarray(lengths)
    count = len(sizes)
    if mega_batch_mult is None:
        mega_batch_mult = max(min(count // (batch_size * 4), 50), 1)
    order = torch.randperm(count, generator=generator).numpy()
    step = mega_batch_mult * batch_size
    groups = [order[start : start + step] for start in range(0, count, step)]
    groups = [group[np.argsort(-sizes[group], kind="stable")] for group in groups]
    longest = int(np.argmax([sizes[group[0]] for group in groups])) if groups else 0
    if longest:
        groups[0][0], groups[longest][0] = groups[longest][0], groups[0][0]
    return np.concatenate(groups).tolist() if groups else []


class LengthGroupedSampler(Sampler[int]):
    """Reads rows of similar length together, in an order that depends on seed and epoch alone.

    Args:
        batch_size: rows per batch.
        dataset: rows with ``input_ids``, unless lengths are given.
        lengths: length of each row.
        model_input_name: the column whose lengths count.
        generator: source of randomness to use instead of ``seed``.
        seed: seed of the order.
    """

    def __init__(
        self,
        batch_size: int,
        dataset: Any = None,
        lengths: Sequence[int] | None = None,
        model_input_name: str | None = None,
        generator: torch.Generator | None = None,
        seed: int | None = None,
    ) -> None:
        if lengths is None:
            if dataset is None:
                raise ValueError("give a dataset or lengths")
            lengths = lengths_of(dataset, model_input_name or "input_ids")
            if lengths is None:
                raise ValueError(f"rows have no {model_input_name or 'input_ids'!r} whose length could be taken")
        self.batch_size, self.lengths, self.generator = batch_size, lengths, generator
        self.seed = seed if seed is not None else torch.random.initial_seed()
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.lengths)

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the next order is for."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        generator = self.generator or torch.Generator().manual_seed(self.seed + self.epoch)
        self.epoch += 1
        return iter(length_grouped_indices(self.lengths, self.batch_size, generator=generator))


class LengthSortedSampler(Sampler[int]):
    """Reads rows from the longest to the shortest; ``order`` tells where each came from."""

    def __init__(self, lengths: Sequence[int]) -> None:
        self.order = np.argsort(-np.asarray(lengths), kind="stable")

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[int]:
        return iter(self.order.tolist())


def lengths_of(dataset: Any, name: str, length_column: str = "length") -> Sequence[int] | None:
    """Return the length of every row, from a column of lengths, flat buffers, or the rows themselves."""
    names = getattr(dataset, "column_names", None) or ()
    if length_column in names:
        return [int(value) for value in dataset[length_column]]
    if name in names:
        table = ColumnTable.of(dataset, [name])
        found = table.lengths(name) if table is not None else None
        if found is not None:
            return found  # type: ignore[return-value]
        return [len(row) for row in dataset[name]]
    try:
        return [len(dataset[index][name]) for index in range(len(dataset))]
    except (KeyError, TypeError, IndexError):
        return None


class _Batches(Dataset[Any]):
    """A data set whose items are whole batches: indexed with a list of rows, it gives the collated tensors."""

    def __init__(self, table: ColumnTable, collate: Callable[[dict[str, Any]], Any]) -> None:
        self.table, self.collate = table, collate

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, rows: Any) -> Any:
        return self.collate(self.table.take(rows))


def _unchanged(batch: Any) -> Any:
    return batch


def build_loader(
    dataset: Any,
    collator: Callable[..., Any],
    *,
    batch_size: int,
    sampler: Sampler[Any] | None = None,
    columns: Sequence[str] | None = None,
    drop_last: bool = False,
    skip: int = 0,
    num_processes: int = 1,
    process_index: int = 0,
    even_batches: bool = True,
    generator: torch.Generator | None = None,
    workers: dict[str, Any] | None = None,
) -> DataLoader[Any]:
    """Return a loader of collated batches.

    Args:
        dataset: rows by index, or a stream of them.
        collator: rows → batch; one with ``collate_columns`` gets columns where the data set keeps Arrow tables.
        batch_size: rows per batch and process.
        sampler: order of the rows; by default as they are. One that gives batches is of this process's alone.
        columns: the columns to read.
        drop_last: leave out a last batch that is not full.
        skip: batches to leave out at the beginning, without reading them.
        num_processes, process_index: how many processes share the batches, and which this is.
        even_batches: repeat rows so that every process gets equally many full batches.
        generator: what the loader draws its workers' seed from; by default torch's own.
        workers: further arguments of ``DataLoader``.
    """
    extra = {**(workers or {}), "generator": generator}
    if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__len__"):
        if num_processes > 1:
            dataset = IterableDatasetShard(dataset, batch_size, drop_last, num_processes, process_index)
        elif not isinstance(dataset, IterableDataset):
            dataset = _Stream(dataset)
        return DataLoader(dataset, batch_size=batch_size, drop_last=drop_last, collate_fn=collator, **extra)
    order = sampler if sampler is not None else SequentialSampler(dataset)
    whole = isinstance(order, BatchRebalanceSampler)  # it gives a process's batches already
    batches: Any = order if whole else BatchSampler(order, batch_size, drop_last)
    if num_processes > 1 and not whole:
        batches = BatchSamplerShard(batches, num_processes, process_index, even_batches=even_batches)
    if skip:
        batches = SkipBatchSampler(batches, skip)
    collate = getattr(collator, "collate_columns", None)
    table = ColumnTable.of(dataset, list(columns or ())) if collate is not None and columns else None
    if table is not None and collate is not None:
        # The sampler's batches become the loader's indices: each item is a finished batch.
        return DataLoader(_Batches(table, collate), batch_size=None, sampler=batches, collate_fn=_unchanged, **extra)
    return DataLoader(dataset, batch_sampler=batches, collate_fn=collator, **extra)


class _Stream(IterableDataset[Any]):
    """Lets torch's loader read anything that can be iterated."""

    def __init__(self, source: Any) -> None:
        self.source = source

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the next pass is."""
        if hasattr(self.source, "set_epoch"):
            self.source.set_epoch(epoch)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.source)


def set_epoch(loader: DataLoader[Any], epoch: int) -> None:
    """Say which epoch a loader's next pass is, to every sampler and data set in it."""
    seen: list[Any] = []
    inner: list[Any] = [loader.sampler, getattr(loader, "batch_sampler", None), loader.dataset]
    while inner:
        item = inner.pop()
        if item is None or any(item is other for other in seen):
            continue
        seen.append(item)
        if hasattr(item, "set_epoch"):
            item.set_epoch(epoch)
        if isinstance(item, Sampler):
            inner += [getattr(item, "batch_sampler", None), getattr(item, "sampler", None)]


def random_sampler(dataset: Any, seed: int | None) -> SeedableRandomSampler:
    """Return the usual random order: a permutation that depends on the seed and the epoch."""
    return SeedableRandomSampler(dataset, data_seed=seed)
