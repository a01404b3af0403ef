"""The schema, and how transactions are opened: SQLite in one file by default, or Postgres."""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Iterator
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    create_engine,
    event,
    func,
    insert,
    make_url,
    select,
    text,
    update,
)

from enfold.errors import EnfoldError

__all__ = [
    "Database",
    "access_request",
    "account",
    "alias",
    "blob",
    "collection",
    "collection_item",
    "commit",
    "discussion",
    "discussion_event",
    "liked",
    "membership",
    "ref",
    "repo",
    "repo_lfs",
    "repo_tag",
    "token",
    "tree",
    "webhook",
    "webhook_message",
    "xet_file",
    "xorb",
]

SCHEMA = "3"
_WRITER = 0x656E666F6C64  # the lock of whoever writes, among all servers on one Postgres
_metadata = MetaData()

meta = Table("meta", _metadata, Column("key", String, primary_key=True), Column("value", Text, nullable=False))

#: people and organisations: one namespace
account = Table(
    "account",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False),
    Column("key", String, nullable=False, unique=True),  # the name in lower case
    Column("organisation", Boolean, nullable=False, default=False),
    Column("admin", Boolean, nullable=False, default=False),
    Column("fullname", String, nullable=False, default=""),
    Column("email", String, nullable=False, default=""),
    Column("created", Float, nullable=False, default=time.time),
)

membership = Table(
    "membership",
    _metadata,
    Column("organisation_id", ForeignKey("account.id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", ForeignKey("account.id", ondelete="CASCADE"), primary_key=True),
    Column("role", String, nullable=False, default="write"),
)

#: A token is 256 random bits, so its plain SHA-256 cannot be guessed; the token itself is never stored.
token = Table(
    "token",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("account_id", ForeignKey("account.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("digest", String, nullable=False, unique=True),
    Column("name", String, nullable=False),
    Column("role", String, nullable=False),
    Column("created", Float, nullable=False, default=time.time),
)

repo = Table(
    "repo",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String, nullable=False),
    Column("name", String, nullable=False),  # "namespace/name"
    Column("key", String, nullable=False),  # the same in lower case
    Column("namespace", String, nullable=False),  # lower case
    Column("private", Boolean, nullable=False, default=False),
    Column("gated", String, nullable=False, default="false"),
    Column("sdk", String),
    Column("created", Float, nullable=False, default=time.time),
    Column("modified", Float, nullable=False, default=time.time),
    Column("downloads", BigInteger, nullable=False, default=0),
    Column("likes", BigInteger, nullable=False, default=0),
    Column("card", Text, nullable=False, default="{}"),  # the model card's metadata, JSON
    Column("facts", Text, nullable=False, default="{}"),  # what other files say (architecture, library), JSON
    UniqueConstraint("kind", "key"),
    Index("repo_by_modified", "kind", "modified", "id"),
    Index("repo_by_downloads", "kind", "downloads", "id"),
    Index("repo_by_namespace", "kind", "namespace"),
)

repo_tag = Table(
    "repo_tag",
    _metadata,
    Column("repo_id", ForeignKey("repo.id", ondelete="CASCADE"), primary_key=True),
    Column("tag", String, primary_key=True),
    Column("position", Integer, nullable=False),
    Index("repo_tag_by_tag", "tag", "repo_id"),
)

#: other ids of a repository: old names after a move, and legacy ids of one segment
alias = Table(
    "alias",
    _metadata,
    Column("kind", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("target", String, nullable=False),
    Column("target_key", String, nullable=False, index=True),
    Column("name", String, nullable=False),
)

ref = Table(
    "ref",
    _metadata,
    Column("repo_id", ForeignKey("repo.id", ondelete="CASCADE"), primary_key=True),
    Column("name", String, primary_key=True),  # "refs/heads/main"
    Column("commit", String, nullable=False),
)

commit = Table(
    "commit",
    _metadata,
    Column("repo_id", ForeignKey("repo.id", ondelete="CASCADE"), primary_key=True),
    Column("oid", String, primary_key=True),
    Column("parent", String),
    Column("tree", String, nullable=False),
    Column("title", String, nullable=False),
    Column("description", Text, nullable=False, default=""),
    Column("author", String, nullable=False),
    Column("created", Integer, nullable=False),
    Column("generation", Integer, nullable=False),  # distance from the first commit
    Column("data", LargeBinary, nullable=False),  # the git object
)

tree = Table("tree", _metadata, Column("oid", String, primary_key=True), Column("data", LargeBinary, nullable=False))

#: A file's content by its id in trees: the git id of the content, or of the pointer for an LFS file.
blob = Table(
    "blob",
    _metadata,
    Column("oid", String, primary_key=True),
    Column("sha256", String, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("lfs", Boolean, nullable=False),
    Column("data", LargeBinary),  # small contents are here instead of in the store: no file, no flush of their own
)

#: Which LFS objects a repository was given: knowing a hash is not a right to read the object.
repo_lfs = Table(
    "repo_lfs",
    _metadata,
    Column("repo_id", ForeignKey("repo.id", ondelete="CASCADE"), primary_key=True),
    Column("sha256", String, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("created", Float, nullable=False, default=time.time),
)


#: Repositories that somebody chose.
collection = Table(
    "collection",
    _metadata,
    Column("id", String, primary_key=True),
    Column("owner", String, nullable=False, index=True),
    Column("title", String, nullable=False),
    Column("text", Text, nullable=False, default=""),
    Column("private", Boolean, nullable=False, default=False),
    Column("theme", String, nullable=False),
    Column("position", Integer, nullable=False),
    Column("modified", Float, nullable=False, default=time.time),
)

collection_item = Table(
    "collection_item",
    _metadata,
    Column("id", String, primary_key=True),
    Column("collection_id", ForeignKey("collection.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("kind", String, nullable=False),
    Column("name", String, nullable=False),
    Column("note", Text, nullable=False, default=""),
    Column("position", Integer, nullable=False),
)

#: Addresses that are told what happens in repositories.
webhook = Table(
    "webhook",
    _metadata,
    Column("id", String, primary_key=True),
    Column("account_id", ForeignKey("account.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("url", Text, nullable=False),
    Column("watched", Text, nullable=False),  # [[type, name], …], JSON
    Column("domains", Text, nullable=False),  # JSON
    Column("secret", String),
    Column("disabled", Boolean, nullable=False, default=False),
    Column("created", Float, nullable=False, default=time.time),
)

#: What they have not heard yet.
webhook_message = Table(
    "webhook_message",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("webhook_id", ForeignKey("webhook.id", ondelete="CASCADE"), nullable=False),
    Column("body", Text, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("due", Float, nullable=False, index=True),
)

#: Packs of chunks in the Xet store.
xorb = Table(
    "xorb",
    _metadata,
    Column("hash", String, primary_key=True),
    Column("size", BigInteger, nullable=False),  # bytes in the store
    Column("content", BigInteger, nullable=False),  # bytes that its chunks unpack to
    Column("chunks", LargeBinary, nullable=False),  # hash, end of the record and size of each
    Column("created", Float, nullable=False, default=time.time),
)

#: Contents that are ranges of xorbs' chunks.
xet_file = Table(
    "xet_file",
    _metadata,
    Column("hash", String, primary_key=True),
    Column("sha256", String, nullable=False, index=True),
    Column("size", BigInteger, nullable=False),
    Column("terms", LargeBinary, nullable=False),  # hash of the xorb, first chunk, one behind the last, bytes
    Column("created", Float, nullable=False, default=time.time),
)


#: Who asked for the files of a gated repository, and what came of it.
access_request = Table(
    "access_request",
    _metadata,
    Column("id", String, primary_key=True),
    Column("repo_id", ForeignKey("repo.id", ondelete="CASCADE"), nullable=False),
    Column("account_id", ForeignKey("account.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("status", String, nullable=False),  # "pending", "accepted", "rejected"
    Column("reason", Text, nullable=False, default=""),  # of a rejection
    Column("fields", Text, nullable=False, default="{}"),  # what the form asked for, JSON
    Column("created", Float, nullable=False, default=time.time),
    UniqueConstraint("repo_id", "account_id"),
)

liked = Table(
    "liked",
    _metadata,
    Column("repo_id", ForeignKey("repo.id", ondelete="CASCADE"), primary_key=True),
    Column("account_id", ForeignKey("account.id", ondelete="CASCADE"), primary_key=True),
    Column("created", Float, nullable=False, default=time.time),
    Index("liked_by_account", "account_id", "created"),
)

#: Discussions and pull requests of a repository, numbered together.
discussion = Table(
    "discussion",
    _metadata,
    Column("repo_id", ForeignKey("repo.id", ondelete="CASCADE"), primary_key=True),
    Column("num", Integer, primary_key=True),
    Column("title", String, nullable=False),
    Column("status", String, nullable=False),  # "draft", "open", "closed", "merged"
    Column("author", String, nullable=False),
    Column("created", Float, nullable=False, default=time.time),
    Column("base", String),  # of a pull request: the branch it is for
    Column("start", String),  # the commit it began at
    Column("merged", String),  # the commit that took it in
)

#: What happened in a discussion, in order.
discussion_event = Table(
    "discussion_event",
    _metadata,
    Column("id", String, primary_key=True),
    Column("repo_id", Integer, nullable=False),
    Column("num", Integer, nullable=False),
    Column("position", Integer, nullable=False),
    Column("kind", String, nullable=False),  # "comment", "status-change", "commit", "title-change"
    Column("author", String, nullable=False),
    Column("created", Float, nullable=False, default=time.time),
    Column("data", Text, nullable=False),  # JSON
    ForeignKeyConstraint(["repo_id", "num"], ["discussion.repo_id", "discussion.num"], ondelete="CASCADE"),
    UniqueConstraint("repo_id", "num", "position"),
)


class Database:
    """The database of a server, and its two kinds of transaction.

    One transaction writes at a time, whichever database it is and however many servers share it: what a transaction
    reads stays true until it ends, and a commit needs milliseconds.

    Args:
        url: ``sqlite:///file`` or ``postgresql://user:password@host/name``.
        durable: whether a commit waits for the disk (SQLite's ``synchronous=FULL``; Postgres decides for itself).

    Raises:
        EnfoldError: the URL names another kind of database, or the data is of a newer version.
    """

    def __init__(self, url: str, *, durable: bool = True) -> None:
        address = make_url(url)
        kind = address.get_backend_name()
        if kind not in {"sqlite", "postgresql"}:
            raise EnfoldError(
                f"a Hub keeps its data in SQLite or Postgres, not in {kind!r}: sqlite:///… or postgresql://…"
            )
        self._sqlite = kind == "sqlite"
        if self._sqlite:
            self.engine = create_engine(address, pool_size=16, max_overflow=64)
        else:
            address = address.set(drivername="postgresql+psycopg")
            self.engine = create_engine(address, pool_size=16, max_overflow=16, pool_pre_ping=True)
        # SQLite has one writer at a time: waiting here is fair and costs nothing, waiting in SQLite polls.
        self._turn = threading.Lock() if self._sqlite else contextlib.nullcontext()
        if self._sqlite:
            self._prepare_sqlite(durable)
        with self.write() as connection:
            _metadata.create_all(connection)
            found = connection.scalar(select(meta.c.value).where(meta.c.key == "schema"))
            if found is None:
                connection.execute(insert(meta).values(key="schema", value=SCHEMA))
                connection.execute(insert(meta).values(key="secret", value=secrets.token_hex(32)))
            elif found in {"1", "2"}:
                if found == "1":
                    connection.execute(text("ALTER TABLE blob ADD COLUMN data BLOB"))
                connection.execute(update(meta).where(meta.c.key == "schema").values(value=SCHEMA))
            elif found != SCHEMA:
                raise EnfoldError(f"the Hub's data has schema {found}; this version reads schema {SCHEMA} and older")

    def _prepare_sqlite(self, durable: bool) -> None:
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
            if not self._sqlite:
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
            if not self._sqlite:
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
