"""Rows of a database: a query or a table, by sqlite3 or SQLAlchemy."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import itertools
import os
import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from enfold.errors import MissingExtra

from ..errors import DatasetGenerationError
from ..fingerprint import generate_random_fingerprint
from .base import DatasetBuilder

__all__ = ["Builder", "connect"]

_SQLITE = re.compile(r"sqlite:///(?P<path>[^?]*)$")


def connect(con: Any) -> tuple[Any, bool]:
    """Return a connection with ``cursor`` or ``execute``, and whether it is ours to close.

    Args:
        con: an address such as ``"sqlite:///rows.db"``, a sqlite3 connection, or SQLAlchemy's engine or connection.

    Raises:
        ImportError: SQLAlchemy is needed and not installed.
        TypeError: something else.
    """
    if isinstance(con, (str, os.PathLike)):
        address = os.fspath(con)
        found = _SQLITE.match(address)
        if found:
            import sqlite3

            return sqlite3.connect(found["path"] or ":memory:"), True
        try:
            import sqlalchemy
        except ImportError:
            raise MissingExtra(f"reading {address.split(':')[0]!r} databases", "server") from None
        return sqlalchemy.create_engine(address).connect(), True
    if hasattr(con, "cursor"):
        return con, False
    if hasattr(con, "connect"):  # an engine
        return con.connect(), True
    if hasattr(con, "execute"):
        return con, False
    raise TypeError(f"con is an address, a connection or an engine, not a {type(con).__name__}")


class Builder(DatasetBuilder):
    """Reads the rows of a query, or of a table."""

    name = "sql"
    needs_files = False

    @dataclasses.dataclass
    class Options:
        """What to read; names and meanings are those of ``pandas.read_sql``.

        Args:
            sql: a query, a table's name, or a SQLAlchemy selectable.
            con: an address such as ``"sqlite:///rows.db"``, a connection, or an engine.
            index_col: columns that stand behind the others.
            coerce_float: make decimals floats.
            params: the query's parameters.
            parse_dates: columns to read as dates, or a dict of them with a format.
            columns: the columns to take of a table.
            chunksize: rows that are read at a time.
        """

        sql: Any = None
        con: Any = None
        index_col: str | list[str] | None = None
        coerce_float: bool = True
        params: Any = None
        parse_dates: Any = None
        columns: list[str] | None = None
        chunksize: int | None = 10_000

    def __init__(self, data_files: Any = None, **options: Any) -> None:
        super().__init__({"train": []}, **options)
        for name in ("sql", "con"):
            if getattr(self.options, name) is None:
                raise ValueError(f"{name} must be specified")

    def _options_key(self) -> Any:
        shown = {item.name: getattr(self.options, item.name) for item in dataclasses.fields(self.options)}
        shown["sql"] = str(shown["sql"])
        if isinstance(shown["con"], str):
            found = _SQLITE.match(shown["con"])
            if found and os.path.isfile(found["path"]):  # a database that changed is another one
                stat = os.stat(found["path"])
                shown["con"] = [shown["con"], stat.st_size, stat.st_mtime_ns]
        else:  # nobody can tell what is behind a connection
            shown["con"] = generate_random_fingerprint()
        return shown

    def split_tables(self, split: str) -> Iterator[tuple[str, pa.Table]]:
        """Yield the rows of the query."""
        connection, ours = connect(self.options.con)
        try:
            names, rows = self._execute(connection)
            step = self.options.chunksize
            while True:
                chunk = list(itertools.islice(rows, step)) if step else list(rows)
                if chunk or names:
                    yield "the query", self._table(names, chunk)
                if not step or len(chunk) < step:
                    return
        except (MissingExtra, DatasetGenerationError, pa.ArrowInvalid):
            raise
        except Exception as error:  # every driver has an error class of its own
            raise DatasetGenerationError(f"the query {str(self.options.sql)[:200]!r} failed: {error}") from error
        finally:
            if ours:
                connection.close()

    def _execute(self, connection: Any) -> tuple[list[str], Iterator[Any]]:
        sql, params = self.options.sql, self.options.params
        if isinstance(sql, str) and not re.search(r"\s", sql.strip()):
            chosen = self.options.columns
            if chosen is not None and self.options.index_col is not None:
                index = self.options.index_col
                chosen = [*chosen, *([index] if isinstance(index, str) else index)]
            wanted = ", ".join(_quoted(name) for name in chosen) if chosen else "*"
            sql = f"SELECT {wanted} FROM {_quoted(sql.strip())}"
        if hasattr(connection, "cursor"):
            cursor = connection.cursor()
            cursor.execute(str(sql), params if params is not None else ())
            return [column[0] for column in cursor.description], iter(cursor)
        import sqlalchemy

        statement = sqlalchemy.text(sql) if isinstance(sql, str) else sql
        if isinstance(params, (list, tuple)):
            result = connection.exec_driver_sql(str(sql), tuple(params))
        else:
            result = connection.execute(statement, params or {})
        return list(result.keys()), iter(result)

    def _table(self, names: list[str], rows: list[Any]) -> pa.Table:
        columns: dict[str, pa.Array] = {}
        dates = self.options.parse_dates or []
        for place, name in enumerate(names):
            values = [row[place] for row in rows]
            if self.options.coerce_float and any(isinstance(value, decimal.Decimal) for value in values):
                values = [None if value is None else float(value) for value in values]
            if name in dates:
                form = dates[name] if isinstance(dates, dict) else None
                columns[name] = pa.array([_date(value, form) for value in values], pa.timestamp("ns"))
                continue
            array = pa.array(values)
            if pa.types.is_integer(array.type) and array.null_count:
                array = array.cast(pa.float64())  # as pandas, which has no missing integers
            columns[name] = array
        index = self.options.index_col
        for name in [index] if isinstance(index, str) else index or []:
            columns[name] = columns.pop(name)
        return pa.table(columns)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _date(value: Any, form: Any) -> Any:
    if value is None or isinstance(value, datetime.datetime):
        return value
    if isinstance(value, datetime.date):
        return datetime.datetime(value.year, value.month, value.day)
    if isinstance(value, (int, float)):
        unit = {"s": 1, "ms": 1e3, "us": 1e6, "ns": 1e9, "D": 1 / 86400}.get(str(form or "ns"), 1e9)
        return datetime.datetime.fromtimestamp(value / unit, datetime.timezone.utc).replace(tzinfo=None)
    if isinstance(form, str):
        return datetime.datetime.strptime(value, form)
    return datetime.datetime.fromisoformat(value)
