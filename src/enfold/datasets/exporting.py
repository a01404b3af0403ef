"""Giving a dataset's rows to others: Python, pandas, files of several kinds, folders, and the Hub."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from enfold.errors import nearest
from enfold.progress import Progress

from .cells import csv_cells, finite, json_value
from .features.storage import embed_table, holds_files
from .info import write_text
from .source import cast_table
from .targets import target_file, target_folder
from .values import one_array

__all__ = ["ExportMixin", "parse_size"]

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}
_SHARD = "500MB"
# What pandas calls the ways of putting a table into JSON that are its alone.
_ORIENTS = ("split", "index", "columns", "values", "table")


def parse_size(size: int | str) -> int:
    """Return a number of bytes: ``"500MB"`` is 500,000,000, ``"1GiB"`` is 1,073,741,824.

    Raises:
        ValueError: the text is no size.
    """
    if isinstance(size, int):
        return size
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*([KMGT]?I?B?)\s*", size.upper())
    if not found or found[2].rstrip("B") not in _UNITS:
        raise ValueError(f"{size!r} is no size; expected a number of bytes or such as '500MB'")
    return int(float(found[1]) * _UNITS[found[2].rstrip("B")])


class _Counted:
    """Counts the bytes that go into a file."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self.count = 0

    def write(self, data: Any) -> int:
        self.count += len(data)
        self.file.write(data)
        return len(data)


class ExportMixin:
    """The methods of a dataset that write it somewhere."""

    def _tables(self: Any, step: int = 1 << 14) -> Iterator[pa.Table]:
        for start in range(0, len(self), step):
            yield self._read(start, min(start + step, len(self)), self.column_names)

    def to_dict(self: Any, batch_size: int | None = None, batched: bool = False) -> Any:
        """Return the columns as lists; with ``batched``, an iterator of such dicts of ``batch_size`` rows."""
        if batched:
            step = batch_size or 1000
            return (
                self._python(self._read(i, min(i + step, len(self)), self.column_names))
                for i in range(0, len(self), step)
            )
        return self._python(self._read(0, len(self), self.column_names))

    def to_list(self: Any) -> list[dict[str, Any]]:
        """Return the rows as a list of dicts."""
        from .access import table_rows

        return table_rows(self._read(0, len(self), self.column_names), None, self._decoders())

    def to_table(self: Any) -> pa.Table:
        """Return the rows as one Arrow table."""
        return self._read(0, len(self), self.column_names)

    def to_pandas(self: Any, batch_size: int | None = None, batched: bool = False) -> Any:
        """Return the rows as a pandas DataFrame; with ``batched``, an iterator of them."""
        from .formats.pandas_format import require_pandas

        require_pandas()
        if batched:
            return (table.to_pandas() for table in self._tables(batch_size or 1000))
        return self.to_table().to_pandas()

    def to_polars(
        self: Any,
        batch_size: int | None = None,
        batched: bool = False,
        schema_overrides: Any = None,
        rechunk: bool = True,
    ) -> Any:
        """Return the rows as a polars DataFrame on the same Arrow buffers; with ``batched``, an iterator of them."""
        from .formats.polars_format import require_polars

        polars = require_polars()
        options = {"schema_overrides": schema_overrides, "rechunk": rechunk}
        if batched:
            return (polars.from_arrow(table, **options) for table in self._tables(batch_size or 1000))
        return polars.from_arrow(self.to_table(), **options)

    def to_iterable_dataset(self: Any, num_shards: int | None = 1) -> Any:
        """Return the rows as a stream: shuffled as they are read, shared by readers, resumed at any row.

        Args:
            num_shards: the number of parts that readers can share.
        """
        from .streaming.making import stream_dataset

        return stream_dataset(self, num_shards or 1)

    def to_csv(
        self: Any,
        path_or_buf: Any,
        batch_size: int | None = None,
        num_proc: int | None = None,
        storage_options: dict[str, Any] | None = None,
        sep: str = ",",
        header: bool | list[str] = True,
        index: bool = False,
        columns: list[str] | None = None,
        **to_csv_kwargs: Any,
    ) -> int:
        """Write a CSV file.

        Args:
            path_or_buf: a path, or a file open for bytes.
            sep: what stands between the values.
            header: write the columns' names first, or the names to write.
            index: write the row's number first.
            columns: the columns to write.
            to_csv_kwargs: other arguments of ``pandas.DataFrame.to_csv``; pandas writes the file where there are any.

        Returns:
            The number of bytes written.
        """
        import csv
        import io

        names = self._require(columns) if columns is not None else self.column_names
        with (
            target_file(path_or_buf, storage_options) as raw,
            Progress(len(self), "Create CSV", unit="examples") as bar,
        ):
            file = _Counted(raw)
            first = True
            for start in range(0, len(self), 10_000):
                table = self._read(start, min(start + 10_000, len(self)), names)
                text = io.StringIO(newline="")
                if to_csv_kwargs:
                    frame = table.to_pandas(integer_object_nulls=True)
                    frame.index += start
                    frame.to_csv(text, sep=sep, header=header if first else False, index=index, **to_csv_kwargs)
                else:
                    writer = csv.writer(text, delimiter=sep, lineterminator="\n")
                    if first and header:
                        titles = list(header) if isinstance(header, list) else names
                        writer.writerow([""] * index + titles)
                    values = [csv_cells(one_array(table.column(name))) for name in names]
                    if index:
                        values.insert(0, list(range(start, start + table.num_rows)))
                    writer.writerows(zip(*values, strict=False))
                file.write(text.getvalue().encode(to_csv_kwargs.get("encoding") or "utf-8"))
                first = False
                bar.advance(table.num_rows)
            if first and header:
                file.write((sep.join([""] * index + names) + "\n").encode())
        return file.count

    def to_json(
        self: Any,
        path_or_buf: Any,
        batch_size: int | None = None,
        num_proc: int | None = None,
        storage_options: dict[str, Any] | None = None,
        lines: bool | None = None,
        orient: str = "records",
        force_ascii: bool = True,
        indent: int | None = None,
        compression: str | None = "infer",
        **to_json_kwargs: Any,
    ) -> int:
        """Write a JSON file.

        Args:
            path_or_buf: a path, a file open for bytes, or an address that fsspec knows.
            storage_options: arguments of the file system behind an address.
            lines: one row a line (JSON Lines); else one array of rows, or one object of columns. Where None, lines
                are what ``orient="records"`` is written as.
            orient: ``"records"`` for rows, ``"list"`` for an object of lists, or one of those of
                ``pandas.DataFrame.to_json``: ``"split"``, ``"index"``, ``"columns"``, ``"values"``, ``"table"``.
            force_ascii: write other characters as escapes.
            indent: spaces of indentation, without ``lines``.
            compression: ``"gzip"``, ``"bz2"``, ``"xz"``, None, or ``"infer"``: what the name's end says.
            to_json_kwargs: other arguments of ``pandas.DataFrame.to_json``; pandas writes the file where there are any.

        Returns:
            The number of bytes written, before they are packed.

        Raises:
            ValueError: another ``orient``, or one that is no row a line with ``lines``.
        """
        from .access import table_rows

        if orient not in (*_ORIENTS, "records", "list"):
            raise ValueError(f"unknown orient {orient!r}{nearest(orient, [*_ORIENTS, 'records', 'list'])}")
        lines = orient == "records" and indent is None if lines is None else lines
        if lines and (orient != "records" or indent is not None):
            raise ValueError("JSON Lines has one row a line: orient and indent need lines=False")
        if orient in _ORIENTS or to_json_kwargs:
            frame = self.with_format(None).to_pandas()
            options = {"orient": orient, "lines": lines, "force_ascii": force_ascii, "indent": indent, **to_json_kwargs}
            if orient in ("split", "table"):
                options.setdefault("index", False)
            text = frame.to_json(**options).encode()
            with target_file(path_or_buf, storage_options, compression) as raw:
                raw.write(text if text.endswith(b"\n") else text + b"\n")
            return len(text) + (not text.endswith(b"\n"))
        dump = json.JSONEncoder(
            ensure_ascii=force_ascii,
            separators=(",", ":") if indent is None else (",", ": "),
            indent=indent,
            default=json_value,
            allow_nan=False,
        ).encode
        with target_file(path_or_buf, storage_options, compression) as raw:
            file = _Counted(raw)
            if lines:
                with Progress(len(self), "Create JSON", unit="examples") as bar:
                    for table in self._tables():
                        rows = table_rows(table, None, self._decoders())
                        try:
                            text = "".join([dump(row) + "\n" for row in rows])
                        except ValueError:
                            text = "".join([dump(finite(row)) + "\n" for row in rows])
                        file.write(text.encode())
                        bar.advance(table.num_rows)
            else:
                file.write((dump(finite(self.to_list() if orient == "records" else self.to_dict())) + "\n").encode())
        return file.count

    def to_sql(
        self: Any,
        name: str,
        con: Any,
        batch_size: int | None = None,
        num_proc: int | None = None,
        if_exists: str = "fail",
        index: bool = False,
        index_label: str | None = None,
        **sql_writer_kwargs: Any,
    ) -> int:
        """Write the rows into a table of a database, all of them or none.

        Args:
            name: the table's name.
            con: an address such as ``"sqlite:///rows.db"``, a sqlite3 connection, or SQLAlchemy's engine or connection.
            batch_size: rows that are sent at a time; 1,000 where None.
            num_proc: accepted for compatibility; a database takes rows from one writer.
            if_exists: what to do where the table is there: ``"fail"``, ``"replace"`` or ``"append"``.
            index: write the rows' numbers, too, as ``index_label``.
            sql_writer_kwargs: other arguments of ``pandas.DataFrame.to_sql``; pandas writes then.

        Returns:
            The number of rows written.

        Raises:
            ValueError: the table is there already, and ``if_exists`` is ``"fail"``.
        """
        from .databases import write_table

        label = (index_label or "index") if index else None
        return write_table(self, name, con, batch_size or 1000, if_exists, label, sql_writer_kwargs)

    def to_parquet(
        self: Any,
        path_or_buf: Any,
        batch_size: int | None = None,
        storage_options: dict[str, Any] | None = None,
        **parquet_writer_kwargs: Any,
    ) -> int:
        """Write a Parquet file that holds the features, too.

        Args:
            path_or_buf: a path, or a file open for bytes.
            batch_size: rows of a row group; where None, groups of about 100 MB.
            parquet_writer_kwargs: arguments of ``pyarrow.parquet.ParquetWriter``.

        Returns:
            The number of bytes of the table.
        """
        with target_file(path_or_buf, storage_options) as file:
            return self._write_parquet(file, batch_size, parquet_writer_kwargs)

    def _write_parquet(
        self: Any,
        file: Any,
        batch_size: int | None = None,
        options: dict[str, Any] | None = None,
        embed_external_files: bool = False,
    ) -> int:
        import pyarrow.parquet as pq

        schema = self.features.arrow_schema
        options = {"write_page_index": True, **_chunking(), **(options or {})}
        written = 0
        with pq.ParquetWriter(file, schema, **options) as writer:
            step = batch_size or self._row_group()
            for table in self._tables(step):
                table = embed_table(table, self.features) if embed_external_files else table
                written += table.nbytes
                writer.write_table(cast_table(table, schema), row_group_size=step)
        return written

    def _row_group(self: Any) -> int:
        if holds_files(dict(self.features)):
            return 100  # a row may be megabytes, and more once its files are put in
        size = max(self._source.nbytes / max(self._source.num_rows, 1), 1)
        return max(1000, min(int(100e6 / size), 1 << 20))

    # ---- folders

    def save_to_disk(
        self: Any,
        dataset_path: str,
        max_shard_size: str | int | None = None,
        num_shards: int | None = None,
        num_proc: int | None = None,
        storage_options: dict[str, Any] | None = None,
    ) -> None:
        """Write the dataset into a folder, from which ``load_from_disk`` maps it.

        Args:
            dataset_path: the folder, or an address that fsspec knows; what was in the folder before is replaced once
                everything is written.
            max_shard_size: bytes of a file at most, such as ``"500MB"``.
            num_shards: the number of files instead.
            num_proc: the number of files at least, where ``num_shards`` does not say it; they are written in turn.
            storage_options: arguments of the file system behind an address.

        Raises:
            ValueError: both a size and a number of files.
        """
        with target_folder(dataset_path, storage_options) as folder:
            self._save(folder, max_shard_size, num_shards, num_proc)

    def _save(
        self: Any, folder: str, max_shard_size: str | int | None, num_shards: int | None, num_proc: int | None
    ) -> None:
        shards = self._shards(max_shard_size, num_shards, _SHARD, num_proc)
        schema = self.features.arrow_schema
        files = holds_files(dict(self.features))
        names = []
        with Progress(len(self), "Saving the dataset", unit="examples") as bar:
            for number, shard in enumerate(shards):
                name = f"data-{number:05d}-of-{len(shards):05d}.arrow"
                with pa.OSFile(os.path.join(folder, name), "wb") as file, pa.ipc.new_stream(file, schema) as writer:
                    for table in shard._tables(1 << 16 if not files else 100):
                        # files of this machine would be out of reach for whoever loads the folder elsewhere
                        table = embed_table(table, shard.features, remote_files=False) if files else table
                        writer.write_table(cast_table(table.combine_chunks(), schema))
                        bar.advance(table.num_rows)
                names.append({"filename": name})
        kind, options, columns, everything = self._format
        state = {
            "_data_files": names,
            "_fingerprint": self._fingerprint,
            "_format_columns": columns,
            "_format_kwargs": _json_safe(options),
            "_format_type": None if kind == "custom" else kind,
            "_output_all_columns": everything,
            "_split": str(self.split) if self.split is not None else None,
        }
        info = self.info.to_dict()
        write_text(os.path.join(folder, "state.json"), json.dumps(state, indent=2, sort_keys=True))
        write_text(
            os.path.join(folder, "dataset_info.json"), json.dumps({key: info[key] for key in sorted(info)}, indent=2)
        )

    def _shards(
        self: Any, max_shard_size: str | int | None, num_shards: int | None, default: str, least: int | None = None
    ) -> list[Any]:
        if max_shard_size is not None and num_shards is not None:
            raise ValueError("give max_shard_size or num_shards, not both")
        if num_shards is None:
            rows = max(self._source.num_rows, 1)
            size = int(self._source.nbytes * (len(self) / rows))
            num_shards = max(-(-size // parse_size(max_shard_size or default)), least or 1)
        num_shards = max(1, min(num_shards, max(len(self), 1)))
        return [self.shard(num_shards, index) for index in range(num_shards)]

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
        """Share the dataset: Parquet files and a card that describes them, in one commit.

        Args:
            repo_id: ``owner/name``; the repository is made if it is not there.
            config_name: the configuration that the rows belong to.
            set_default: make the configuration the one that is loaded when none is named.
            split: the split's name; the dataset's own, or ``"train"``.
            data_dir: the folder in the repository; ``data``, or the configuration's name.
            commit_message: what the commit says.
            private: make a new repository private.
            token: the token; the stored one where None.
            revision: the branch to write to.
            max_shard_size: bytes of a file at most, ``"500MB"``.
            num_shards: the number of files instead.
            embed_external_files: put the content of images and recordings into the Parquet files, not their paths.
            num_proc: the number of files at least, where ``num_shards`` does not say it.

        Returns:
            The commit's information.
        """
        from .sharing import push_splits

        name = str(split or self.split or "train")
        return push_splits(
            {name: self},
            repo_id,
            config_name=config_name,
            set_default=set_default,
            data_dir=data_dir,
            commit_message=commit_message,
            commit_description=commit_description,
            private=private,
            token=token,
            revision=revision,
            create_pr=bool(create_pr),
            max_shard_size=max_shard_size,
            num_shards={name: num_shards},
            keep_other_splits=True,
            embed_external_files=embed_external_files,
            least_shards=num_proc,
        )


def _json_safe(options: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if isinstance(value, (str, int, float, bool, type(None)))}


def _chunking() -> dict[str, Any]:
    """Cut pages where the content says so: a new version of a file then shares most bytes with the old one."""
    if int(pa.__version__.split(".")[0]) >= 21:  # the first version that can
        return {
            "use_content_defined_chunking": {
                "min_chunk_size": 256 * 1024,
                "max_chunk_size": 1024 * 1024,
                "norm_level": 0,
            }
        }
    return {}
