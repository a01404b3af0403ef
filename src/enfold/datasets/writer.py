"""Writing tables to an Arrow file that other processes can map, or into memory; the schema may widen on the way."""

from __future__ import annotations

import atexit
import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from .errors import CacheWriteError
from .features.features import Features, storage_schema
from .source import TableSource, cast_table, chain

__all__ = ["ShardedWriter", "TableWriter", "session_folder", "widen"]

# A record batch of this many bytes is written at a time: many small ones make a table slow to gather from.
FLUSH_BYTES = 32 << 20
# … but chunks of this many are not copied into a larger one.
_LARGE_CHUNK = 4 << 20
_session: str | None = None


def session_folder() -> str:
    """Return a folder for results that nobody can find again; it is removed when the process ends."""
    global _session
    if _session is None:
        _session = tempfile.mkdtemp(prefix="enfold-datasets-")
        atexit.register(shutil.rmtree, _session, ignore_errors=True)
    return _session


def widen(first: pa.DataType, second: pa.DataType) -> pa.DataType:
    """Return a type that holds the values of both: null widens to anything, integers to larger ones and to floats.

    Raises:
        pyarrow.ArrowTypeError: there is none.
    """
    if first == second or pa.types.is_null(second):
        return first
    for marked, other in ((first, second), (second, first)):
        if isinstance(marked, pa.BaseExtensionType) and marked.storage_type == other:
            return marked
    if pa.types.is_null(first):
        return second
    if pa.types.is_struct(first) and pa.types.is_struct(second):
        names = list(dict.fromkeys([*(f.name for f in first), *(f.name for f in second)]))
        fields = []
        for name in names:
            kinds = [kind.field(name).type for kind in (first, second) if kind.get_field_index(name) >= 0]
            fields.append((name, kinds[0] if len(kinds) == 1 else widen(*kinds)))
        return pa.struct(fields)
    if pa.types.is_list(first) and pa.types.is_list(second):
        return pa.list_(widen(first.value_type, second.value_type))
    schemas = [pa.schema([("column", kind)]) for kind in (first, second)]
    merged = pa.unify_schemas(schemas, promote_options="permissive").field(0).type
    return merged


class TableWriter:
    """Collects tables of equal columns and gives them back as one source.

    Args:
        path: the Arrow stream file to write, or None to keep the rows in memory. It appears under its name only when
            :meth:`finish` has been called.
        schema: the columns and types that are known beforehand; a table that does not fit is an error.
        describe: from the columns' types to the features that the file's metadata holds.

    Example:
        >>> with TableWriter(None) as writer:
        ...     writer.write(pa.table({"a": [1]}))
        ...     writer.finish().num_rows
        1
    """

    def __init__(
        self,
        path: str | None,
        schema: pa.Schema | None = None,
        describe: Callable[[pa.Schema], Features] | None = None,
    ) -> None:
        self._describe = describe or Features.from_arrow_schema
        self.path = path
        self.fixed = schema
        self.schema = schema
        self.num_rows = 0
        self.num_bytes = 0
        self._pending: list[pa.Table] = []
        self._pending_bytes = 0
        self._done: list[pa.Table] = []
        self._stream: Any = None
        self._file: Any = None
        self._temporary: str | None = None
        self._rows: pa.Schema | None = None

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def write(self, table: pa.Table) -> None:
        """Add rows.

        Raises:
            pyarrow.ArrowInvalid: the columns or types do not fit those before.
        """
        if self.fixed is not None:
            table = cast_table(table, self.fixed)
        elif self.schema is None:
            self.schema = table.schema.remove_metadata()
        elif not table.schema.equals(self.schema):
            self._widen(table)
            table = cast_table(table, self.schema)
        large = _large(table)
        if large:
            self._flush()
        self._pending.append(table)
        self._pending_bytes += table.nbytes
        self.num_rows += table.num_rows
        if large or self._pending_bytes >= FLUSH_BYTES:
            self._flush()

    def _widen(self, table: pa.Table) -> None:
        assert self.schema is not None
        if set(table.column_names) != set(self.schema.names):
            raise pa.ArrowInvalid(
                f"the columns {table.column_names} are not those of the rows before, {self.schema.names}"
            )
        fields = []
        for field in self.schema:
            other = table.schema.field(field.name).type
            try:
                fields.append(pa.field(field.name, widen(field.type, other)))
            except (pa.ArrowInvalid, pa.ArrowTypeError):
                raise pa.ArrowInvalid(
                    f"column {field.name!r} was {field.type} and is now {other}: no type holds both"
                ) from None
        schema = pa.schema(fields)
        if schema.equals(self.schema):
            return
        before, self.schema = self.schema, schema
        self._pending = [cast_table(part, schema) for part in self._pending]
        self._done = [cast_table(part, schema) for part in self._done]
        if self._stream is not None:  # rows already on disk are written again with the wider type
            self._stream.close()
            self._file.close()
            written, self._stream = self._temporary, None
            assert written is not None and before is not None
            for batch in pa.ipc.open_stream(pa.memory_map(written)):
                self._put(cast_table(pa.Table.from_batches([batch]), schema))
            os.unlink(written)

    def _put(self, table: pa.Table) -> None:
        try:
            self._append(table)
        except OSError as error:
            raise self._refused(error) from error

    def _refused(self, error: OSError) -> CacheWriteError:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        what = "the disk is full" if full else f"it cannot be written ({error.strerror or error})"
        text = f"{what}: after {self.num_rows} rows; nothing of the result is kept"
        return CacheWriteError(error.errno or errno.EIO, text, self.path)

    def _append(self, table: pa.Table) -> None:
        if self._stream is None:
            assert self.path is not None
            folder = os.path.dirname(os.path.abspath(self.path))
            os.makedirs(folder, exist_ok=True)
            number, self._temporary = tempfile.mkstemp(prefix=".tmp-", suffix=".arrow", dir=folder)
            os.close(number)
            self._file = pa.OSFile(self._temporary, "wb")  # a Python file would take a copy of every buffer
            self._stream = pa.ipc.new_stream(self._file, self._final_schema())
        table = cast_table(table, self._final_schema())
        for batch in (table if _large(table) else table.combine_chunks()).to_batches():
            self._stream.write_batch(batch)

    def _final_schema(self) -> pa.Schema:
        """The file's columns: the marks of arrays and JSON in their places, the features in the metadata."""
        assert self.schema is not None
        if self.schema.metadata and b"huggingface" in self.schema.metadata:
            return self.schema
        described = self._describe(self.schema).arrow_schema
        plain, stored = storage_schema(described), storage_schema(self.schema)
        fields = [described.field(f.name) if plain.field(f.name).type == f.type else f for f in stored]
        return pa.schema(fields, metadata=described.metadata)

    def _flush(self) -> None:
        if not self._pending:
            return
        table = pa.concat_tables(self._pending)
        self._pending, self._pending_bytes = [], 0
        self.num_bytes += table.nbytes
        if self.path is None:
            self._done.append(table if _large(table) else table.combine_chunks())
        else:
            self._put(table)

    def finish(self, metadata: dict[bytes, bytes] | None = None) -> TableSource:
        """Write what is pending, give the file its name, and return the rows."""
        if self.schema is None:
            self.schema = pa.schema([])
        self._flush()
        if self.path is None:
            table = pa.concat_tables(self._done) if self._done else _empty(self.schema)
            return TableSource(table.replace_schema_metadata(None))
        if self._stream is None:
            self._put(_empty(self.schema))
        try:
            self._stream.close()
            self._file.close()
        except OSError as error:
            raise self._refused(error) from error
        assert self._temporary is not None
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(self._temporary, 0o666 & ~umask)
        os.replace(self._temporary, self.path)
        self._stream = self._temporary = None
        return TableSource.mapped(self.path)

    def close(self) -> None:
        """Remove what was written if :meth:`finish` was not reached."""
        if self._file is not None:
            # on a full disk, closing writes again and fails again; the file is removed all the same
            with contextlib.suppress(OSError):
                self._file.close()
            self._stream = self._file = None
        if self._temporary is not None and os.path.exists(self._temporary):
            os.unlink(self._temporary)
        self._temporary = None


def _empty(schema: pa.Schema) -> pa.Table:
    """Return a table of no rows; pyarrow's ``empty_table`` knows no extension types inside others."""
    return pa.Table.from_batches([], schema=schema)


def _large(table: pa.Table) -> bool:
    """Return whether the chunks of a table are large enough to stay as they are."""
    return table.nbytes >= _LARGE_CHUNK * max((column.num_chunks for column in table.columns), default=1)


class ShardedWriter:
    """Writes tables of equal columns into several files, and gives them back as one source.

    Args:
        paths: the files, or ``[None]`` for memory. They appear together when :meth:`finish` is called.
        describe: from the columns' types to the features that the files' metadata holds.
    """

    def __init__(self, paths: Sequence[str | None], describe: Callable[[pa.Schema], Features] | None = None) -> None:
        self._writers = [TableWriter(path, describe=describe) for path in paths]
        self.schema: pa.Schema | None = None

    def __enter__(self) -> ShardedWriter:
        return self

    def __exit__(self, *error: Any) -> None:
        for writer in self._writers:
            writer.close()

    def write(self, table: pa.Table, shard: int = 0) -> None:
        """Add rows to one of the files.

        Raises:
            pyarrow.ArrowInvalid: the columns or types do not fit those before.
        """
        writer = self._writers[shard]
        if writer.schema is None and self.schema is not None:
            writer.write(_empty(self.schema))
        writer.write(table)
        self.schema = writer.schema

    def finish(self) -> TableSource:
        """Give the files their names, and return the rows of all of them."""
        schema = self.schema if self.schema is not None else pa.schema([])
        for writer in self._writers:  # a type that became wider in a later file is the type of all
            writer.write(_empty(schema))
        sources = [writer.finish() for writer in self._writers]
        if len(sources) == 1:
            return sources[0]
        made = chain(sources)
        assert isinstance(made, TableSource)
        return made
