"""The face of a stream: what users see, and where the place of its reader is kept."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from ..features.features import Features
from ..features.types import List
from ..info import DatasetInfo, InfoMixin
from ..splits import NamedSplit
from .columns import ColumnMixin
from .functions import BatchFilter, BatchMap, Function, RowFilter, RowMap
from .keyed import ExamplesIterable
from .making import MakeMixin
from .pieces import Piece, View, length, to_table
from .shards import Source
from .sharing import Deal
from .shuffling import shuffled
from .steps import Group, Repeat, Skip, Step, Tables, Take, regroup
from .writing import WriteMixin

__all__ = ["IterableDataset"]

_FORM = 1


class _Epoch:
    """The epoch, which workers that go on living see change."""

    def __init__(self) -> None:
        self._value: Any = 0

    def share(self) -> None:
        """Move the number to memory that torch's workers share."""
        torch = sys.modules.get("torch")
        if torch is not None and isinstance(self._value, int) and hasattr(torch, "tensor"):
            self._value = torch.tensor(self._value).share_memory_()

    def get(self) -> int:
        return int(self._value)

    def set(self, epoch: int) -> None:
        if isinstance(self._value, int):
            self._value = epoch
        else:
            self._value.fill_(epoch)


class IterableDataset(InfoMixin, ColumnMixin, MakeMixin, WriteMixin):
    """Rows that are read one after the other, when they are asked for.

    A stream never changes its rows: every method returns another one. Where torch is loaded, a stream is one of its
    iterable datasets, and the workers of a ``DataLoader`` share the rows among themselves.

    Args:
        step: the last step of the chain that makes the rows.
        info: what is known about them.
        split: the name of the split.

    Example:
        >>> stream = IterableDataset.from_dict({"a": [1, 2, 3]})
        >>> [row["b"] for row in stream.map(lambda row: {"b": row["a"] * 2}).skip(1)]
        [4, 6]
    """

    def __init__(
        self,
        step: Step,
        info: DatasetInfo | None = None,
        split: str | None = None,
        *,
        describe: Callable[[], Features | None] | None = None,
    ) -> None:
        self._step = step
        self._info = info.copy() if info is not None else DatasetInfo()
        if isinstance(step, ExamplesIterable) and self._info.features is not None:
            # rows that a function yields are as they are: the features say what becomes of them
            self._step = Tables(step, "cast", self._info.features, View())
        self._split = NamedSplit(split) if split is not None else None
        self._describe = describe
        self._format: tuple[str | None, dict[str, Any]] = (None, {})
        self._node: tuple[int, int, str] = (0, 1, "auto")
        self._epoch = _Epoch()
        self._pending: dict[str, Any] | None = None
        self._reader: _Reader | None = None

    # torch asks isinstance(…, IterableDataset); the class becomes one of torch's when torch is there to ask.
    @property
    def __class__(self) -> type:  # type: ignore[override]
        torch_data = sys.modules.get("torch.utils.data")
        parent = getattr(torch_data, "IterableDataset", None)
        if parent is not None and hasattr(parent, "register"):
            parent.register(IterableDataset)
            self._epoch.share()
        return type(self)

    @__class__.setter
    def __class__(self, kind: type) -> None:
        raise TypeError("a stream's class cannot be changed")

    def __getstate__(self) -> dict[str, Any]:
        _ = self._view  # what files say is asked here, not by every process
        return {**self.__dict__, "_describe": None, "_reader": None}

    # ---- making others of this one

    def _with(self, step: Step, features: Features | None, *, known: bool = True) -> IterableDataset:
        made = IterableDataset.__new__(type(self))
        made.__dict__.update(self.__dict__)
        made._step = step
        made._info = copy.copy(self._info)
        made._info.features = features
        made._describe = None if known else self._describe
        made._epoch = _Epoch()
        made._epoch.set(self.epoch)
        made._pending = made._reader = None
        return made

    def _same(self, step: Step) -> IterableDataset:
        """Return a stream of other rows with the same columns."""
        return self._with(step, self._info.features, known=False)

    @property
    def _view(self) -> View:
        if self._info.features is None and self._describe is not None:
            self._info.features = self._describe()
            self._describe = None
        return View(self._info.features, *self._format)

    # ---- what it is

    @property
    def features(self) -> Features | None:
        """The columns and their kinds; None where a function made them and nobody said what they are."""
        if self._info.features is None and self._tells_itself():
            self._info.features = self._resolved()
        return self._view.features

    def _tells_itself(self) -> bool:
        step: Step | None = self._step
        while step is not None:
            if isinstance(step, (RowMap, BatchMap)):
                return False
            step = step.inner
        return isinstance(self._bottom(), Source)

    def _bottom(self) -> Step:
        step = self._step
        while step.inner is not None:
            step = step.inner
        return step

    def _resolved(self) -> Features | None:
        for _, piece in self._step.at_epoch(self.epoch).pieces():
            if length(piece):
                return Features.from_arrow_schema(to_table(piece).schema)
        return None

    def _resolve_features(self) -> IterableDataset:
        """Return the stream with its features known, from its first rows where nothing else says them."""
        if self.features is not None:
            return self
        found = self._resolved()
        return self._with(self._step, found)

    @property
    def column_names(self) -> list[str] | None:
        """The columns' names, or None where the features are not known."""
        features = self.features
        return None if features is None else list(features)

    @property
    def num_columns(self) -> int | None:
        """The number of columns, or None where the features are not known."""
        features = self.features
        return None if features is None else len(features)

    @property
    def num_shards(self) -> int:
        """The number of parts that several readers can share."""
        rank, world, strategy = self._node
        total = self._step.num_shards
        if strategy == "shards":
            return len(range(rank, total, world))
        return total // world if world > 1 and total % world == 0 and strategy != "examples" else total

    n_shards = num_shards

    @property
    def epoch(self) -> int:
        """The epoch; it decides the order of shuffled rows."""
        return self._epoch.get()

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, before the rows are read: every epoch has an order of its own."""
        self._epoch.set(epoch)

    def __repr__(self) -> str:
        shown = "Unknown" if self._info.features is None else list(self._info.features)
        return f"IterableDataset({{\n    features: {shown},\n    num_shards: {self.num_shards}\n}})"

    # ---- reading

    def _prepared(self) -> tuple[Step, int, int]:
        """Return the steps for this process, and which reader of how many it is."""
        index, count, strategy = self._node
        if strategy == "shards":
            self._require_shards(count)
        worker = None
        torch_data = sys.modules.get("torch.utils.data")
        if torch_data is not None and hasattr(torch_data, "get_worker_info"):
            worker = torch_data.get_worker_info()
        if worker is not None:
            # neighbouring rows go to different machines first, and to the workers of a machine in turn
            index, count = index + count * worker.id, count * worker.num_workers
        step = self._step.at_epoch(self.epoch)
        if count > 1 and strategy == "examples":
            step = Deal(step, index, count)
        elif count > 1:
            mine = step.restrict(step.blocks()[index::count]) if strategy == "shards" else None
            step = mine if mine is not None else step.share(index, count)
        return step, index, count

    def _begin(self) -> _Reader:
        step, index, count = self._prepared()
        self._reader = _Reader(step, self.epoch, index, count)
        pending, self._pending = self._pending, None
        if pending is not None and pending["epoch"] == self.epoch:
            self._reader.resume(pending)
        return self._reader

    def __iter__(self) -> Iterator[Any]:
        return self._rows(self._view, self._begin())

    @staticmethod
    def _rows(view: View, reader: _Reader) -> Iterator[Any]:
        for piece in reader.pieces():
            for row in view.rows(piece):
                reader.given += 1
                yield row

    def iter(self, batch_size: int, drop_last_batch: bool = False) -> Iterator[Any]:
        """Yield batches of rows in the stream's format.

        Args:
            batch_size: rows of a batch.
            drop_last_batch: leave out the last one where it is smaller.

        Example:
            >>> [batch["a"] for batch in IterableDataset.from_dict({"a": [1, 2, 3]}).iter(2)]
            [[1, 2], [3]]
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be positive, not {batch_size}")
        return self._batches(self._view, self._begin(), batch_size, drop_last_batch)

    @staticmethod
    def _batches(view: View, reader: _Reader, size: int, drop_last: bool) -> Iterator[Any]:
        for at, first, piece in regroup(reader.step, reader.place, reader.given, size, view):
            if drop_last and length(piece) < size:
                return
            reader.place, reader.given = at, first + length(piece)
            yield view.batch(piece)

    # ---- states

    def state_dict(self) -> dict[str, Any]:
        """Return where the newest iteration is: numbers and lists, of a size that does not grow with the rows read.

        Example:
            >>> stream = IterableDataset.from_dict({"a": [1, 2, 3]})
            >>> next(iter(stream)), stream.load_state_dict(stream.state_dict()), list(stream)
            ({'a': 1}, None, [{'a': 2}, {'a': 3}])
        """
        if self._reader is not None:
            return self._reader.state_dict()
        if self._pending is not None:
            return copy.deepcopy(self._pending)
        _, index, count = self._prepared()
        return _state(self.epoch, index, count, None, 0)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Let the next iteration go on from a state; the epoch becomes the state's.

        Args:
            state_dict: what ``state_dict`` returned, of a stream made of the same steps and files.

        Raises:
            ValueError: the state is of something else.
        """
        if not isinstance(state_dict, Mapping) or state_dict.get("version") != _FORM or "place" not in state_dict:
            raise ValueError(f"this is no state of a stream: {str(state_dict)[:100]}")
        self._pending = copy.deepcopy(dict(state_dict))
        self._reader = None
        self.set_epoch(int(state_dict["epoch"]))

    # ---- functions over rows

    def _function(
        self, function: Any, with_indices: bool, input_columns: Any, fn_kwargs: dict[str, Any] | None
    ) -> Function:
        inputs = [input_columns] if isinstance(input_columns, str) else input_columns
        if inputs is not None and self._info.features is not None:
            self._require(inputs)
        return Function(function, with_indices, list(inputs) if inputs is not None else None, fn_kwargs)

    def map(
        self,
        function: Callable[..., Any] | None = None,
        with_indices: bool = False,
        input_columns: str | list[str] | None = None,
        batched: bool = False,
        batch_size: int | None = 1000,
        drop_last_batch: bool = False,
        remove_columns: str | list[str] | None = None,
        features: Features | None = None,
        fn_kwargs: dict[str, Any] | None = None,
        **accepted: Any,
    ) -> IterableDataset:
        """Return the stream that a function makes of the rows, when they are read.

        Args:
            function: row → dict of what changes, batch → dict of columns, or a table; may be async, then up to a
                hundred rows are worked on at the same time. The rows stay as they are where it is None.
            with_indices: also give it the row's number, or the list of them.
            input_columns: give it these columns as arguments instead of the dict.
            batched: call it with batches, whose columns stay in Arrow until they are looked at.
            batch_size: rows of a batch; all rows where None or not positive.
            drop_last_batch: leave out a last batch that is smaller.
            remove_columns: columns of the input that the result does not keep.
            features: the features of the result; unknown where None.
            fn_kwargs: more keyword arguments for the function.

        Raises:
            MapOutputError: when the rows are read: the function returned nothing, or what cannot become rows.
        """
        removed = {remove_columns} if isinstance(remove_columns, str) else set(remove_columns or ())
        if removed and self._info.features is not None:
            self._require(sorted(removed))
        features = Features(features) if features is not None else None
        view = self._view
        called = self._function(function or _unchanged, with_indices, input_columns, fn_kwargs)
        if batched:
            size = None if batch_size is None or batch_size <= 0 else batch_size
            step: Step = BatchMap(self._step, called, removed, view, features, size, drop_last_batch)
        else:
            step = RowMap(self._step, called, removed, view, features)
        return self._with(step, features)

    def filter(
        self,
        function: Any = None,
        with_indices: bool = False,
        input_columns: str | list[str] | None = None,
        batched: bool = False,
        batch_size: int | None = 1000,
        fn_kwargs: dict[str, Any] | None = None,
        **accepted: Any,
    ) -> IterableDataset:
        """Return the rows for which a function is true.

        Args:
            function: row → truth value, batch → one for each row, or a ``pyarrow.compute`` expression, which Parquet
                files answer themselves: row groups without such rows are not read. The other arguments are those of
                :meth:`map`.
        """
        import pyarrow.compute as pc

        if isinstance(function, pc.Expression):
            step = self._step
            if isinstance(step, Source) and all(hasattr(shard, "where") for shard in step.shards):
                shards: list[Any] = step.shards
                return self._same(Source([shard.where(function) for shard in shards]))
            return self._same(BatchFilter(step, Function(function, False, None, None), self._view, 1000))
        called = self._function(function or bool, with_indices, input_columns, fn_kwargs)
        if batched:
            size = None if batch_size is None or batch_size <= 0 else batch_size
            return self._same(BatchFilter(self._step, called, self._view, size))
        return self._same(RowFilter(self._step, called, self._view))

    # ---- order, number and groups

    def shuffle(
        self,
        seed: int | None = None,
        generator: np.random.Generator | None = None,
        buffer_size: int = 1000,
        max_buffer_input_shards: int = 10,
    ) -> IterableDataset:
        """Return the rows in random order: a function of the seed and the epoch, whoever reads them.

        Args:
            seed: the same seed gives the same order; a random one where None.
            generator: draws the seed instead.
            buffer_size: rows that are in memory and change places with each other.
            max_buffer_input_shards: shards that these rows come from at the same time.

        Raises:
            ValueError: a seed and a generator, or a buffer without rows.
        """
        if seed is not None and generator is not None:
            raise ValueError("give a seed or a generator, not both")
        if seed is None:
            drawn = copy.deepcopy(generator) if generator is not None else np.random.default_rng()
            seed = int(drawn.integers(0, 1 << 62))
        if seed < 0:
            raise ValueError(f"seed must not be negative: {seed}")
        return self._same(shuffled(self._step, int(seed), buffer_size, max_buffer_input_shards))

    def skip(self, n: int) -> IterableDataset:
        """Return the rows after the first ``n``."""
        return self._same(Skip(self._step, n))

    def take(self, n: int) -> IterableDataset:
        """Return the first ``n`` rows, or all where there are fewer."""
        return self._same(Take(self._step, n))

    def repeat(self, num_times: int | None = None) -> IterableDataset:
        """Return the rows ``num_times`` times over, without end where None."""
        return self._same(Repeat(self._step, num_times))

    def shard(self, num_shards: int, index: int, contiguous: bool = True) -> IterableDataset:
        """Return one of ``num_shards`` parts of the shards; the rows of too few shards are dealt one by one.

        Args:
            num_shards: the number of parts.
            index: which one, from 0.
            contiguous: parts are runs of shards; else every ``num_shards``-th one.

        Raises:
            ValueError: an index outside of the parts.
        """
        if not 0 <= index < num_shards:
            raise ValueError(f"index must be 0 to {num_shards - 1}, not {index}")
        total = self._step.num_shards
        if total >= num_shards:
            size, more = divmod(total, num_shards)
            start = index * size + min(index, more)
            chosen = range(start, start + size + (index < more)) if contiguous else range(index, total, num_shards)
            made = self._restricted(chosen)
            if made is not None:
                return self._same(made)
        return self._same(self._step.share(index, num_shards))

    def _restricted(self, numbers: Iterable[int]) -> Step | None:
        bottom = self._bottom()
        if not isinstance(bottom, Source):
            return None
        return self._step.restrict([bottom.shards[number] for number in numbers])

    def reshard(self) -> IterableDataset:
        """Return the same rows in more shards, where the files can be read in smaller parts: Parquet by row groups."""

        def finer(step: Step) -> Step:
            if isinstance(step, Source):
                return Source([part for shard in step.shards for part in shard.split()])
            return step if step.inner is None else step.over(finer(step.inner))

        return self._same(finer(self._step))

    def _for_node(self, rank: int, world_size: int, strategy: str) -> IterableDataset:
        if strategy not in ("auto", "shards", "examples"):
            raise ValueError(f"strategy must be 'auto', 'shards' or 'examples', not {strategy!r}")
        mine, others, before = self._node
        if others > 1 and strategy not in ("auto", before):
            raise ValueError(f"the stream is split among machines with strategy={before!r} already, not {strategy!r}")
        made = self._same(self._step)
        made._node = (mine * world_size + rank, others * world_size, before if others > 1 else strategy)
        if made._node[2] == "shards":
            self._require_shards(made._node[1])
        return made

    def _require_shards(self, machines: int) -> None:
        if self._step.num_shards < machines:
            raise ValueError(f"{self._step.num_shards} shards do not suffice for {machines} machines")

    def batch(
        self, batch_size: int | None = None, by_column: str | list[str] | None = None, drop_last_batch: bool = False
    ) -> IterableDataset:
        """Return the stream with every ``batch_size`` rows as one row of lists.

        Args:
            batch_size: rows of a batch; without meaning where ``by_column`` is given.
            by_column: a batch is a run of rows with the same values in these columns.
            drop_last_batch: leave out the last one where it is smaller.

        Raises:
            ValueError: neither is given.
        """
        if batch_size is None and by_column is None:
            raise ValueError("batch needs batch_size or by_column")
        columns = [by_column] if isinstance(by_column, str) else by_column
        features = self.features
        features = Features({name: List(feature) for name, feature in features.items()}) if features else None
        return self._with(Group(self._step, batch_size, columns, drop_last_batch, self._view), features)


def _unchanged(*arguments: Any, **kwargs: Any) -> dict[str, Any]:
    return {}


def _state(epoch: int, index: int, count: int, place: Any, given: int) -> dict[str, Any]:
    return {"version": _FORM, "epoch": epoch, "reader": [index, count], "place": place, "given": given}


class _Reader:
    """An iteration: the place of the newest piece, and how many of the rows behind it were given."""

    def __init__(self, step: Step, epoch: int, index: int, count: int) -> None:
        self.step, self.epoch, self.index, self.count = step, epoch, index, count
        self.place: Any = None
        self.given = 0

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        if list(state["reader"]) != [self.index, self.count]:
            raise ValueError(
                f"the state is that of reader {state['reader'][0]} of {state['reader'][1]}, "
                f"but this is reader {self.index} of {self.count}"
            )
        self.place, self.given = state["place"], int(state["given"])

    def pieces(self) -> Iterator[Piece]:
        """Yield the rows that were not given yet; whoever gives them counts."""
        for place, first, piece in self.step.resumed(self.place, self.given):
            self.place, self.given = place, first
            yield piece

    def state_dict(self) -> dict[str, Any]:
        """Return the state."""
        return _state(self.epoch, self.index, self.count, copy.deepcopy(self.place), self.given)
