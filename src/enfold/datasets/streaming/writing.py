"""Giving a stream's rows to others, some at a time: Python, frames, files, the Hub."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from ..features.features import Features
from ..targets import target_file
from .pieces import View, rows_to_columns, to_table
from .steps import regroup

__all__ = ["WriteMixin"]

_ROWS = 1000


class WriteMixin:
    """The methods of a stream that read all of it."""

    def _tables(self: Any, rows: int | None = None) -> Iterator[pa.Table]:
        """Yield the rows as tables of one schema."""
        view = self._view
        features: Features | None = view.features
        reader = self._begin()
        for _, _, piece in regroup(reader.step, reader.place, reader.given, rows or _ROWS, view):
            table = to_table(piece, features)
            if features is None:
                features = Features.from_arrow_schema(table.schema)
            yield table

    def _datasets(self: Any, rows: int | None = None) -> Iterator[Any]:
        from ..dataset import Dataset

        features = self._view.features
        for table in self._tables(rows):
            features = features if features is not None else Features.from_arrow_schema(table.schema)
            info = self._info.copy()
            info.features = features
            yield Dataset(table.replace_schema_metadata(None), info, self._split)

    def to_list(self: Any) -> list[dict[str, Any]]:
        """Return the rows as a list of dicts."""
        plain: View = self._view.plain()
        return [row for piece in self._begin().pieces() for row in plain.rows(piece)]

    def to_dict(self: Any, batch_size: int | None = None, batched: bool = False) -> Any:
        """Return the columns as lists; with ``batched``, an iterator of such dicts of ``batch_size`` rows."""
        if batched:
            return self.with_format(None).iter(batch_size or _ROWS)
        return rows_to_columns(self.to_list()) or {name: [] for name in self.column_names or []}

    def to_pandas(self: Any, batch_size: int | None = None, batched: bool = False) -> Any:
        """Return the rows as a pandas DataFrame; with ``batched``, an iterator of them."""
        from ..formats.pandas_format import require_pandas

        require_pandas()
        if batched:
            return (table.to_pandas() for table in self._tables(batch_size))
        return self._whole().to_pandas()

    def to_polars(
        self: Any,
        batch_size: int | None = None,
        batched: bool = False,
        schema_overrides: Any = None,
        rechunk: bool = True,
    ) -> Any:
        """Return the rows as a polars DataFrame; with ``batched``, an iterator of them."""
        from ..formats.polars_format import require_polars

        polars = require_polars()
        options = {"schema_overrides": schema_overrides, "rechunk": rechunk}
        if batched:
            return (polars.from_arrow(table, **options) for table in self._tables(batch_size))
        return polars.from_arrow(self._whole(), **options)

    def _whole(self: Any) -> pa.Table:
        tables = list(self._tables())
        if tables:
            return pa.concat_tables(tables)
        return (self._view.features or Features()).arrow_schema.empty_table()

    def to_csv(
        self: Any,
        path_or_buf: Any,
        batch_size: int | None = None,
        storage_options: dict[str, Any] | None = None,
        **to_csv_kwargs: Any,
    ) -> int:
        """Write a CSV file; the arguments are those of :meth:`Dataset.to_csv`. Returns the number of bytes."""
        header = to_csv_kwargs.pop("header", True)

        def parts() -> Iterator[bytes]:
            first = True
            for part in self._datasets(batch_size):
                buffer = io.BytesIO()
                part.to_csv(buffer, header=header if first else False, **to_csv_kwargs)
                first = False
                yield buffer.getvalue()

        return _write(path_or_buf, parts(), storage_options)

    def to_json(
        self: Any,
        path_or_buf: Any,
        batch_size: int | None = None,
        storage_options: dict[str, Any] | None = None,
        **to_json_kwargs: Any,
    ) -> int:
        """Write a JSON Lines file, or with ``lines=False`` a JSON file, for which all rows are in memory.

        The arguments are those of :meth:`Dataset.to_json`. Returns the number of bytes.
        """
        compression = to_json_kwargs.pop("compression", "infer")
        if to_json_kwargs.get("lines") is False or to_json_kwargs.get("orient", "records") != "records":
            from ..dataset import Dataset

            rows = Dataset.from_list(self.to_list(), self._view.features)
            return rows.to_json(path_or_buf, storage_options=storage_options, compression=compression, **to_json_kwargs)

        def parts() -> Iterator[bytes]:
            for part in self._datasets(batch_size):
                buffer = io.BytesIO()
                part.to_json(buffer, **to_json_kwargs)
                yield buffer.getvalue()

        return _write(path_or_buf, parts(), storage_options, compression)

    def to_parquet(
        self: Any,
        path_or_buf: Any,
        batch_size: int | None = None,
        storage_options: dict[str, Any] | None = None,
        **parquet_writer_kwargs: Any,
    ) -> int:
        """Write a Parquet file that holds the features, too; returns the number of bytes of the table.

        Args:
            path_or_buf: a path, an address or a file open for bytes.
            batch_size: rows of a row group.
            parquet_writer_kwargs: arguments of ``pyarrow.parquet.ParquetWriter``.
        """
        import pyarrow.parquet as pq

        from ..exporting import _chunking

        options = {"write_page_index": True, **_chunking(), **parquet_writer_kwargs}
        written = 0
        with target_file(path_or_buf, storage_options) as file:
            writer = None
            features = self._view.features
            for table in self._tables(batch_size or 10 * _ROWS):
                if writer is None:
                    features = features if features is not None else Features.from_arrow_schema(table.schema)
                    writer = pq.ParquetWriter(file, features.arrow_schema, **options)
                written += table.nbytes
                writer.write_table(pa.table(table.columns, schema=features.arrow_schema))
            if writer is None:
                writer = pq.ParquetWriter(file, (features or Features()).arrow_schema, **options)
            writer.close()
        return written

    def to_sql(self: Any, name: str, con: Any, batch_size: int | None = None, **sql_writer_kwargs: Any) -> int:
        """Write the rows into a table of a database; the arguments are those of :meth:`Dataset.to_sql`."""
        count = 0
        for part in self._datasets(batch_size):
            more = {"if_exists": "append"} if count else {}
            part.to_sql(name, con, **{**sql_writer_kwargs, **more})
            count += len(part)
        return count

    def push_to_hub(
        self: Any,
        repo_id: str,
        config_name: str = "default",
        set_default: bool | None = None,
        split: str | None = None,
        data_dir: str | None = None,
        commit_message: str | None = None,
        commit_description: str | None = None,
        private: bool | None = None,
        token: str | None = None,
        revision: str | None = None,
        create_pr: bool | None = False,
        max_shard_size: int | str | None = None,
        num_shards: int | None = None,
        embed_external_files: bool = True,
        num_proc: int | None = None,
    ) -> Any:
        """Share the rows as Parquet files; the arguments are those of :meth:`Dataset.push_to_hub`.

        The rows pass through one temporary file, which is removed.
        """
        with tempfile.TemporaryDirectory(prefix="enfold-push-") as folder:
            made = self._on_disk(folder, str(split or self._split or "train"))
            return made.push_to_hub(
                repo_id,
                config_name=config_name,
                set_default=set_default,
                split=split,
                data_dir=data_dir,
                commit_message=commit_message,
                commit_description=commit_description,
                private=private,
                token=token,
                revision=revision,
                create_pr=create_pr,
                max_shard_size=max_shard_size,
                num_shards=num_shards,
                embed_external_files=embed_external_files,
                num_proc=num_proc,
            )

    def _on_disk(self: Any, folder: str, split: str) -> Any:
        from ..dataset import Dataset

        path = os.path.join(folder, f"{split}.parquet")
        self.to_parquet(path)
        return Dataset.from_parquet(path, split=split)


def _write(
    path_or_buf: Any, parts: Iterator[bytes], storage_options: dict[str, Any] | None, compression: str | None = None
) -> int:
    count = 0
    with target_file(path_or_buf, storage_options, compression) as file:
        for part in parts:
            file.write(part)
            count += len(part)
    return count
