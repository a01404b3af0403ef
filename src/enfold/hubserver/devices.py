"""Signing in on a machine without a browser: it shows a short code, and somebody who is signed in lets it in.

Source: RFC 8628 (device authorization), RFC 6749 section 6 (refreshing a token).
"""

from __future__ import annotations

import secrets
import time
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from enfold.hubserver import database as db
from enfold.hubserver.audit import Audit
from enfold.hubserver.errors import HubServerError
from enfold.hubserver.tokens import REFRESH, Tokens, digest_of, new_secret
from enfold.hubserver.viewers import Viewer

__all__ = ["Devices", "OAuthError"]

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
LASTING = 900  # seconds for which a code waits for somebody
INTERVAL = 2  # seconds between two questions of a device
_ACCESS, _REFRESH = 8 * 3600.0, 90 * 86_400.0  # seconds for which a device's token lasts, and for which it is renewed
_WAITING = 10_000  # devices that wait at once
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"  # not mistaken for each other, and no words


class OAuthError(HubServerError):
    """An error by the names of RFC 6749: ``error`` is one of its words."""

    def __init__(self, error: str, message: str, status: int = 400) -> None:
        super().__init__(status, message)
        self.error = error


class Devices:
    """Devices that wait to be let in.

    Args:
        database: where they are listed.
        tokens: makes tokens.
        audit: told who lets what in.
    """

    def __init__(self, database: db.Database, tokens: Tokens, audit: Audit) -> None:
        self._database, self._tokens, self._audit = database, tokens, audit

    def begin(self, client: str) -> tuple[str, str]:
        """Return the code that a device keeps, and the short one that it shows."""
        secret, code = new_secret("hd_"), "".join(secrets.choice(_LETTERS) for _ in range(8))
        code = f"{code[:4]}-{code[4:]}"
        table = db.device
        with self._database.write() as connection:
            connection.execute(delete(table).where(table.c.created < time.time() - LASTING))
            if len(connection.scalars(select(table.c.code).limit(_WAITING)).all()) >= _WAITING:
                raise OAuthError("temporarily_unavailable", "too many devices wait to be let in", 503)
            values = {"code": code, "status": "pending", "role": "write", "client": client[:100]}
            connection.execute(insert(table).values(digest=digest_of(secret), **values))
        return secret, code

    def find(self, connection: Connection, code: str) -> Row[Any]:
        """Return the device that shows a code and still waits, or raise a 404."""
        letters = "".join(letter for letter in code.upper() if letter in _LETTERS)
        table = db.device
        row = connection.execute(
            select(table).where(
                table.c.code == f"{letters[:4]}-{letters[4:]}",
                table.c.created > time.time() - LASTING,
                table.c.status == "pending",
            )
        ).one_or_none()
        if row is None:
            raise HubServerError(404, "No device waits with this code: it may have expired. Ask it for a new one.")
        return row

    def settle(self, code: str, viewer: Viewer, *, allow: bool, role: str = "write") -> None:
        """Let the device that shows a code in as the viewer, or refuse it."""
        if role not in {"read", "write"}:
            raise HubServerError(400, f"a device may read or write, not {role!r}")
        table = db.device
        with self._database.write() as connection:
            row = self.find(connection, code)
            values = {"status": "allowed" if allow else "denied", "account_id": viewer.account_id, "role": role}
            connection.execute(update(table).where(table.c.digest == row.digest).values(**values))
            action = "device.allow" if allow else "device.deny"
            self._audit.note(connection, action, viewer.name, client=row.client, role=role)

    def token(self, secret: str) -> dict[str, Any]:
        """Return the answer to a device that asks whether it was let in.

        Raises:
            OAuthError: authorization_pending, slow_down, access_denied, expired_token.
        """
        table, now = db.device, time.time()
        with self._database.write() as connection:
            mine = table.c.digest == digest_of(secret)
            row = connection.execute(select(table).where(mine)).one_or_none()
            if row is not None and row.status == "pending":
                connection.execute(update(table).where(mine).values(asked=now))
            elif row is not None:
                connection.execute(delete(table).where(mine))
            name = None
            if row is not None and row.account_id is not None:
                name = connection.scalar(select(db.account.c.name).where(db.account.c.id == row.account_id))
        if row is None or row.created < now - LASTING:
            raise OAuthError("expired_token", "this code is not known, or has expired")
        if row.status == "denied":
            raise OAuthError("access_denied", "somebody who is signed in refused this device")
        if row.status == "pending" or name is None:
            if now - row.asked < INTERVAL / 2:
                raise OAuthError("slow_down", "ask less often")
            raise OAuthError("authorization_pending", "nobody has let this device in yet")
        return self._grant(str(name), f"device {row.code}", row.role, secrets.token_hex(16))

    def renew(self, refresh: str) -> dict[str, Any]:
        """Return a new token, and a new secret to renew it, for one that was given before: which is used up by this.

        Raises:
            OAuthError: invalid_grant, it is not known, was used, or has expired.
        """
        with self._database.write() as connection:
            row = self._tokens.find(connection, refresh)
            known = row is not None and row.role == REFRESH and not row.locked
            if row is not None and known:
                connection.execute(delete(db.token).where(db.token.c.family == row.family))
        if row is None or not known or row.expires < time.time():
            raise OAuthError("invalid_grant", "this is no refresh token, or was used, or has expired: sign in again")
        return self._grant(row.name, row.token_name, row.scopes or "write", str(row.family))

    def _grant(self, user: str, name: str, role: str, family: str) -> dict[str, Any]:
        now = time.time()
        access = self._tokens.create(user, name=name, role=role, expires=now + _ACCESS, family=family)
        refresh = self._tokens.create(user, name=name, role=REFRESH, expires=now + _REFRESH, family=family, renews=role)
        answer = {"access_token": access, "refresh_token": refresh, "token_type": "bearer", "scope": role}
        return {**answer, "expires_in": int(_ACCESS)}
