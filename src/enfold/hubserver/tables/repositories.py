"""Repositories: their references, history, and what people say and do about them."""

from __future__ import annotations

import time

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from enfold.hubserver.tables.base import metadata

__all__ = [
    "access_request",
    "alias",
    "collection",
    "collection_item",
    "commit",
    "discussion",
    "discussion_event",
    "liked",
    "mirror",
    "mirror_file",
    "ref",
    "repo",
    "repo_tag",
    "space_value",
]

repo = Table(
    "repo",
    metadata,
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
    Column("small", BigInteger, nullable=False, default=0, server_default="0"),  # bytes of small files first seen here
    Column("trend", Float, nullable=False, default=0.0, server_default="0"),  # as in trending.py
    Column("parameters", BigInteger),  # of a model, as the headers of its weights say
    UniqueConstraint("kind", "key"),
    Index("repo_by_namespace", "kind", "namespace"),
    # A list in any of these orders is read off its index, what it leaves out included.
    *(
        Index(f"repo_in_order_{column}", "kind", column, "id", "private", "namespace", "key")
        for column in ("modified", "created", "downloads", "likes", "trend")
    ),
)

repo_tag = Table(
    "repo_tag",
    metadata,
    Column("repo_id", ForeignKey("repo.id", ondelete="CASCADE"), primary_key=True),
    Column("tag", String, primary_key=True),
    Column("position", Integer, nullable=False),
    Index("repo_tag_by_tag", "tag", "repo_id"),
)

#: other ids of a repository: old names after a move, and legacy ids of one segment
alias = Table(
    "alias",
    metadata,
    Column("kind", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("target", String, nullable=False),
    Column("target_key", String, nullable=False, index=True),
    Column("name", String, nullable=False),
)

ref = Table(
    "ref",
    metadata,
    Column("repo_id", ForeignKey("repo.id", ondelete="CASCADE"), primary_key=True),
    Column("name", String, primary_key=True),  # "refs/heads/main"
    Column("commit", String, nullable=False),
)

commit = Table(
    "commit",
    metadata,
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

#: Who asked for the files of a gated repository, and what came of it.
access_request = Table(
    "access_request",
    metadata,
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
    metadata,
    Column("repo_id", ForeignKey("repo.id", ondelete="CASCADE"), primary_key=True),
    Column("account_id", ForeignKey("account.id", ondelete="CASCADE"), primary_key=True),
    Column("created", Float, nullable=False, default=time.time),
    Index("liked_by_account", "account_id", "created"),
)

#: Discussions and pull requests of a repository, numbered together.
discussion = Table(
    "discussion",
    metadata,
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
    metadata,
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

#: Repositories that somebody chose.
collection = Table(
    "collection",
    metadata,
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
    metadata,
    Column("id", String, primary_key=True),
    Column("collection_id", ForeignKey("collection.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("kind", String, nullable=False),
    Column("name", String, nullable=False),
    Column("note", Text, nullable=False, default=""),
    Column("position", Integer, nullable=False),
)

#: Repositories that are copies of an upstream Hub's.
mirror = Table(
    "mirror",
    metadata,
    Column("repo_id", ForeignKey("repo.id", ondelete="CASCADE"), primary_key=True),
    Column("checked", Float, nullable=False),  # when the upstream was last asked
)

#: Files of such copies whose contents are still at the upstream.
mirror_file = Table(
    "mirror_file",
    metadata,
    Column("oid", ForeignKey("blob.oid", ondelete="CASCADE"), primary_key=True),
    Column("repo_id", ForeignKey("repo.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("commit", String, nullable=False),
    Column("path", String, nullable=False),
)

#: What a Space's program finds in its environment.
space_value = Table(
    "space_value",
    metadata,
    Column("repo_id", ForeignKey("repo.id", ondelete="CASCADE"), primary_key=True),
    Column("key", String, primary_key=True),
    Column("secret", Boolean, nullable=False),
    Column("value", Text, nullable=False),  # of a secret: sealed
    Column("description", Text),
    Column("modified", Float, nullable=False, default=time.time),
)
