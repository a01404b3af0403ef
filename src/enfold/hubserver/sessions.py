"""People who are signed in on pages: a cookie, proof that a form is theirs, and patience with wrong passwords."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from enfold.hubserver import database as db
from enfold.hubserver.accounts import Accounts
from enfold.hubserver.audit import Audit
from enfold.hubserver.errors import HubServerError
from enfold.hubserver.tokens import digest_of, new_secret
from enfold.hubserver.viewers import Viewer

__all__ = ["LASTING", "Sessions"]

LASTING = 30 * 86_400  # seconds for which a session lasts
_FORGET = 900.0  # seconds after which failures are forgotten
#: failures after which one has to wait: of a name from one address, from one address, of a name from anywhere
_PATIENCE = {"both": 5, "address": 20, "name": 50}


class Sessions:
    """Who is signed in.

    Args:
        database: where hashes of cookies are kept.
        accounts: checks passwords.
        audit: told of who signs in, and of who fails to.
        secret: the server's key.
    """

    def __init__(self, database: db.Database, accounts: Accounts, audit: Audit, secret: bytes) -> None:
        self._database, self._accounts, self._audit, self._secret = database, accounts, audit, secret

    def sign_in(self, name: str, password: str, *, address: str = "", agent: str = "") -> str:
        """Return the cookie of a new session.

        Raises:
            HubServerError: 401, the name or the password is wrong (which one is not said); 429, too many were wrong.
        """
        self.patience(name, address)
        row = self._accounts.check_password(name, password)
        if row is None:
            self.failed(name, address)
            raise HubServerError(401, "The name or the password is wrong.")
        with self._database.write() as connection:
            keys = _keys(name, address)
            connection.execute(delete(db.failure).where(db.failure.c.key.in_([keys["both"], keys["name"]])))
            self._audit.note(connection, "session.create", row.name)
            connection.execute(delete(db.session).where(db.session.c.expires < time.time()))
            return self._begin(connection, row.id, address, agent)

    def _begin(self, connection: Connection, account_id: int, address: str, agent: str) -> str:
        cookie = new_secret("hs_")
        values = {"expires": time.time() + LASTING, "address": address, "agent": agent[:200]}
        connection.execute(insert(db.session).values(digest=digest_of(cookie), account_id=account_id, **values))
        return cookie

    def sign_out(self, digest: str) -> None:
        """End a session."""
        with self._database.write() as connection:
            connection.execute(delete(db.session).where(db.session.c.digest == digest))

    def of(self, connection: Connection, account_id: int) -> Sequence[Row[Any]]:
        """Return an account's sessions, newest first."""
        table = db.session
        mine = (table.c.account_id == account_id) & (table.c.expires > time.time())
        return connection.execute(select(table).where(mine).order_by(table.c.created.desc())).all()

    def viewer(self, cookie: str | None) -> Viewer | None:
        """Return who has a cookie; None without one, or when it has expired."""
        if not cookie:
            return None
        account, table = db.account, db.session
        with self._database.read() as connection:
            row = connection.execute(
                select(account, table.c.digest, table.c.created.label("began"))
                .join(table, table.c.account_id == account.c.id)
                .where(table.c.digest == digest_of(cookie), table.c.expires > time.time())
            ).one_or_none()
            if row is None or row.locked:
                return None
            organisations = self._accounts.organisations(connection, row.id)
        return Viewer(
            account_id=row.id,
            name=row.name,
            fullname=row.fullname,
            email=row.email,
            admin=row.admin,
            role="write",
            token_name="session",
            organisations=organisations,
            created=row.began,
            session=row.digest,
        )

    # ------------------------------------------------------------------ forms

    def proof(self, session: str) -> str:
        """Return what the forms of a session carry: another site cannot know it."""
        return hmac.new(self._secret, f"form {session}".encode(), hashlib.sha256).hexdigest()

    def check_proof(self, session: str, proof: str) -> None:
        """Raise a 403 unless a form is the session's own."""
        if not hmac.compare_digest(self.proof(session).encode(), proof.encode()):
            raise HubServerError(403, "this form is not of your session, or is old: load the page again")

    # ------------------------------------------------------------------ patience

    def patience(self, name: str, address: str) -> None:
        """Raise a 429 while too much went wrong for a name or from an address lately."""
        table, now = db.failure, time.time()
        keys = _keys(name, address)
        with self._database.read() as connection:
            columns = (table.c.key, table.c["count"], table.c.until)
            found = connection.execute(select(*columns).where(table.c.key.in_(keys.values())))
            rows = {str(key): (int(count), float(until)) for key, count, until in found}
        waits = []
        for what, key in keys.items():
            count, until = rows.get(key, (0, 0.0))
            if until > now and count >= _PATIENCE[what]:
                # Each failure beyond the limit doubles the wait, from one second to the time until all is forgotten.
                since = now - (until - _FORGET)
                waits.append(min(2.0 ** min(count - _PATIENCE[what], 20), _FORGET) - since)
        wait = max(waits, default=0.0)
        if wait > 0:
            seconds = str(int(wait) + 1)
            message = f"Too many wrong passwords. Try again in {seconds} seconds."
            raise HubServerError(429, message, headers={"Retry-After": seconds})

    def failed(self, name: str, address: str) -> None:
        """Note that something secret was guessed wrong."""
        table, now = db.failure, time.time()
        with self._database.write() as connection:
            connection.execute(delete(table).where(table.c.until < now))
            for key in _keys(name, address).values():
                done = connection.execute(
                    update(table).where(table.c.key == key).values(count=table.c["count"] + 1, until=now + _FORGET)
                )
                if done.rowcount == 0:
                    connection.execute(insert(table).values(key=key, count=1, until=now + _FORGET))
            self._audit.note(connection, "session.refuse", name[:96])


def _keys(name: str, address: str) -> dict[str, str]:
    name = name.lower()[:96]
    return {"both": f"{name} at {address}", "address": f"anybody at {address}", "name": f"{name} anywhere"}
