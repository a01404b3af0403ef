"""Contents: folders, files, large objects, and packs of chunks."""

from __future__ import annotations

import time

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
)

from enfold.hubserver.tables.base import metadata

__all__ = [
    "blob",
    "chunk",
    "repo_lfs",
    "tree",
    "xet_file",
    "xet_use",
    "xorb",
]

tree = Table("tree", metadata, Column("oid", String, primary_key=True), Column("data", LargeBinary, nullable=False))

#: A file's content by its id in trees: the git id of the content, or of the pointer for an LFS file.
blob = Table(
    "blob",
    metadata,
    Column("oid", String, primary_key=True),
    Column("sha256", String, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("lfs", Boolean, nullable=False),
    Column("data", LargeBinary),  # small contents are here instead of in the store: no file, no flush of their own
)

#: Which LFS objects a repository was given: knowing a hash is not a right to read the object.
repo_lfs = Table(
    "repo_lfs",
    metadata,
    Column("repo_id", ForeignKey("repo.id", ondelete="CASCADE"), primary_key=True),
    Column("sha256", String, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("created", Float, nullable=False, default=time.time),
)

#: Packs of chunks in the Xet store.
xorb = Table(
    "xorb",
    metadata,
    Column("hash", String, primary_key=True),
    Column("size", BigInteger, nullable=False),  # bytes in the store
    Column("content", BigInteger, nullable=False),  # bytes that its chunks unpack to
    Column("chunks", LargeBinary, nullable=False),  # hash, end of the record and size of each
    Column("created", Float, nullable=False, default=time.time),
    Column("namespace", String, index=True),  # for whose repository it was brought
)

#: Contents that are ranges of xorbs' chunks.
xet_file = Table(
    "xet_file",
    metadata,
    Column("hash", String, primary_key=True),
    Column("sha256", String, nullable=False, index=True),
    Column("size", BigInteger, nullable=False),
    Column("terms", LargeBinary, nullable=False),  # hash of the xorb, first chunk, one behind the last, bytes
    Column("created", Float, nullable=False, default=time.time),
)

#: Which xorbs a file of chunks is made of.
xet_use = Table(
    "xet_use",
    metadata,
    Column("xorb", String, primary_key=True),
    Column("file", ForeignKey("xet_file.hash", ondelete="CASCADE"), primary_key=True),
    Index("xet_use_by_file", "file"),
)

#: Where chunks are that other files are likely to begin with or to hold: one in a thousand, and every file's first.
chunk = Table(
    "chunk",
    metadata,
    Column("hash", String, primary_key=True),
    Column("xorb", ForeignKey("xorb.hash", ondelete="CASCADE"), primary_key=True),
    Column("place", Integer, nullable=False),
    Index("chunk_by_xorb", "xorb"),
)
