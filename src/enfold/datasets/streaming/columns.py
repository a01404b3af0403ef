"""The columns of a stream: their names, kinds and order, and what their values are given as."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..column import unknown_column
from ..features.features import Features
from .functions import Function, RowMap
from .pieces import to_table
from .shards import Source
from .steps import Tables

if TYPE_CHECKING:
    from .dataset import IterableDataset

__all__ = ["ColumnMixin", "IterableColumn"]


class IterableColumn:
    """The values of one column of a stream, read when they are asked for.

    Args:
        source: the stream, or a column of it that holds dicts.
        column_name: the column, or the key.

    Example:
        >>> from enfold.datasets import IterableDataset
        >>> stream = IterableDataset.from_dict({"a": [{"b": 1}, {"b": 2}]})
        >>> list(stream["a"]["b"])
        [1, 2]
    """

    def __init__(self, source: Any, column_name: str) -> None:
        self.source, self.column_name = source, column_name

    def __iter__(self) -> Iterator[Any]:
        for row in self.source:
            yield row[self.column_name]

    def __getitem__(self, column_name: str) -> IterableColumn:
        return IterableColumn(self, column_name)


class ColumnMixin:
    """The methods of a stream that change columns and formats."""

    def __getitem__(self: Any, column_name: str) -> IterableColumn:
        """Return one column; it is read anew by every iteration."""
        if not isinstance(column_name, str):
            raise TypeError(f"a stream is indexed by a column's name, not by {column_name!r}; skip and take give rows")
        if self._info.features is not None:
            self._require(column_name)
        return IterableColumn(self, column_name)

    def _require(self: Any, names: str | Iterable[str]) -> list[str]:
        wanted = [names] if isinstance(names, str) else list(names)
        known = self.features
        for name in wanted:
            if known is not None and name not in known:
                raise unknown_column(name, known)
        return wanted

    def _columns(self: Any, change: str, argument: Any, features: Features | None) -> IterableDataset:
        known = features is not None or self._info.features is not None
        return self._with(Tables(self._step, change, argument, self._view), features, known=known)

    def rename_columns(self: Any, column_mapping: Mapping[str, str]) -> IterableDataset:
        """Return the stream with other names for some columns.

        Args:
            column_mapping: present name → new name.

        Raises:
            ValueError: no such column, or a name that would stand twice.
        """
        features = self.features
        self._require(column_mapping)
        if features is not None:
            names = [column_mapping.get(name, name) for name in features]
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"the new names would stand twice: {twice}")
            features = Features({column_mapping.get(name, name): feature for name, feature in features.items()})
        return self._columns("rename", dict(column_mapping), features)

    def rename_column(self: Any, original_column_name: str, new_column_name: str) -> IterableDataset:
        """Return the stream with another name for one column."""
        return self.rename_columns({original_column_name: new_column_name})

    def remove_columns(self: Any, column_names: str | list[str]) -> IterableDataset:
        """Return the stream without some columns."""
        gone = self._require(column_names)
        features = self.features
        if features is None:
            return self._columns("remove", gone, None)
        return self.select_columns([name for name in features if name not in gone])

    def select_columns(self: Any, column_names: str | list[str]) -> IterableDataset:
        """Return the stream with these columns alone, in this order; of Parquet files the others are not read."""
        names = self._require(column_names)
        features = self.features
        features = Features({name: features[name] for name in names}) if features is not None else None
        step = self._step
        if features is not None and isinstance(step, Source) and all(hasattr(s, "project") for s in step.shards):
            shards: list[Any] = step.shards
            return self._with(Source([shard.project(names) for shard in shards]), features)
        return self._columns("select", names, features)

    def add_column(self: Any, name: str, column: Any) -> IterableDataset:
        """Return the stream with one more column, whose values are a list or an array with one for each row."""
        values = column if isinstance(column, list) else list(column)
        features = self.features
        if features is not None:
            if name in features:
                raise ValueError(f"there is a column {name!r} already")
            kind = Features.from_arrow_schema(to_table([{name: value} for value in values]).schema)
            features = Features({**features, **kind})
        step = RowMap(self._step, Function(_ValueOf(name, values), True, [], None), set(), self._view.plain(), None)
        return self._with(step, features)

    def cast(self: Any, features: Features) -> IterableDataset:
        """Return the stream with other features for its columns.

        Raises:
            ValueError: other columns than the stream's; when the rows are read, values that do not fit.
        """
        features = Features(features)
        if self.features is not None and set(features) != set(self.features):
            raise ValueError(f"the features' columns {list(features)} are not the stream's, {self.column_names}")
        return self._columns("cast", features, features)

    def cast_column(self: Any, column: str, feature: Any) -> IterableDataset:
        """Return the stream with another feature for one column."""
        self._require(column)
        before = self.features or self._resolved() or Features()
        return self.cast(Features({**before, column: feature}))

    def decode(self: Any, enable: bool = True, num_threads: int | None = None) -> IterableDataset:
        """Return the stream with files such as images and audio decoded, or left as bytes and paths.

        Args:
            enable: decode them.
            num_threads: accepted for compatibility.
        """
        features = self._resolve_features().features
        if features is None:
            return self
        changed = Features({name: _decoding(feature, enable) for name, feature in features.items()})
        return self._with(self._step, changed)

    def with_format(self: Any, type: str | None = None, **format_kwargs: Any) -> IterableDataset:
        """Return the stream in a format.

        Args:
            type: ``None`` or ``"python"``, ``"numpy"``, ``"torch"``, ``"arrow"``, ``"pandas"``, ``"polars"``, ….
            format_kwargs: arguments of what makes the values, such as ``dtype=torch.int32``.

        Raises:
            ValueError: an unknown format; the nearest one is named.
        """
        from ..formats.base import format_name

        made = self._same(self._step)
        made._format = (format_name(type), dict(format_kwargs))
        return made

    def set_format(self: Any, type: str | None = None, **format_kwargs: Any) -> None:
        """Set what values are given as, for this object; the arguments are those of :meth:`with_format`."""
        self._format = self.with_format(type, **format_kwargs)._format


class _ValueOf:
    """Gives the value of a column that stands at a row's number."""

    def __init__(self, name: str, values: list[Any]) -> None:
        self.name, self.values = name, values

    def __call__(self, index: int) -> dict[str, Any]:
        return {self.name: self.values[index]}


def _decoding(feature: Any, enable: bool) -> Any:
    if isinstance(feature, dict):
        return {name: _decoding(inner, enable) for name, inner in feature.items()}
    if hasattr(feature, "feature"):
        made = copy.copy(feature)
        made.feature = _decoding(feature.feature, enable)
        return made
    if hasattr(feature, "decode") and isinstance(feature.decode, bool):
        made = copy.copy(feature)
        made.decode = enable
        return made
    return feature
