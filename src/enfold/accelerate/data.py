"""Data loaders that every process reads its own share of, in an order that a seed and an epoch decide."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, RandomSampler, Sampler

from enfold.accelerate.operations import ignorant_find_batch_size, send_to_device
from enfold.accelerate.state import GradientState, PartialState

__all__ = [
    "BatchSamplerShard",
    "DataLoaderShard",
    "DataLoaderStateMixin",
    "IterableDatasetShard",
    "SeedableRandomSampler",
    "SkipBatchSampler",
    "SkipDataLoader",
    "prepare_data_loader",
    "skip_first_batches",
]


class SeedableRandomSampler(RandomSampler):
    """A random order that depends on a seed and the epoch alone, so that any epoch can be repeated.

    Args:
        data_source: what is sampled.
        data_seed: the seed; by default torch's initial one.

    Example:
        >>> sampler = SeedableRandomSampler(range(4), data_seed=0)
        >>> first = list(sampler)
        >>> sampler.set_epoch(0)
        >>> first == list(sampler)
        True
    """

    def __init__(self, *args: Any, data_seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial_seed = data_seed if data_seed is not None else torch.random.initial_seed()
        self.epoch = 0

    def __iter__(self) -> Iterator[int]:
        if self.generator is None:
            self.generator = torch.Generator()
        self.generator.manual_seed(self.epoch + self.initial_seed)
        yield from super().__iter__()
        self.epoch += 1

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the next order is for."""
        self.epoch = epoch


class BatchSamplerShard(BatchSampler):
    """The batches of a sampler that one of several processes works on.

    Args:
        batch_sampler: yields batches of indices.
        num_processes, process_index: how many processes, and which this is.
        split_batches: each batch is cut into shares; otherwise the batches are dealt out in turn.
        even_batches: begin again at the start until every process has equally many batches; of equal size too, where
            the sampler has a ``batch_size``.

    Raises:
        ValueError: ``split_batches`` for batches that have no one size, or one that the processes do not divide.
    """

    def __init__(
        self,
        batch_sampler: BatchSampler,
        num_processes: int = 1,
        process_index: int = 0,
        split_batches: bool = False,
        even_batches: bool = True,
    ) -> None:
        self.batch_sampler = batch_sampler
        self.num_processes, self.process_index = num_processes, process_index
        self.split_batches, self.even_batches = split_batches, even_batches
        self.batch_size = getattr(batch_sampler, "batch_size", None)  # type: ignore[assignment]
        self.drop_last = getattr(batch_sampler, "drop_last", False)
        if split_batches and self.batch_size is None:
            raise ValueError("split_batches needs a batch sampler with a batch_size: these batches differ in size")
        if split_batches and self.batch_size % num_processes:  # type: ignore[operator]
            raise ValueError(
                f"a batch of {self.batch_size} cannot be split between {num_processes} processes: the batch size must "
                "be a round multiple of their number"
            )

    def __len__(self) -> int:
        whole = len(self.batch_sampler)
        if self.split_batches:
            return whole
        rounds, extra = divmod(whole, self.num_processes)
        if not extra or self.drop_last:
            return rounds
        return rounds + 1 if self.even_batches or self.process_index < extra else rounds

    def __iter__(self) -> Iterator[list[int]]:
        return self._split() if self.split_batches else self._deal()

    def _split(self) -> Iterator[list[int]]:
        first: list[int] = []
        for batch in self.batch_sampler:
            batch = list(batch)
            if not first:
                first = batch
            size: int = self.batch_size  # type: ignore[assignment]
            if len(batch) < size and self.even_batches:
                while len(batch) < size:
                    batch += first[: size - len(batch)]
            share = size // self.num_processes
            mine = batch[self.process_index * share : (self.process_index + 1) * share]
            if mine:
                yield mine

    def _deal(self) -> Iterator[list[int]]:
        first: list[list[int]] = []  # the first round, which fills up the last one
        group: list[list[int]] = []
        for count, batch in enumerate(self.batch_sampler):
            if count < self.num_processes:
                first.append(list(batch))
            group.append(list(batch))
            if len(group) == self.num_processes and (self.batch_size is None or len(batch) == self.batch_size):
                yield group[self.process_index]
                group = []
        if not group or self.drop_last:
            return
        if not self.even_batches:
            if self.process_index < len(group):
                yield group[self.process_index]
            return
        if self.batch_size is None:  # batches as they are
            extra = self.process_index - len(group)
            yield group[self.process_index] if extra < 0 else first[extra % len(first)]
            return
        size = self.batch_size
        start, pool = [[index for batch in batches for index in batch] for batches in (first, group)]
        wanted = size * self.num_processes
        while len(pool) < wanted:
            pool += start[: wanted - len(pool)]
        yield pool[self.process_index * size : (self.process_index + 1) * size]


class IterableDatasetShard(IterableDataset):  # type: ignore[type-arg]
    """The examples of a stream that one of several processes works on: every process reads all, keeps its own."""

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        drop_last: bool = False,
        num_processes: int = 1,
        process_index: int = 0,
        split_batches: bool = False,
    ) -> None:
        self.dataset, self.batch_size, self.drop_last = dataset, batch_size, drop_last
        self.num_processes, self.process_index, self.split_batches = num_processes, process_index, split_batches

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the stream's next pass is."""
        if hasattr(self.dataset, "set_epoch"):
            self.dataset.set_epoch(epoch)

    def __iter__(self) -> Iterator[Any]:
        whole = self.batch_size if self.split_batches else self.batch_size * self.num_processes
        share = whole // self.num_processes
        mine = slice(self.process_index * share, (self.process_index + 1) * share)
        first: list[Any] | None = None
        pool: list[Any] = []
        for example in self.dataset:
            pool.append(example)
            if len(pool) == whole:
                yield from pool[mine]
                first = first if first is not None else list(pool)
                pool = []
        if pool and not self.drop_last:
            first = first if first is not None else list(pool)
            while len(pool) < whole:
                pool += first[: whole - len(pool)]
            yield from pool[mine]


class SkipBatchSampler(BatchSampler):
    """A batch sampler without its first ``skip_batches`` batches."""

    def __init__(self, batch_sampler: Any, skip_batches: int = 0) -> None:
        self.batch_sampler, self.skip_batches = batch_sampler, skip_batches
        self.batch_size = getattr(batch_sampler, "batch_size", None)  # type: ignore[assignment]
        self.drop_last = getattr(batch_sampler, "drop_last", False)

    def __iter__(self) -> Iterator[Any]:
        for index, batch in enumerate(self.batch_sampler):
            if index >= self.skip_batches:
                yield batch

    def __len__(self) -> int:
        return max(len(self.batch_sampler) - self.skip_batches, 0)


class DataLoaderStateMixin:
    """What gradient accumulation asks of a loader that is being read.

    Attributes:
        end_of_dataloader: whether the last batch has been given out.
        remainder: examples in the last global batch that are not repeats; -1 when unknown.
    """

    end_of_dataloader = False
    remainder = -1
    dataset: Any

    @property
    def total_batch_size(self) -> int:
        """Examples of one step over all processes."""
        return getattr(self, "batch_size", None) or 1

    def reset(self) -> None:
        """Forget the pass that was."""
        self.end_of_dataloader, self.remainder = False, -1

    def begin(self) -> None:
        """Be the loader that gradient accumulation looks at, until :meth:`end`."""
        self.reset()
        if hasattr(self.dataset, "__len__"):
            self.remainder = len(self.dataset) % self.total_batch_size
        state = self.gradient_state = GradientState()
        # loaders may be read inside one another
        self.__dict__.setdefault("_outer", []).append(state.active_dataloader)
        state.active_dataloader = self

    def end(self) -> None:
        """Give way to the loader that was read before."""
        self.gradient_state.active_dataloader = self.__dict__["_outer"].pop()


class DataLoaderShard(DataLoader, DataLoaderStateMixin):  # type: ignore[type-arg]
    """A ``DataLoader`` that moves its batches to a device and tells when the last one is out.

    Args:
        dataset: what is read.
        device: where batches go; they stay where they are by default.
        rng_types, synchronized_generator: accepted for the ecosystem's callers; orders depend on a seed here.
        skip_batches: batches to leave out at the beginning.
        use_stateful_dataloader: accepted for the ecosystem's callers; every loader knows its place here.
        non_blocking: do not wait for copies to the device.
        kwargs: of ``DataLoader``.

    Attributes:
        base_dataloader: the loader that is read.
        iteration: whole passes so far, or what :meth:`set_epoch` said. The data set and the batch sampler are told at
            the beginning of each pass, where they have a ``set_epoch``.
    """

    def __init__(
        self,
        dataset: Any,
        device: torch.device | None = None,
        rng_types: Any = None,
        synchronized_generator: torch.Generator | None = None,
        skip_batches: int = 0,
        use_stateful_dataloader: bool = False,
        *,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(dataset, **kwargs)
        self.base_dataloader: DataLoader[Any] = DataLoader(dataset, **kwargs)
        self.device, self.non_blocking, self.skip_batches = device, non_blocking, skip_batches
        self.iteration = 0
        self.gradient_state = GradientState()
        self._given = self._resume = 0  # batches given out in this pass, and to leave out in the next

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the next pass is, to the sampler and the data set."""
        self.iteration = epoch
        self._announce(everyone=True)

    def _announce(self, everyone: bool) -> None:
        inner: Any = self.batch_sampler
        while inner is not None:
            # a seedable sampler counts its passes itself, and a checkpoint keeps its count
            if hasattr(inner, "set_epoch") and (everyone or not isinstance(inner, SeedableRandomSampler)):
                inner.set_epoch(self.iteration)
            inner = getattr(inner, "batch_sampler", None) or getattr(inner, "sampler", None)
        if hasattr(self.dataset, "set_epoch"):
            self.dataset.set_epoch(self.iteration)

    @property
    def total_batch_size(self) -> int:
        """Examples of one step over all processes."""
        sampler: Any = self.batch_sampler
        size = getattr(sampler, "batch_size", None) or self.batch_size or 1
        split = getattr(sampler, "split_batches", False)
        return size if split else size * getattr(sampler, "num_processes", 1)

    @property
    def total_dataset_length(self) -> int:
        """Examples in the data set."""
        return len(self.dataset)  # type: ignore[arg-type]

    def state_dict(self) -> dict[str, Any]:
        """Return where the loader is: passes, batches given out in this one, and whether it has ended."""
        return {
            "iteration": self.iteration,
            "_num_yielded": 0 if self.end_of_dataloader else self._given,
            "_iterator_finished": self.end_of_dataloader,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Let the next pass begin where the saved one was."""
        self._resume = int(state_dict["_num_yielded"])
        self.iteration = int(state_dict.get("iteration", self.iteration))

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        self.begin()
        self._announce(everyone=False)
        total = len(self.dataset) if hasattr(self.dataset, "__len__") else None
        try:
            # Going on inside a pass reads again what was read before, which must not move the random numbers on.
            random = torch.get_rng_state() if self._resume else None
            source = iter(self.base_dataloader)
            self._given, self._resume = self._resume, 0
            for _ in range(self.skip_batches + self._given):
                next(source, None)
            try:
                batch = next(source)
            except StopIteration:
                self.iteration += 1
                return
            if random is not None:
                torch.set_rng_state(random)
            while True:
                # One batch ahead, because only the loader's end says which batch is the last.
                try:
                    following = next(source)
                except StopIteration:
                    self.end_of_dataloader = True
                    if total is None:
                        self.remainder = ignorant_find_batch_size(batch) or -1
                    self._given += 1
                    yield self._move(batch)
                    self.iteration += 1
                    return
                self._given += 1
                yield self._move(batch)
                batch = following
        finally:
            self.end()

    def _move(self, batch: Any) -> Any:
        return batch if self.device is None else send_to_device(batch, self.device, non_blocking=self.non_blocking)


class SkipDataLoader(DataLoaderShard):
    """A ``DataLoader`` without its first batches.

    Args:
        dataset: what is read.
        skip_batches: batches to leave out at the beginning of each pass.
        kwargs: of :class:`DataLoaderShard`.

    Example:
        >>> [batch.tolist() for batch in SkipDataLoader(range(5), skip_batches=1, batch_size=2)]
        [[2, 3], [4]]
    """

    def __init__(self, dataset: Any, skip_batches: int = 0, **kwargs: Any) -> None:
        super().__init__(dataset, skip_batches=skip_batches, **kwargs)

    def __len__(self) -> int:
        return max(super().__len__() - self.skip_batches, 0)


_KEPT = (
    "num_workers",
    "collate_fn",
    "pin_memory",
    "timeout",
    "worker_init_fn",
    "prefetch_factor",
    "persistent_workers",
)


def prepare_data_loader(
    dataloader: DataLoader,  # type: ignore[type-arg]
    device: torch.device | None = None,
    num_processes: int | None = None,
    process_index: int | None = None,
    split_batches: bool = False,
    put_on_device: bool = False,
    rng_types: Any = None,
    dispatch_batches: bool | None = None,
    even_batches: bool = True,
    slice_fn_for_dispatch: Any = None,
    use_seedable_sampler: bool = True,
    data_seed: int | None = None,
    non_blocking: bool = False,
    skip: int = 0,
) -> DataLoaderShard:
    """Return a loader that gives this process its share of ``dataloader``'s batches.

    Args:
        dataloader: any ``DataLoader``.
        device: where batches go when ``put_on_device``.
        num_processes, process_index: by default those of :class:`PartialState`.
        split_batches: the loader's batch size is that of all processes together.
        rng_types: accepted for the ecosystem's callers; orders depend on a seed here, not on random states.
        dispatch_batches: the main process reads and sends each its share; by default every process reads.
        even_batches: repeat from the start so that every process gets equally many full batches.
        slice_fn_for_dispatch: how a share is cut out of a batch that was sent.
        use_seedable_sampler: let a random order depend on seed and epoch alone.
        data_seed: the seed of that order; by default torch's initial one.
        non_blocking: do not wait for copies to the device.
        skip: batches to leave out at the beginning.
    """
    state = PartialState()
    count = state.num_processes if num_processes is None else num_processes
    index = state.process_index if process_index is None else process_index
    kept: dict[str, Any] = {name: getattr(dataloader, name) for name in _KEPT}
    kept["generator"] = dataloader.generator
    if dataloader.num_workers:
        kept["multiprocessing_context"] = dataloader.multiprocessing_context
        kept["in_order"] = getattr(dataloader, "in_order", True)
    dataset = dataloader.dataset
    where = device if put_on_device else None
    if dispatch_batches is None:
        dispatch_batches = False
    if dispatch_batches and count > 1:
        return _dispatcher(dataloader, where, split_batches, non_blocking, skip, slice_fn_for_dispatch, kept)
    if isinstance(dataset, IterableDataset):
        size = dataloader.batch_size  # None where the stream's elements are batches already
        if count > 1:
            dataset = IterableDatasetShard(dataset, size or 1, dataloader.drop_last, count, index, split_batches)
        share = size // count if size and split_batches else size
        kept.update(batch_size=share, drop_last=dataloader.drop_last)
        return DataLoaderShard(dataset, where, skip_batches=skip, non_blocking=non_blocking, **kept)
    batches: Any = dataloader.batch_sampler
    sampler = getattr(batches, "sampler", None)
    if isinstance(sampler, RandomSampler) and not isinstance(sampler, SeedableRandomSampler) and use_seedable_sampler:
        seeded = SeedableRandomSampler(
            sampler.data_source,
            replacement=sampler.replacement,
            num_samples=sampler._num_samples,
            generator=sampler.generator,
            data_seed=data_seed,
        )
        batches = BatchSampler(seeded, batches.batch_size, batches.drop_last)
    if count > 1 and not isinstance(batches, BatchSamplerShard):
        batches = BatchSamplerShard(batches, count, index, split_batches, even_batches)
    if skip:
        batches = SkipBatchSampler(batches, skip)
    return DataLoaderShard(dataset, where, non_blocking=non_blocking, batch_sampler=batches, **kept)


def _dispatcher(
    dataloader: DataLoader,  # type: ignore[type-arg]
    where: torch.device | None,
    split_batches: bool,
    non_blocking: bool,
    skip: int,
    slice_fn: Any,
    kept: dict[str, Any],
) -> DataLoaderShard:
    from enfold.accelerate.dispatching import DataLoaderDispatcher

    if isinstance(dataloader.dataset, IterableDataset):
        kept.update(batch_size=dataloader.batch_size, drop_last=dataloader.drop_last)
    else:
        kept["batch_sampler"] = dataloader.batch_sampler
    return DataLoaderDispatcher(
        dataloader.dataset,
        split_batches,
        skip,
        slice_fn=slice_fn,
        device=where,
        non_blocking=non_blocking,
        drop_last_share=bool(dataloader.drop_last),
        **kept,
    )


def skip_first_batches(dataloader: DataLoader, num_batches: int = 0) -> DataLoader:  # type: ignore[type-arg]
    """Return the same loader without its first ``num_batches`` batches; map-style data is not even read for them.

    Example:
        >>> loader = DataLoader([1, 2, 3], batch_size=1)
        >>> [int(batch) for batch in skip_first_batches(loader, 1)]
        [2, 3]
    """
    from enfold.accelerate.dispatching import DataLoaderDispatcher

    if num_batches == 0:
        return dataloader
    kept: dict[str, Any] = {name: getattr(dataloader, name) for name in _KEPT}
    kept["generator"] = dataloader.generator
    streams = isinstance(dataloader.dataset, IterableDataset)
    if streams:
        kept.update(batch_size=dataloader.batch_size, drop_last=dataloader.drop_last)
    else:
        kept["batch_sampler"] = dataloader.batch_sampler
    if isinstance(dataloader, DataLoaderShard):
        kept.update(device=dataloader.device, non_blocking=dataloader.non_blocking)
    if not isinstance(dataloader, DataLoaderDispatcher):
        if not streams:
            kept["batch_sampler"] = SkipBatchSampler(dataloader.batch_sampler, num_batches)
            if not isinstance(dataloader, DataLoaderShard):
                return DataLoader(dataloader.dataset, **kept)
        made = DataLoaderShard(dataloader.dataset, skip_batches=num_batches if streams else 0, **kept)
    else:
        kept.update(drop_last_share=dataloader.drop_last_share, slice_fn=dataloader.slice_fn)
        made = DataLoaderDispatcher(dataloader.dataset, dataloader.split_batches, num_batches, **kept)
    if isinstance(dataloader, DataLoaderShard):
        made.iteration = dataloader.iteration
    return made


def get_sampler(dataloader: DataLoader) -> Sampler[Any] | None:  # type: ignore[type-arg]
    """Return the sampler of single examples behind a loader's batches."""
    inner: Any = dataloader.batch_sampler
    while getattr(inner, "batch_sampler", None) is not None:
        inner = inner.batch_sampler
    return getattr(inner, "sampler", None)
