"""The audit log: who did what, when and from where. Rows come in the transaction of what they tell, and stay.

Each row's hash covers the row before it, so that a row taken out or rewritten behind the server's back shows.
"""

from __future__ import annotations

import contextlib
import contextvars
import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, insert, select

from enfold.hubserver import database as db

__all__ = ["Actor", "Audit", "acting"]


class Actor(NamedTuple):
    """Who acts: an account, the name of its token (or "session"), and the address that the request came from."""

    account: str = ""
    token: str = ""
    address: str = ""


_THIS_MACHINE = Actor(token="this machine")  # of the commands, which need no token
_actor: contextvars.ContextVar[Actor] = contextvars.ContextVar("enfold_hub_actor")
_FIELDS = ("moment", "account", "token", "address", "action", "subject", "details")


@contextlib.contextmanager
def acting(actor: Actor) -> Iterator[None]:
    """Name who is behind whatever happens in the block."""
    token = _actor.set(actor)
    try:
        yield
    finally:
        _actor.reset(token)


class Audit:
    """The audit log of a server.

    Args:
        database: where it is kept.
    """

    def __init__(self, database: db.Database) -> None:
        self._database = database

    def note(self, connection: Connection, action: str, subject: str, **details: Any) -> None:
        """Add what happens, in the transaction in which it happens.

        Args:
            connection: a write transaction.
            action: what is done, such as "token.create".
            subject: to what: an account, or "models/namespace/name".
            details: whatever else belongs to it; no secrets.
        """
        who = _actor.get(_THIS_MACHINE)
        table = db.audit
        before = connection.scalar(select(table.c.hash).order_by(table.c.id.desc()).limit(1)) or ""
        said = (time.time(), *who, action, subject, json.dumps(details, sort_keys=True))
        values = dict(zip(_FIELDS, said, strict=True))
        connection.execute(insert(table).values(**values, hash=_hash(before, values)))

    def page(
        self,
        connection: Connection,
        *,
        account: str | None = None,
        subject: str | None = None,
        action: str | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> Sequence[Row[Any]]:
        """Return rows, newest first.

        Args:
            connection: a transaction.
            account: only what this account did.
            subject: only what was done to this.
            action: only actions that begin so, such as "token.".
            before: only rows older than the one with this number.
            limit: how many at most.
        """
        table = db.audit
        query = select(table)
        if account is not None:
            query = query.where(table.c.account == account)
        if subject is not None:
            query = query.where(table.c.subject == subject)
        if action is not None:
            query = query.where(table.c.action.startswith(action, autoescape=True))
        if before is not None:
            query = query.where(table.c.id < before)
        return connection.execute(query.order_by(table.c.id.desc()).limit(limit)).all()

    def verify(self) -> str | None:
        """Return what is wrong with the log, or None: every row follows from the one before it."""
        before = ""
        with self._database.read() as connection:
            for row in connection.execute(select(db.audit).order_by(db.audit.c.id)):
                if row.hash != _hash(before, {name: getattr(row, name) for name in _FIELDS}):
                    return f"the row {row.id} does not follow from the one before it: a row was changed or taken out"
                before = row.hash
        return None


def _hash(before: str, values: dict[str, Any]) -> str:
    said = json.dumps([before, *(values[name] for name in _FIELDS)])
    return hashlib.sha256(said.encode()).hexdigest()
