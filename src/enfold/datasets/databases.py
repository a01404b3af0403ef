"""Writing rows into a table of a database."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from .builders.sql_files import connect
from .values import arrow_to_list, one_array

__all__ = ["write_table"]


def write_table(
    dataset: Any, name: str, con: Any, batch_size: int, if_exists: str, label: str | None, options: dict[str, Any]
) -> int:
    """Write a dataset's rows into a table; see :meth:`Dataset.to_sql`."""
    if if_exists not in ("fail", "replace", "append"):
        raise ValueError(f"if_exists is 'fail', 'replace' or 'append', not {if_exists!r}")
    connection, ours = connect(con)
    try:
        if options:
            frame = dataset.to_pandas()
            frame.to_sql(name, connection, if_exists=if_exists, index=label is not None, index_label=label, **options)
        else:
            write = _sqlite if hasattr(connection, "cursor") else _sqlalchemy
            write(dataset, name, connection, batch_size, if_exists, label)
        if hasattr(connection, "commit"):
            connection.commit()
    except BaseException:
        if hasattr(connection, "rollback"):
            connection.rollback()
        raise
    finally:
        if ours:
            connection.close()
    return len(dataset)


def _rows(dataset: Any, batch_size: int, label: str | None) -> Any:
    done = 0
    for table in dataset._tables(batch_size):
        columns = [_cells(one_array(table.column(column))) for column in table.column_names]
        numbers = [list(range(done, done + table.num_rows))] if label else []
        done += table.num_rows
        yield list(zip(*numbers, *columns, strict=True))


def _cells(array: pa.Array) -> list[Any]:
    import datetime
    import json

    values = arrow_to_list(array)
    if pa.types.is_nested(array.type):
        return [None if value is None else json.dumps(value, default=str) for value in values]
    if pa.types.is_temporal(array.type):
        return [
            value.isoformat(" ") if isinstance(value, datetime.datetime) else None if value is None else str(value)
            for value in values
        ]
    return values


def _kind(arrow: pa.DataType) -> str:
    types = pa.types
    if types.is_integer(arrow) or types.is_boolean(arrow):
        return "INTEGER"
    if types.is_floating(arrow):
        return "REAL"
    if types.is_timestamp(arrow):
        return "TIMESTAMP"
    return "BLOB" if types.is_binary(arrow) or types.is_large_binary(arrow) else "TEXT"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _columns(dataset: Any, label: str | None) -> list[tuple[str, pa.DataType]]:
    schema = dataset._read(0, 0, dataset.column_names).schema
    return [*([(label, pa.int64())] if label else []), *((field.name, field.type) for field in schema)]


def _exists(name: str) -> ValueError:
    return ValueError(f"Table '{name}' already exists: pass if_exists='replace' or 'append'")


def _sqlite(dataset: Any, name: str, connection: Any, batch_size: int, if_exists: str, label: str | None) -> None:
    cursor = connection.cursor()
    found = cursor.execute("SELECT 1 FROM sqlite_master WHERE type IN ('table', 'view') AND name = ?", (name,))
    present = found.fetchone() is not None
    if present and if_exists == "fail":
        raise _exists(name)
    if not connection.in_transaction:  # a table that is replaced must come back when something fails
        cursor.execute("BEGIN")
    if present and if_exists == "replace":
        cursor.execute(f"DROP TABLE {_quoted(name)}")
        present = False
    columns = _columns(dataset, label)
    if not present:
        body = ", ".join(f"{_quoted(column)} {_kind(kind)}" for column, kind in columns)
        cursor.execute(f"CREATE TABLE {_quoted(name)} ({body})")
    places = ", ".join("?" for _ in columns)
    names = ", ".join(_quoted(column) for column, _ in columns)
    for rows in _rows(dataset, batch_size, label):
        cursor.executemany(f"INSERT INTO {_quoted(name)} ({names}) VALUES ({places})", rows)


def _sqlalchemy(dataset: Any, name: str, connection: Any, batch_size: int, if_exists: str, label: str | None) -> None:
    import sqlalchemy

    present = sqlalchemy.inspect(connection).has_table(name)
    if present and if_exists == "fail":
        raise _exists(name)
    kinds: dict[str, Any] = {
        "INTEGER": sqlalchemy.BigInteger,
        "REAL": sqlalchemy.Float,
        "TIMESTAMP": sqlalchemy.Text,
        "BLOB": sqlalchemy.LargeBinary,
        "TEXT": sqlalchemy.Text,
    }
    columns = [sqlalchemy.Column(column, kinds[_kind(kind)]) for column, kind in _columns(dataset, label)]
    table = sqlalchemy.Table(name, sqlalchemy.MetaData(), *columns)
    if present and if_exists == "replace":
        table.drop(connection)
        present = False
    if not present:
        table.create(connection)
    names = [column.name for column in columns]
    for rows in _rows(dataset, batch_size, label):
        if rows:
            connection.execute(table.insert(), [dict(zip(names, row, strict=True)) for row in rows])
