"""Tokens: 256 random bits that programs show instead of a password. Only their hash is kept."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from enfold.hubserver import database as db
from enfold.hubserver.accounts import Accounts
from enfold.hubserver.audit import Audit
from enfold.hubserver.database import account, token
from enfold.hubserver.errors import HubServerError
from enfold.hubserver.viewers import ROLES, Scopes, Viewer

__all__ = ["REFRESH", "Tokens", "digest_of", "new_secret"]

REFRESH = "refresh"  # the role of what only gets a new token
_USED = 600.0  # seconds between two notes that a token is in use
_FLUSH = 60.0  # seconds for which such notes wait to be written together
_KEPT = 30 * 86_400.0  # seconds for which lists show a token that has expired
_HOLDER = (
    select(
        account,
        *(token.c[name].label(f"token_{name}") for name in ("id", "name", "created")),
        *(token.c[name] for name in ("role", "scopes", "expires", "used", "family")),
    )
    .join(token, token.c.account_id == account.c.id)
    .where(token.c.digest == bindparam("digest"))
)
_INVALID = "Invalid credentials in Authorization header"  # the words by which clients know this error


def new_secret(prefix: str = "hf_") -> str:
    """Return a new token."""
    return prefix + secrets.token_urlsafe(32).replace("-", "x").replace("_", "y")


def digest_of(secret: str) -> str:
    """Return what is kept of a token."""
    return hashlib.sha256(secret.encode()).hexdigest()


class Tokens:
    """The tokens of all accounts.

    Args:
        database: where their hashes are kept.
        accounts: whose they are.
        audit: told of new and of revoked ones.
    """

    def __init__(self, database: db.Database, accounts: Accounts, audit: Audit) -> None:
        self._database, self._accounts, self._audit = database, accounts, audit
        self._seen: dict[int, float] = {}  # tokens in use, not yet noted
        self._lock = threading.Lock()
        self._flushed = time.monotonic()

    def create(
        self,
        user: str,
        *,
        name: str = "token",
        role: str = "write",
        scopes: Scopes | None = None,
        expires: float | None = None,
        family: str | None = None,
        renews: str | None = None,
    ) -> str:
        """Make a token for a user and return it: the only time that it can be read.

        Args:
            user: the account's name.
            name: what it is called in lists.
            role: "read", "write" or "fineGrained".
            scopes: what a fine-grained one allows.
            expires: seconds since 1970 after which it is refused; never by default.
            family: tokens of a family are revoked together.
            renews: of a token that only gets new ones: their role.

        Raises:
            HubServerError: 400, another role, or scopes that do not fit it; 404, there is no such user.
        """
        if role not in (*ROLES, REFRESH):
            raise HubServerError(400, f"a token's role is one of {', '.join(ROLES)}, not {role!r}")
        if (role == "fineGrained") != (scopes is not None):
            raise HubServerError(400, "scopes belong to a token with the role 'fineGrained', which needs them")
        if expires is not None and expires <= time.time():
            raise HubServerError(400, "the token would have expired already")
        if not 0 < len(name) <= 100:
            raise HubServerError(400, "a token's name has 1 to 100 characters")
        secret = new_secret()
        with self._database.write() as connection:
            user_id = self._user(connection, user)
            connection.execute(
                delete(token).where(token.c.account_id == user_id, token.c.expires < time.time() - _KEPT)
            )
            values = {"name": name, "role": role, "expires": expires, "family": family}
            said = renews if scopes is None else scopes.dumps()
            connection.execute(
                insert(token).values(account_id=user_id, digest=digest_of(secret), scopes=said, **values)
            )
            if role != REFRESH:
                self._audit.note(connection, "token.create", user, name=name, role=role)
        return secret

    def _user(self, connection: Connection, user: str) -> int:
        found = connection.scalar(
            select(account.c.id).where(account.c.key == user.lower(), account.c.organisation.is_(False))
        )
        if found is None:
            raise HubServerError(404, f"there is no user {user!r}")
        return int(found)

    def of(self, connection: Connection, user: str) -> Sequence[Row[Any]]:
        """Return a user's tokens, newest first; their secrets are not among what is kept."""
        return self._of(connection, self._user(connection, user))

    def _of(self, connection: Connection, user_id: int) -> Sequence[Row[Any]]:
        self.flush()
        mine = (token.c.account_id == user_id) & (token.c.role != REFRESH)
        return connection.execute(select(token).where(mine).order_by(token.c.created.desc(), token.c.id.desc())).all()

    def revoke(self, user: str, token_id: int) -> str:
        """Forget one of a user's tokens, and those that were made with it; return what it was called."""
        with self._database.write() as connection:
            mine = (token.c.id == token_id) & (token.c.account_id == self._user(connection, user))
            row = connection.execute(select(token).where(mine)).one_or_none()
            if row is None:
                raise HubServerError(404, f"{user} has no token number {token_id}")
            connection.execute(delete(token).where(mine))
            if row.family is not None:
                connection.execute(delete(token).where(token.c.family == row.family))
            self._audit.note(connection, "token.revoke", user, name=row.name)
            return str(row.name)

    def drop(self, secret: str) -> None:
        """Forget a token."""
        with self._database.write() as connection:
            connection.execute(delete(token).where(token.c.digest == digest_of(secret)))

    def drop_old(self, name: str, age: float) -> None:
        """Forget the tokens called ``name`` that are older than ``age`` seconds."""
        with self._database.write() as connection:
            connection.execute(delete(token).where(token.c.name == name, token.c.created < time.time() - age))

    def has(self, user: str, name: str) -> bool:
        """Say whether a user has a token called ``name``."""
        with self._database.read() as connection:
            query = select(token.c.id).join(account).where(account.c.key == user.lower(), token.c.name == name)
            return connection.scalar(query.limit(1)) is not None

    # ------------------------------------------------------------------ tokens in use

    def viewer(self, secret: str | None) -> Viewer | None:
        """Return who holds the token ``secret``; None without one.

        Raises:
            HubServerError: 401, the token is not one of this Hub's, or has expired; 403, the account is locked.
        """
        if not secret:
            return None
        with self._database.read() as connection:
            row = self.find(connection, secret)
            if row is None or row.role == REFRESH:
                raise HubServerError(401, _INVALID)
            if row.expires is not None and row.expires < time.time():
                said = time.strftime("%d %b %Y, %H:%M UTC", time.gmtime(row.expires))
                message = f"{_INVALID}: the token {row.token_name!r} expired on {said}"
                raise HubServerError(401, message, headers={"X-Error-Message": _INVALID})
            organisations = self._accounts.organisations(connection, row.id)
        if row.locked:
            raise HubServerError(403, f"the account {row.name} is locked; ask who runs this Hub")
        self._note(row.token_id, row.used)
        fine = row.role == "fineGrained"
        return Viewer(
            account_id=row.id,
            name=row.name,
            fullname=row.fullname,
            email=row.email,
            admin=row.admin and not fine,
            role=row.role,
            token_name=row.token_name,
            organisations=organisations,
            scopes=Scopes.loads(row.scopes) if fine else Scopes(),
            created=row.token_created,
        )

    def find(self, connection: Connection, secret: str) -> Row[Any] | None:
        """Return the account and, as ``token_id``, ``token_name``, ``role``, …, the token; None without one."""
        return connection.execute(_HOLDER, {"digest": digest_of(secret)}).one_or_none()

    def _note(self, token_id: int, used: float | None) -> None:
        now = time.time()
        if used is not None and used > now - _USED:
            return
        with self._lock:
            self._seen[token_id] = now
            due = time.monotonic() - self._flushed > _FLUSH or used is None
        if due:
            self.flush()

    def flush(self) -> None:
        """Write which tokens were used lately."""
        with self._lock:
            seen, self._seen = self._seen, {}
            self._flushed = time.monotonic()
        if seen:
            with self._database.write() as connection:
                for key, moment in seen.items():
                    connection.execute(update(token).where(token.c.id == key).values(used=moment))
