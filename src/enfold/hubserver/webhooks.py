"""Webhooks: what happens in repositories is told to the addresses that somebody named, until they have heard it."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection, Row, delete, func, insert, select, tuple_, update

from enfold.hubserver import database as db
from enfold.hubserver import outside
from enfold.hubserver.accounts import Viewer
from enfold.hubserver.audit import Audit
from enfold.hubserver.errors import HubServerError
from enfold.hubserver.names import KINDS
from enfold.log import get_logger

__all__ = ["DOMAINS", "WATCHED", "Delivery", "Webhooks"]

DOMAINS = ("repo", "discussion")
WATCHED = ("user", "org", "model", "dataset", "space")
_VERSION = 3
_WAITS = (1.0, 10.0, 60.0, 600.0, 3600.0)  # seconds between attempts; after the last one a message is dropped
_PATIENCE = 11.0  # seconds in which a message that is being sent comes to its end
_CLAIM = 60.0  # seconds for which a server that took a message keeps others from sending it
_MINE = 50  # webhooks of an account
_AUDITED = {"updatedRefs", "updatedConfig", "movedTo"}  # what the audit log keeps of a message

_log = get_logger(__name__)


class Webhooks:
    """The webhooks of all accounts, and the messages that wait to be sent.

    A message is written in the transaction of what it tells: neither is there without the other.

    Args:
        database: where they are kept.
        audit: told the same.
    """

    def __init__(self, database: db.Database, audit: Audit) -> None:
        self._database, self._audit = database, audit
        self.base = ""  #: the address of this Hub, for links in messages
        self.waiting = threading.Event()  #: set when there may be something to send

    # ------------------------------------------------------------------ the account's own

    def of(self, connection: Connection, viewer: Viewer) -> Sequence[Row[Any]]:
        """Return an account's webhooks."""
        table = db.webhook
        return connection.execute(
            select(table).where(table.c.account_id == viewer.account_id).order_by(table.c.created, table.c.id)
        ).all()

    def find(self, connection: Connection, viewer: Viewer, webhook_id: str) -> Row[Any]:
        """Return one of an account's webhooks, or raise a 404."""
        table = db.webhook
        mine = (table.c.id == webhook_id) & (table.c.account_id == viewer.account_id)
        row = connection.execute(select(table).where(mine)).one_or_none()
        if row is None:
            raise HubServerError(404, f"you have no webhook {webhook_id!r}")
        return row

    def create(
        self,
        viewer: Viewer,
        *,
        url: str,
        watched: Sequence[tuple[str, str]],
        domains: Collection[str],
        secret: str | None,
    ) -> str:
        """Make a webhook and return its id."""
        number = secrets.token_hex(12)
        with self._database.write() as connection:
            if len(self.of(connection, viewer)) >= _MINE:
                raise HubServerError(400, f"an account has at most {_MINE} webhooks")
            values = {"url": url, "domains": json.dumps(sorted(domains)), "secret": secret, "disabled": False}
            connection.execute(
                insert(db.webhook).values(
                    id=number, account_id=viewer.account_id, watched=json.dumps(watched), **values
                )
            )
            self._watch(connection, number, watched)
            self._audit.note(connection, "webhook.create", viewer.name, host=urlsplit(url).hostname)
        return number

    def change(self, viewer: Viewer, webhook_id: str, values: Mapping[str, Any]) -> None:
        """Set ``url``, ``watched``, ``domains``, ``secret`` or ``disabled``."""
        with self._database.write() as connection:
            row = self.find(connection, viewer, webhook_id)
            if values:
                connection.execute(update(db.webhook).where(db.webhook.c.id == row.id).values(**values))
                self._audit.note(connection, "webhook.change", viewer.name, changed=sorted(values))
            if "watched" in values:
                self._watch(connection, row.id, json.loads(values["watched"]))

    def _watch(self, connection: Connection, webhook_id: str, watched: Sequence[tuple[str, str]]) -> None:
        table = db.webhook_watch
        connection.execute(delete(table).where(table.c.webhook_id == webhook_id))
        rows = [{"kind": kind, "name": name, "webhook_id": webhook_id} for kind, name in _named(watched)]
        if rows:
            connection.execute(insert(table), rows)

    def remove(self, viewer: Viewer, webhook_id: str) -> None:
        """Delete a webhook, and what waits to be sent to it."""
        with self._database.write() as connection:
            row = self.find(connection, viewer, webhook_id)
            connection.execute(delete(db.webhook).where(db.webhook.c.id == row.id))
            self._audit.note(connection, "webhook.delete", viewer.name)

    # ------------------------------------------------------------------ what happens

    def note(self, connection: Connection, repo: Row[Any], scope: str, action: str, **more: Any) -> None:
        """Write a message for every webhook that watches a repository, and a row of the audit log, in the transaction
        of what they tell.

        Args:
            connection: a write transaction.
            repo: the repository's row.
            scope: "repo", "repo.content", "repo.config", "discussion" or "discussion.comment".
            action: "create", "update", "delete" or "move".
            more: further members of the message: ``updatedRefs``, ``discussion``, ``comment``, ``movedTo``.
        """
        told = {key: more[key] for key in _AUDITED & more.keys()}
        self._audit.note(connection, f"{scope}.{action}", f"{repo.kind}/{repo.name}", **told)
        domain = scope.partition(".")[0]
        hooks = [row for row in self._watching(connection, repo) if domain in json.loads(row.domains)]
        if not hooks:
            return
        kind = KINDS[repo.kind]
        prefix = "" if repo.kind == "models" else f"{repo.kind}/"
        event = {
            "event": {"action": action, "scope": scope},
            "repo": {
                "type": kind,
                "name": repo.name,
                "id": f"{repo.id:024x}",
                "private": bool(repo.private),
                "url": {"web": f"{self.base}/{prefix}{repo.name}", "api": f"{self.base}/api/{repo.kind}/{repo.name}"},
                "owner": {"id": repo.namespace},
            },
            **more,
        }
        for hook in hooks:
            body = json.dumps({**event, "webhook": {"id": hook.id, "version": _VERSION}})
            connection.execute(insert(db.webhook_message).values(webhook_id=hook.id, body=body, due=time.time()))
        self.waiting.set()

    def _watching(self, connection: Connection, repo: Row[Any]) -> list[Row[Any]]:
        """Return the webhooks that watch a repository and whose accounts may see it."""
        wanted = [(KINDS[repo.kind], repo.name.lower()), ("user", repo.namespace), ("org", repo.namespace)]
        table, watch, account, member = db.webhook, db.webhook_watch, db.account, db.membership
        named = select(watch.c.webhook_id).where(tuple_(watch.c.kind, watch.c.name).in_(wanted))
        found = []
        for row in connection.execute(
            select(table, account.c.key, account.c.admin)
            .join(account, account.c.id == table.c.account_id)
            .where(table.c.id.in_(named), table.c.disabled.is_(False), account.c.locked.is_(False))
        ):
            if repo.private and not row.admin and row.key != repo.namespace:
                inside = (
                    select(member.c.user_id)
                    .join(account, account.c.id == member.c.organisation_id)
                    .where(member.c.user_id == row.account_id, account.c.key == repo.namespace)
                )
                if connection.scalar(inside) is None:
                    continue
            found.append(row)
        return found

    # ------------------------------------------------------------------ what waits

    def take(self) -> Row[Any] | None:
        """Return a message that is due, which no other server sends meanwhile, with its webhook's url and secret."""
        table, hook, now = db.webhook_message, db.webhook, time.time()
        with self._database.write() as connection:
            row = connection.execute(
                select(table, hook.c.url, hook.c.secret)
                .join(hook, hook.c.id == table.c.webhook_id)
                .where(table.c.due <= now)
                .order_by(table.c.due, table.c.id)
                .limit(1)
            ).one_or_none()
            if row is not None:
                connection.execute(update(table).where(table.c.id == row.id).values(due=now + _CLAIM))
            return row

    def settle(self, message: Row[Any], heard: bool) -> None:
        """Forget a message that was heard or tried often enough; else let it be tried again later."""
        table = db.webhook_message
        mine = table.c.id == message.id
        with self._database.write() as connection:
            if heard or message.attempts >= len(_WAITS):
                if not heard:
                    _log.warning("gave up telling %s what happened", urlsplit(message.url).hostname)
                connection.execute(delete(table).where(mine))
            else:
                due = time.time() + _WAITS[message.attempts]
                connection.execute(update(table).where(mine).values(attempts=message.attempts + 1, due=due))

    def next_due(self) -> float | None:
        """Return when the next message is due, in seconds since 1970."""
        with self._database.read() as connection:
            return connection.scalar(select(func.min(db.webhook_message.c.due)))


def _named(watched: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    return sorted({(kind, name.lower()) for kind, name in watched})


class Delivery:
    """Sends what waits, from a thread of its own.

    Args:
        webhooks: the messages.
        trusted: hosts inside the Hub's network that may be told.
    """

    def __init__(self, webhooks: Webhooks, trusted: Collection[str] = ()) -> None:
        self._webhooks, self._trusted = webhooks, trusted
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="enfold-webhooks", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ended:
            self._webhooks.waiting.clear()
            try:
                while not self._ended and (message := self._webhooks.take()) is not None:
                    self._webhooks.settle(message, self._send(message))
                due = self._webhooks.next_due()
            except Exception as error:  # the database is gone for a while
                if self._ended:
                    return
                _log.warning("webhooks wait: %s", error)
                due = time.time() + 5
            self._webhooks.waiting.wait(30.0 if due is None else max(0.05, min(due - time.time(), 30.0)))

    def _send(self, message: Row[Any]) -> bool:
        import httpx

        content = message.body.encode()
        headers = {"Content-Type": "application/json", "User-Agent": "enfold-hub-webhook"}
        if message.secret:
            digest = hmac.new(message.secret.encode(), content, hashlib.sha256).hexdigest()
            headers |= {"X-Webhook-Secret": message.secret, "X-Webhook-Signature": f"sha256={digest}"}
        try:
            status, _ = outside.ask("POST", message.url, trusted=self._trusted, content=content, headers=headers)
        except (httpx.HTTPError, HubServerError, OSError) as error:
            _log.info("a webhook was not heard: %s", type(error).__name__)
            return False
        return 200 <= status < 300

    def stop(self) -> None:
        """Send nothing more; what waits is sent after the next start."""
        self._ended = True
        self._webhooks.waiting.set()
        self._thread.join(timeout=_PATIENCE)
