"""The database: how it is opened, brought up to date, and read and written in transactions. SQLite or Postgres."""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
import sys
import threading
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, create_engine, event, func, insert, make_url, select, update

from enfold.errors import EnfoldError
from enfold.hubserver.tables.base import meta, metadata
from enfold.hubserver.tables.contents import blob, chunk, repo_lfs, tree, xet_file, xet_use, xorb
from enfold.hubserver.tables.events import webhook, webhook_message, webhook_watch
from enfold.hubserver.tables.people import account, audit, device, failure, membership, publisher, session, token
from enfold.hubserver.tables.repositories import (
    access_request,
    alias,
    collection,
    collection_item,
    commit,
    discussion,
    discussion_event,
    liked,
    mirror,
    mirror_file,
    ref,
    repo,
    repo_tag,
    space_value,
)
from enfold.hubserver.tables.upgrade import OLDER, upgrade

__all__ = [
    "Database",
    "access_request",
    "account",
    "alias",
    "audit",
    "blob",
    "chunk",
    "collection",
    "collection_item",
    "commit",
    "device",
    "discussion",
    "discussion_event",
    "failure",
    "liked",
    "membership",
    "meta",
    "mirror",
    "mirror_file",
    "publisher",
    "ref",
    "repo",
    "repo_lfs",
    "repo_tag",
    "session",
    "space_value",
    "token",
    "tree",
    "webhook",
    "webhook_message",
    "webhook_watch",
    "xet_file",
    "xet_use",
    "xorb",
]

SCHEMA = "5"
_WRITER = 0x656E666F6C64  # the lock of whoever writes, among all servers on one Postgres


def _require_text_search() -> None:
    """Raise where this process's SQLite cannot search texts."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        if connection.execute("SELECT 1 FROM pragma_module_list WHERE name = 'fts5'").fetchone() is None:
            hint = ""
            if "tensorflow" in sys.modules:
                hint = ": it is TensorFlow's, in the place of Python's; import sqlite3 before tensorflow"
            raise EnfoldError(f"a Hub needs SQLite with FTS5, and {sqlite3.sqlite_version} here has none{hint}")


class Database:
    """The database of a server, and its two kinds of transaction.

    One transaction writes at a time, whichever database it is and however many servers share it: what a transaction
    reads stays true until it ends, and a commit needs milliseconds.

    Args:
        url: ``sqlite:///file`` or ``postgresql://user:password@host/name``.
        durable: whether a commit waits for the disk (SQLite's ``synchronous=FULL``; Postgres decides for itself).

    Raises:
        EnfoldError: the URL names another kind of database, the data is of a newer version, or SQLite has no FTS5.
    """

    def __init__(self, url: str, *, durable: bool = True) -> None:
        address = make_url(url)
        kind = address.get_backend_name()
        if kind not in {"sqlite", "postgresql"}:
            raise EnfoldError(
                f"a Hub keeps its data in SQLite or Postgres, not in {kind!r}: sqlite:///… or postgresql://…"
            )
        self.sqlite = kind == "sqlite"  #: else it is Postgres
        if self.sqlite:
            self.engine = create_engine(address, pool_size=16, max_overflow=64)
        else:
            address = address.set(drivername="postgresql+psycopg")
            self.engine = create_engine(address, pool_size=16, max_overflow=16, pool_pre_ping=True)
        # SQLite has one writer at a time: waiting here is fair and costs nothing, waiting in SQLite polls.
        self._turn = threading.Lock() if self.sqlite else contextlib.nullcontext()
        if self.sqlite:
            self._prepare_sqlite(durable)
        with self.write() as connection:
            metadata.create_all(connection)
            found = connection.scalar(select(meta.c.value).where(meta.c.key == "schema"))
            if found is None:
                connection.execute(insert(meta).values(key="schema", value=SCHEMA))
                connection.execute(insert(meta).values(key="secret", value=secrets.token_hex(32)))
            elif found in OLDER:
                upgrade(connection, found)
                connection.execute(update(meta).where(meta.c.key == "schema").values(value=SCHEMA))
            elif found != SCHEMA:
                raise EnfoldError(f"the Hub's data has schema {found}; this version reads schema {SCHEMA} and older")

    def _prepare_sqlite(self, durable: bool) -> None:
        _require_text_search()

        @event.listens_for(self.engine, "connect")
        def connect(connection: Any, record: Any) -> None:
            connection.isolation_level = None  # transactions are begun below, not by the driver's guess
            for pragma in (
                "journal_mode=WAL",
                f"synchronous={'FULL' if durable else 'OFF'}",
                "foreign_keys=ON",
                "busy_timeout=30000",
            ):
                connection.execute(f"PRAGMA {pragma}")

        @event.listens_for(self.engine, "begin")
        def begin(connection: Connection) -> None:
            writing = connection.get_execution_options().get("enfold_write")
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that sees one state of the database throughout."""
        with self.engine.connect() as connection:
            if not self.sqlite:
                connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a transaction that may write: all of it happens at the end of the block, or none of it."""
        with (
            self._turn,
            self.engine.connect().execution_options(enfold_write=True) as connection,
            connection.begin(),
        ):
            if not self.sqlite:
                connection.execute(select(func.pg_advisory_xact_lock(_WRITER)))
            yield connection

    @property
    def secret(self) -> bytes:
        """The server's own key, by which it signs addresses."""
        with self.read() as connection:
            return bytes.fromhex(str(connection.scalar(select(meta.c.value).where(meta.c.key == "secret"))))

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()
