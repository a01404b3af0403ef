"""Who is told what happens."""

from __future__ import annotations

import time

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Integer,
    String,
    Table,
    Text,
)

from enfold.hubserver.tables.base import metadata

__all__ = [
    "webhook",
    "webhook_message",
    "webhook_watch",
]

#: Addresses that are told what happens in repositories.
webhook = Table(
    "webhook",
    metadata,
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
    metadata,
    Column("id", Integer, primary_key=True),
    Column("webhook_id", ForeignKey("webhook.id", ondelete="CASCADE"), nullable=False),
    Column("body", Text, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("due", Float, nullable=False, index=True),
)

#: The same as ``webhook.watched``, to be found by what happens.
webhook_watch = Table(
    "webhook_watch",
    metadata,
    Column("kind", String, primary_key=True),
    Column("name", String, primary_key=True),  # lower case
    Column("webhook_id", ForeignKey("webhook.id", ondelete="CASCADE"), primary_key=True, index=True),
)
