"""Arrow tables under the names of `datasets`: in memory, mapped from disk, or both behind each other; and casts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from .features.features import Features
from .features.storage import cast_to, embed, embed_table, flatten_table
from .fingerprint import Hasher
from .source import cast_table, open_arrow
from .values import cast_array, one_array

__all__ = [
    "CastError",
    "ConcatenationTable",
    "InMemoryTable",
    "MemoryMappedTable",
    "Table",
    "array_cast",
    "cast_array_to_feature",
    "cast_table_to_features",
    "cast_table_to_schema",
    "concat_tables",
    "embed_array_storage",
    "embed_table_storage",
    "list_table_cache_files",
    "read_schema_from_file",
    "table_cast",
    "table_flatten",
    "table_iter",
    "table_visitor",
]


class CastError(ValueError):
    """A table's columns are not those of the schema that it should get."""


class Table:
    """A ``pyarrow.Table`` that remembers where it comes from; it has every method of one.

    Args:
        table: the Arrow table.
        files: the Arrow files that it is mapped from.

    Example:
        >>> made = InMemoryTable.from_pydict({"a": [1, 2, 3]})
        >>> made.slice(1).num_rows, type(made.slice(1)).__name__
        (2, 'InMemoryTable')
    """

    def __init__(self, table: pa.Table, files: Sequence[str] = ()) -> None:
        self.table = table
        self.files = tuple(files)

    def __fingerprint__(self) -> str:
        """Return what the rows are, as text equal in every process."""
        return Hasher.hash(self.table)

    def _kept(self, value: Any) -> Any:
        return type(self)(value, self.files) if isinstance(value, pa.Table) else value

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "table":
            raise AttributeError(name)
        value = getattr(self.table, name)
        if not callable(value):
            return self._kept(value)
        return lambda *arguments, **options: self._kept(value(*map(plain, arguments), **options))

    def __getitem__(self, key: Any) -> Any:
        return self.table[key]

    def __len__(self) -> int:
        return self.table.num_rows

    def __eq__(self, other: object) -> bool:
        return isinstance(other, (Table, pa.Table)) and self.table.equals(plain(other))

    __hash__ = None  # type: ignore[assignment]

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self.table.__arrow_c_stream__(requested_schema)

    def __deepcopy__(self, memo: dict[int, Any]) -> Table:
        return self  # a table never changes

    def __repr__(self) -> str:
        return f"{type(self).__name__}\n{self.table}"


class InMemoryTable(Table):
    """A table whose rows are in memory."""

    @classmethod
    def from_file(cls, filename: str) -> InMemoryTable:
        """Return the table of an Arrow file, read."""
        return cls(open_arrow(filename, memory_map=False))

    @classmethod
    def from_buffer(cls, buffer: Any) -> InMemoryTable:
        """Return the table of an Arrow stream in memory."""
        return cls(pa.ipc.open_stream(buffer).read_all())

    @classmethod
    def from_pandas(cls, *arguments: Any, **options: Any) -> InMemoryTable:
        """Return the table of a pandas DataFrame; the arguments are those of ``pyarrow.Table.from_pandas``."""
        return cls(pa.Table.from_pandas(*arguments, **options))

    @classmethod
    def from_arrays(cls, *arguments: Any, **options: Any) -> InMemoryTable:
        """Return the table of arrays; the arguments are those of ``pyarrow.Table.from_arrays``."""
        return cls(pa.Table.from_arrays(*arguments, **options))

    @classmethod
    def from_pydict(cls, *arguments: Any, **options: Any) -> InMemoryTable:
        """Return the table of a dict of columns; the arguments are those of ``pyarrow.Table.from_pydict``."""
        return cls(pa.Table.from_pydict(*arguments, **options))

    @classmethod
    def from_pylist(cls, mapping: list[Any], *arguments: Any, **options: Any) -> InMemoryTable:
        """Return the table of a list of rows; the arguments are those of ``pyarrow.Table.from_pylist``."""
        return cls(pa.Table.from_pylist(mapping, *arguments, **options))

    @classmethod
    def from_batches(cls, *arguments: Any, **options: Any) -> InMemoryTable:
        """Return the table of record batches; the arguments are those of ``pyarrow.Table.from_batches``."""
        return cls(pa.Table.from_batches(*arguments, **options))


class MemoryMappedTable(Table):
    """A table whose rows are in an Arrow file that is mapped."""

    @property
    def path(self) -> str:
        """The file."""
        return self.files[0]

    @classmethod
    def from_file(cls, filename: str, replays: Any = None) -> MemoryMappedTable:
        """Return the table of an Arrow file."""
        return cls(open_arrow(filename), [filename])


class ConcatenationTable(Table):
    """Tables behind each other, or side by side."""

    @classmethod
    def from_tables(cls, tables: Sequence[Any], axis: int = 0) -> ConcatenationTable:
        """Return several tables as one.

        Args:
            tables: the tables.
            axis: 0 puts rows behind each other (a missing column is null), 1 columns side by side.
        """
        files = [file for table in tables for file in getattr(table, "files", ())]
        parts = [plain(table) for table in tables]
        if axis == 0:
            return cls(pa.concat_tables(parts, promote_options="default"), files)
        fields = [field for part in parts for field in part.schema]
        return cls(pa.table([column for part in parts for column in part.columns], schema=pa.schema(fields)), files)

    @classmethod
    def from_blocks(cls, blocks: Any) -> ConcatenationTable:
        """Return a table, tables behind each other, or lists of tables side by side behind each other, as one."""
        if not isinstance(blocks, (list, tuple)):
            return cls.from_tables([blocks])
        return cls.from_tables(
            [cls.from_tables(block, axis=1) if isinstance(block, (list, tuple)) else block for block in blocks]
        )


def plain(table: Any) -> Any:
    """Return the Arrow table of a :class:`Table`, and anything else as it is."""
    return table.table if isinstance(table, Table) else table


def concat_tables(tables: Sequence[Any], axis: int = 0) -> Table:
    """Return several tables as one; the arguments are those of :meth:`ConcatenationTable.from_tables`."""
    tables = list(tables)
    if len(tables) == 1:
        return tables[0] if isinstance(tables[0], Table) else InMemoryTable(tables[0])
    return ConcatenationTable.from_tables(tables, axis)


def list_table_cache_files(table: Any) -> list[str]:
    """Return the Arrow files that a table is mapped from."""
    return list(getattr(table, "files", ()))


def read_schema_from_file(filename: str) -> pa.Schema:
    """Return the columns of an Arrow file."""
    return open_arrow(filename).schema


# ---- casts -----------------------------------------------------------------------------------------------------------


def _same_columns(table: pa.Table, names: Sequence[str]) -> None:
    if sorted(table.column_names) != sorted(names):
        raise CastError(f"the columns {table.column_names} are not those wanted, {list(names)}")


def cast_table_to_features(table: Any, features: Mapping[str, Any]) -> pa.Table:
    """Return a table with the types of features; names of labels become integers.

    Raises:
        CastError: other columns.
    """
    table = plain(table)
    _same_columns(table, list(features))
    columns = [cast_to(one_array(table.column(name)), feature) for name, feature in features.items()]
    return cast_table(pa.table(columns, names=list(features)), Features(features).arrow_schema)


def cast_table_to_schema(table: Any, schema: pa.Schema) -> pa.Table:
    """Return a table with the columns and types of a schema; columns that it lacks are null.

    Features in the schema's metadata say what becomes of values: paths of images are images, names are labels.

    Raises:
        CastError: a column that the schema lacks, or values that do not fit.
    """
    table = plain(table)
    features = Features.from_arrow_schema(schema) if schema.metadata else {}
    try:
        for number, name in enumerate(table.column_names):
            if features.get(name) is not None:
                column = cast_to(one_array(table.column(number)), features[name])
                table = table.set_column(number, name, column)
        return cast_table(table, schema)
    except pa.ArrowInvalid as error:
        raise CastError(str(error)) from error


def table_cast(table: Any, schema: pa.Schema) -> pa.Table:
    """Return a table with the types of a schema, or of the features in its metadata."""
    table = plain(table)
    return table if table.schema.equals(schema, check_metadata=True) else cast_table_to_schema(table, schema)


def array_cast(
    array: Any, pa_type: pa.DataType, allow_primitive_to_str: bool = True, allow_decimal_to_str: bool = True
) -> Any:
    """Return an array with another type; structs are matched by field.

    Raises:
        TypeError: numbers (or decimals) are to be text, which was not allowed, or values are to be null.
    """
    _require_allowed(array.type, pa_type, allow_primitive_to_str, allow_decimal_to_str)
    if isinstance(array, pa.ChunkedArray):
        return pa.chunked_array([cast_array(chunk, pa_type) for chunk in array.chunks], pa_type)
    return cast_array(array, pa_type)


def _require_allowed(kind: pa.DataType, wanted: pa.DataType, primitives: bool, decimals: bool) -> None:
    """Look for casts that were not allowed, also in lists and structs."""
    if pa.types.is_struct(kind) and pa.types.is_struct(wanted):
        for field in wanted:
            if kind.get_field_index(field.name) >= 0:
                _require_allowed(kind.field(field.name).type, field.type, primitives, decimals)
    elif pa.types.is_nested(kind) and pa.types.is_nested(wanted):
        if hasattr(kind, "value_type") and hasattr(wanted, "value_type"):
            _require_allowed(kind.value_type, wanted.value_type, primitives, decimals)
    elif pa.types.is_string(wanted) or pa.types.is_large_string(wanted):
        kept = not decimals if pa.types.is_decimal(kind) else not primitives and pa.types.is_primitive(kind)
        if kept:
            raise TypeError(f"{kind} is not made {wanted}")
    elif pa.types.is_null(wanted) and not pa.types.is_null(kind):
        raise TypeError(f"{kind} is not made null")


def cast_array_to_feature(
    array: Any, feature: Any, allow_primitive_to_str: bool = True, allow_decimal_to_str: bool = True
) -> Any:
    """Return an array as a feature stores it; the other arguments are those of :func:`array_cast`."""
    from .features.storage import to_arrow

    _require_allowed(array.type, to_arrow(feature), allow_primitive_to_str, allow_decimal_to_str)
    return array_cast(cast_to(one_array(array), feature), to_arrow(feature))


def embed_array_storage(array: pa.Array, feature: Any, token_per_repo_id: Any = None) -> pa.Array:
    """Return an array with the content of files in the place of their paths."""
    return embed(array, feature)


def embed_table_storage(table: Any, token_per_repo_id: Any = None) -> pa.Table:
    """Return a table with the content of files in the place of their paths, where its metadata says what they are."""
    table = plain(table)
    return embed_table(table, Features.from_arrow_schema(table.schema))


def table_flatten(table: Any) -> pa.Table:
    """Return a table in which the fields of structs are columns of their own."""
    table = plain(table)
    features = Features.from_arrow_schema(table.schema).flatten()
    return flatten_table(table, features).replace_schema_metadata(features.arrow_schema.metadata)


def table_iter(table: Any, batch_size: int, drop_last_batch: bool = False) -> Iterator[pa.Table]:
    """Yield a table's rows, ``batch_size`` at a time."""
    table = plain(table)
    stop = table.num_rows - (table.num_rows % batch_size if drop_last_batch else 0)
    for start in range(0, stop, batch_size):
        yield table.slice(start, batch_size)


def table_visitor(table: Any, function: Callable[[pa.Array, Any], None]) -> None:
    """Call a function with every array of a table, on every level, and its feature."""

    def visit(array: pa.Array, feature: Any) -> None:
        function(array, feature)
        if isinstance(feature, dict):
            for name, inner in feature.items():
                visit(array.field(name), inner)
        elif hasattr(feature, "feature"):
            visit(array.values, feature.feature)

    table = plain(table)
    for name, feature in Features.from_arrow_schema(table.schema).items():
        for chunk in table.column(name).chunks:
            visit(chunk.storage if isinstance(chunk, pa.ExtensionArray) else chunk, feature)
