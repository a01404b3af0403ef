"""Bringing the tables of an older Hub up to date."""

from __future__ import annotations

import json
import struct
from typing import Any

from sqlalchemy import Connection, Table, insert, inspect, select, text
from sqlalchemy.schema import CreateColumn

from enfold.hubserver.tables.base import metadata
from enfold.hubserver.tables.contents import chunk, xet_file, xet_use, xorb
from enfold.hubserver.tables.events import webhook, webhook_watch

__all__ = ["OLDER", "upgrade"]

OLDER = ("1", "2", "3", "4")  # schemas that can be brought up to date
_TERM = struct.Struct("<4Q12x")  # of a file of chunks: the xorb's hash, and three numbers
_CHUNK = struct.Struct("<4Q8x")  # of a xorb: the chunk's hash, and two numbers


def upgrade(connection: Connection, version: str) -> None:
    """Give the tables of a ``version`` the columns and indexes they lack, and fill those that repeat what others say.

    Every table exists already, the new ones empty; the caller notes the new version.
    """
    present = inspect(connection)
    for table in metadata.sorted_tables:
        known = {column["name"] for column in present.get_columns(table.name)}
        lacking = [column for column in table.columns if column.name not in known]
        for column in lacking:
            description = CreateColumn(column).compile(dialect=connection.dialect)
            connection.execute(text(f'ALTER TABLE "{table.name}" ADD COLUMN {description}'))
        for index in table.indexes:
            if any(column in index.columns.values() for column in lacking):
                index.create(connection)
    if version == "4":  # which has these tables
        return
    for row in connection.execute(select(webhook.c.id, webhook.c.watched)).all():
        watched = {(kind, name.lower()) for kind, name in json.loads(row.watched)}
        _fill(connection, webhook_watch, [{"kind": kind, "name": name, "webhook_id": row.id} for kind, name in watched])
    for row in connection.execute(select(xet_file.c.hash, xet_file.c.terms)).all():
        xorbs = {_hex(words) for words in _TERM.iter_unpack(row.terms)}
        _fill(connection, xet_use, [{"xorb": name, "file": row.hash} for name in sorted(xorbs)])
    for row in connection.execute(select(xorb.c.hash, xorb.c.chunks)):
        places = {words: place for place, words in enumerate(_CHUNK.iter_unpack(row.chunks)) if words[3] % 1024 == 0}
        rows = [{"hash": _hex(words), "xorb": row.hash, "place": place} for words, place in places.items()]
        _fill(connection, chunk, rows)


def _hex(words: tuple[int, ...]) -> str:
    return "".join(f"{word:016x}" for word in words)


def _fill(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    if rows:
        connection.execute(insert(table), rows)
