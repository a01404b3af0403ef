"""The dataset: rows in Arrow, a selection of them, and what is known about them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from .access import AccessMixin
from .column import unknown_column
from .distributing import DistributeMixin
from .exporting import ExportMixin
from .features.features import Features, to_arrow
from .fingerprint import combine
from .formats.base import Formatter
from .formatted import FormatMixin
from .info import DatasetInfo, InfoMixin
from .ordering import OrderMixin
from .reading import ReadMixin
from .schema import SchemaMixin
from .search import SearchMixin
from .source import Source, TableSource
from .splits import NamedSplit
from .transforms import TransformMixin

__all__ = ["Dataset"]


class Dataset(
    InfoMixin,
    AccessMixin,
    FormatMixin,
    SchemaMixin,
    TransformMixin,
    OrderMixin,
    SearchMixin,
    ReadMixin,
    ExportMixin,
    DistributeMixin,
):
    """A table of rows with typed columns, in memory or on disk.

    A dataset never changes its rows: every method returns another one that shares the data. Only ``set_format``,
    ``set_transform`` and ``reset_format`` change what this object gives its values as.

    Args:
        arrow_table: the rows: a ``pyarrow.Table``, or anything with ``__arrow_c_stream__``.
        info: what is known about them; its features name the columns' kinds.
        split: the name of the split.
        fingerprint: what the rows are, as text; computed from them when it is needed where None.

    Example:
        >>> dataset = Dataset.from_dict({"text": ["a", "b"], "label": [0, 1]})
        >>> dataset[1], len(dataset), dataset.column_names
        ({'text': 'b', 'label': 1}, 2, ['text', 'label'])
    """

    def __init__(
        self,
        arrow_table: Any,
        info: DatasetInfo | None = None,
        split: str | None = None,
        indices_table: pa.Table | None = None,
        fingerprint: str | None = None,
        *,
        cache_dir: str | None = None,
    ) -> None:
        if isinstance(arrow_table, Source):
            source = arrow_table
            inferred = Features.from_arrow_schema(source.schema)
        else:
            table = arrow_table if isinstance(arrow_table, pa.Table) else pa.table(arrow_table)
            inferred = Features.from_arrow_schema(table.schema)
            source = TableSource(table)
        self._source: Source = source
        self._indices: np.ndarray | None = None
        if indices_table is not None:
            self._indices = indices_table.column(0).to_numpy().astype(np.int64)
        self._info = info.copy() if info is not None else DatasetInfo()
        if self._info.features is None:
            self._info.features = inferred
        else:
            wanted = self._info.features
            names = source.schema.names
            if set(wanted) != set(names):
                raise ValueError(f"the features' columns {sorted(wanted)} are not the table's, {sorted(names)}")
            self._info.features = Features({name: wanted[name] for name in names})
            off = [name for name in names if to_arrow(wanted[name]) != source.schema.field(name).type]
            if off and isinstance(source, TableSource):
                from .source import cast_table

                self._source = TableSource(cast_table(source.table, self._info.features.arrow_schema), source.files)
        self._split = NamedSplit(split) if split is not None else None
        self._identity: str | Callable[[], str] | None = fingerprint
        self._format: tuple[str | None, dict[str, Any], list[str] | None, bool] = (None, {}, None, False)
        self._made_formatter: Formatter | None = None
        self._cache_dir = cache_dir
        self._indexes: dict[str, Any] = {}

    # ---- making others of this one

    def _with(self, **changes: Any) -> Dataset:
        made = copy.copy(self)
        made._identity = None
        made._made_formatter = None
        made._indexes = {}  # they number the rows of this dataset
        features = changes.pop("features", None)
        for name, value in changes.items():
            setattr(made, name, value)
        if features is not None:
            made._info = copy.copy(self._info)
            made._info.features = features
            columns = made._format[2]
            if columns is not None:
                made._format = (*made._format[:2], [name for name in columns if name in features], made._format[3])
        return made

    def _derived(self, source: Source, features: Features, fingerprint: str | None) -> Dataset:
        """Return a dataset of new rows that keeps this one's split and format."""
        made = self._with(_source=source, _indices=None, features=features, _identity=fingerprint)
        if made._format[2] is not None:
            # columns that were not there before are shown: a format set on all old columns means all columns
            kind, options, columns, everything = self._format
            new = [name for name in features if name not in self.features]
            made._format = (kind, options, [*(n for n in columns or [] if n in features), *new], everything)
        return made

    def _step(self, name: str, *arguments: Any) -> Callable[[], str]:
        return lambda: combine(self._fingerprint, name, *arguments)

    @property
    def _fingerprint(self) -> str:
        if self._identity is None:
            parts: list[Any] = [self.features.to_dict(), self._indices]
            parts += [piece.replace_schema_metadata(None) for piece in self._source.pieces()]
            self._identity = combine(*parts)
        elif not isinstance(self._identity, str):
            self._identity = self._identity()
        return self._identity

    def __fingerprint__(self) -> str:
        """Return what the rows are, as text equal in every process."""
        return self._fingerprint

    # ---- what it is

    @property
    def features(self) -> Features:
        """The columns and their kinds."""
        assert self._info.features is not None
        return self._info.features

    @property
    def data(self) -> pa.Table:
        """The rows that the dataset selects from, as an Arrow table whose metadata holds the features."""
        source = self._source
        table = source.table if isinstance(source, TableSource) else source.read(0, source.num_rows)
        kept = table.schema.metadata or {}
        return table.replace_schema_metadata({**kept, **(self.features.arrow_schema.metadata or {})})

    @property
    def column_names(self) -> list[str]:
        """The columns' names."""
        return list(self.features)

    @property
    def num_columns(self) -> int:
        """The number of columns."""
        return len(self.features)

    @property
    def num_rows(self) -> int:
        """The number of rows."""
        return self._source.num_rows if self._indices is None else len(self._indices)

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of rows and columns."""
        return self.num_rows, self.num_columns

    @property
    def cache_files(self) -> list[dict[str, str]]:
        """The files that the rows are read from, as ``[{"filename": …}]``; empty for a dataset in memory."""
        return [{"filename": file} for file in self._source.files]

    def __len__(self) -> int:
        return self.num_rows

    def __repr__(self) -> str:
        return f"Dataset({{\n    features: {self.column_names},\n    num_rows: {self.num_rows}\n}})"

    def __enter__(self) -> Dataset:
        return self

    def __exit__(self, *error: Any) -> None:
        pass

    def _require(self, names: str | Iterable[str]) -> list[str]:
        wanted = [names] if isinstance(names, str) else list(names)
        for name in wanted:
            if name not in self.features:
                raise unknown_column(name, self.features)
        return wanted

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        # what is only known by a computation is computed again; indexes may hold a connection or a GPU
        state["_identity"] = self._identity if isinstance(self._identity, str) else None
        state.update(_made_formatter=None, _made_decoders=None, _indexes={})
        return state

    def __copy__(self) -> Dataset:
        made = Dataset.__new__(type(self))
        made.__dict__.update(self.__dict__)
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> Dataset:
        return copy.copy(self)
