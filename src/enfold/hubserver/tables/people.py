"""People, organisations and what they may do."""

from __future__ import annotations

import time

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    event,
    false,
)

from enfold.hubserver.tables.base import metadata

__all__ = ["account", "audit", "device", "failure", "membership", "publisher", "session", "token"]

#: people and organisations: one namespace
account = Table(
    "account",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False),
    Column("key", String, nullable=False, unique=True),  # the name in lower case
    Column("organisation", Boolean, nullable=False, default=False),
    Column("admin", Boolean, nullable=False, default=False),
    Column("fullname", String, nullable=False, default=""),
    Column("email", String, nullable=False, default=""),
    Column("created", Float, nullable=False, default=time.time),
    Column("password", String),  # of a user who signs in on pages: an argon2id hash
    Column("locked", Boolean, nullable=False, default=False, server_default=false()),  # nothing is done for it
    Column("quota", BigInteger),  # bytes that its repositories may hold; the server's default without it
)

membership = Table(
    "membership",
    metadata,
    Column("organisation_id", ForeignKey("account.id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", ForeignKey("account.id", ondelete="CASCADE"), primary_key=True),
    Column("role", String, nullable=False, default="write"),
)

#: A token is 256 random bits, so its plain SHA-256 cannot be guessed; the token itself is never stored.
token = Table(
    "token",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("account_id", ForeignKey("account.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("digest", String, nullable=False, unique=True),
    Column("name", String, nullable=False),
    Column("role", String, nullable=False),
    Column("created", Float, nullable=False, default=time.time),
    Column("scopes", Text),  # of a fine-grained one: {"global": [right, …], "scoped": [{type, name, rights}, …]}, JSON
    Column("expires", Float),  # seconds since 1970
    Column("used", Float),  # about when it was last used
    Column("family", String, index=True),  # tokens that were made from each other and go together
)

#: Who is signed in on pages; the cookie itself is never stored.
session = Table(
    "session",
    metadata,
    Column("digest", String, primary_key=True),
    Column("account_id", ForeignKey("account.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("created", Float, nullable=False, default=time.time),
    Column("expires", Float, nullable=False),
    Column("address", String, nullable=False, default=""),
    Column("agent", String, nullable=False, default=""),
)

#: What was tried and failed lately: by name and by address.
failure = Table(
    "failure",
    metadata,
    Column("key", String, primary_key=True),
    Column("count", Integer, nullable=False),
    Column("until", Float, nullable=False),  # when it is forgotten
)

#: Devices that wait for somebody to let them in: RFC 8628.
device = Table(
    "device",
    metadata,
    Column("digest", String, primary_key=True),  # of the code that the device holds
    Column("code", String, nullable=False, unique=True),  # the short one that a person types
    Column("account_id", ForeignKey("account.id", ondelete="CASCADE")),  # who let it in
    Column("status", String, nullable=False),  # "pending", "allowed", "denied"
    Column("role", String, nullable=False),
    Column("client", String, nullable=False),
    Column("created", Float, nullable=False, default=time.time),
    Column("asked", Float, nullable=False, default=0.0),  # when it last asked
)

#: Whose identity tokens are exchanged for tokens of a repository, or of an account where there is none.
publisher = Table(
    "publisher",
    metadata,
    Column("id", String, primary_key=True),
    Column("account_id", ForeignKey("account.id", ondelete="CASCADE"), nullable=False, index=True),  # who named it
    Column("repo_id", ForeignKey("repo.id", ondelete="CASCADE"), index=True),
    Column("issuer", String, nullable=False),
    Column("claims", Text, nullable=False),  # {name: value}, JSON
    Column("read_only", Boolean, nullable=False),
    Column("created", Float, nullable=False, default=time.time),
    Column("used", Float),  # when a token was last given for it
)

#: Who did what, when, from where: only ever added to. Each row's hash covers the row before it.
audit = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("moment", Float, nullable=False),
    Column("account", String, nullable=False),
    Column("token", String, nullable=False),
    Column("address", String, nullable=False),
    Column("action", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("details", Text, nullable=False),  # JSON
    Column("hash", String, nullable=False),
    Index("audit_by_account", "account", "id"),
    Index("audit_by_subject", "subject", "id"),
)

for _statement in ("UPDATE", "DELETE"):
    _said = "the audit log is only added to"
    event.listen(
        audit,
        "after_create",
        DDL(
            f"CREATE TRIGGER audit_no_{_statement.lower()} BEFORE {_statement} ON audit "
            f"BEGIN SELECT RAISE(ABORT, '{_said}'); END"
        ).execute_if(dialect="sqlite"),
    )
    event.listen(
        audit,
        "after_create",
        DDL(
            f"CREATE FUNCTION audit_no_{_statement.lower()}() RETURNS trigger LANGUAGE plpgsql "
            f"AS $$ BEGIN RAISE EXCEPTION '{_said}'; END $$; "
            f"CREATE TRIGGER audit_no_{_statement.lower()} BEFORE {_statement} ON audit "
            f"FOR EACH STATEMENT EXECUTE FUNCTION audit_no_{_statement.lower()}()"
        ).execute_if(dialect="postgresql"),
    )
