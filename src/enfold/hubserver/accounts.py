"""People and organisations, and the passwords by which people sign in."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from enfold.hubserver import database as db
from enfold.hubserver.audit import Audit
from enfold.hubserver.database import Database, account, membership
from enfold.hubserver.errors import HubServerError
from enfold.hubserver.names import check_name
from enfold.hubserver.viewers import Viewer

__all__ = ["MEMBER_ROLES", "Accounts", "Viewer"]

MEMBER_ROLES = ("read", "write", "admin")
PASSWORD = (10, 1000)  # characters of a password: at least, at most
_MEMBERSHIPS = (
    select(account.c.name, membership.c.role)
    .join(membership, membership.c.organisation_id == account.c.id)
    .where(membership.c.user_id == bindparam("user"))
)
_AT_ONCE = threading.Semaphore(2)  # each hash takes 32 MiB on purpose; so many at once are enough


@lru_cache(maxsize=1)
def _hasher() -> Any:
    from argon2 import PasswordHasher

    return PasswordHasher(time_cost=3, memory_cost=32 * 1024, parallelism=1)


@lru_cache(maxsize=1)
def _nobody() -> str:
    """Return the hash that names without a password are compared with, so that they take as long."""
    return str(_hasher().hash("nobody has this password"))


class Accounts:
    """The accounts of a server.

    Args:
        database: where they are kept.
        audit: told what becomes of them.
    """

    def __init__(self, database: Database, audit: Audit) -> None:
        self._database, self._audit = database, audit

    # ------------------------------------------------------------------ people

    def create_user(
        self,
        name: str,
        *,
        fullname: str = "",
        email: str = "",
        admin: bool = False,
        password: str | None = None,
        exist_ok: bool = True,
    ) -> None:
        """Make a user, unless there is one of that name.

        Raises:
            HubServerError: 400, the name or the password is not allowed; 409, an organisation has the name, or a user
                and ``exist_ok`` is false.
        """
        check_name(name, "user")
        secret = None if password is None else self._hash(password)
        with self._database.write() as connection:
            found = connection.execute(select(account).where(account.c.key == name.lower())).one_or_none()
            if found is None:
                values = {"fullname": fullname or name, "email": email, "admin": admin, "password": secret}
                connection.execute(insert(account).values(name=name, key=name.lower(), **values))
                self._audit.note(connection, "account.create", name, admin=admin)
            elif found.organisation or not exist_ok:
                what = "an organisation" if found.organisation else "a user"
                raise HubServerError(409, f"{name!r} is {what} of this Hub")
            elif admin and not found.admin:
                connection.execute(update(account).where(account.c.id == found.id).values(admin=True))
                self._audit.note(connection, "account.change", found.name, admin=True)

    def change_user(self, name: str, values: Mapping[str, Any]) -> None:
        """Set ``fullname``, ``email``, ``admin``, ``locked`` or ``quota`` (also of an organisation)."""
        with self._database.write() as connection:
            done = connection.execute(update(account).where(account.c.key == name.lower()).values(**values))
            if done.rowcount == 0:
                raise HubServerError(404, f"there is no account {name!r}")
            self._audit.note(connection, "account.change", name, **values)
            if values.get("locked"):
                user_id = self.find(connection, name).id
                connection.execute(delete(db.session).where(db.session.c.account_id == user_id))

    def delete_user(self, name: str) -> None:
        """Delete a user or an organisation with its tokens and memberships.

        Raises:
            HubServerError: 404, there is none; 409, repositories are in its namespace.
        """
        with self._database.write() as connection:
            row = self.find(connection, name)
            repo = connection.scalar(select(db.repo.c.name).where(db.repo.c.namespace == row.key).limit(1))
            if repo is not None:
                raise HubServerError(409, f"{row.name} has repositories, such as {repo}: move or delete them first")
            connection.execute(delete(account).where(account.c.id == row.id))
            self._audit.note(connection, "account.delete", row.name)

    def find(self, connection: Connection, name: str) -> Row[Any]:
        """Return the account called ``name``, or raise a 404."""
        row = connection.execute(select(account).where(account.c.key == name.lower())).one_or_none()
        if row is None:
            raise HubServerError(404, f"there is no account {name!r}")
        return row

    def all(self, connection: Connection) -> Sequence[Row[Any]]:
        """Return every account, by name."""
        return connection.execute(select(account).order_by(account.c.key)).all()

    # ------------------------------------------------------------------ passwords

    def set_password(self, name: str, password: str) -> None:
        """Give a user a password; whoever was signed in is signed out."""
        secret = self._hash(password)
        with self._database.write() as connection:
            row = self.find(connection, name)
            if row.organisation:
                raise HubServerError(400, f"{row.name} is an organisation: its members sign in")
            connection.execute(update(account).where(account.c.id == row.id).values(password=secret))
            self._audit.note(connection, "account.password", row.name)
            connection.execute(delete(db.session).where(db.session.c.account_id == row.id))

    def check_password(self, name: str, password: str) -> Row[Any] | None:
        """Return the account when the password is its own, and None otherwise, after the same time."""
        from argon2.exceptions import Argon2Error, InvalidHashError

        with self._database.read() as connection:
            row = connection.execute(select(account).where(account.c.key == name.lower())).one_or_none()
        secret = row.password if row is not None and row.password and not row.locked else None
        try:
            with _AT_ONCE:
                _hasher().verify(secret or _nobody(), password[: PASSWORD[1]])
        except (Argon2Error, InvalidHashError):
            return None
        return row if secret else None

    def _hash(self, password: str) -> str:
        least, most = PASSWORD
        if not least <= len(password) <= most:
            raise HubServerError(400, f"a password has {least} to {most} characters, not {len(password)}")
        with _AT_ONCE:
            return str(_hasher().hash(password))

    # ------------------------------------------------------------------ organisations

    def create_organisation(self, name: str, members: Mapping[str, str] | None = None) -> None:
        """Make an organisation, unless there is one; ``members`` maps user names to "read", "write" or "admin"."""
        check_name(name, "organisation")
        with self._database.write() as connection:
            self.ensure_namespace(connection, name)
            for member, role in (members or {}).items():
                self._set_member(connection, name, member, role)

    def set_member(self, organisation: str, user: str, role: str | None) -> None:
        """Take a user into an organisation as "read", "write" or "admin"; None takes it out."""
        with self._database.write() as connection:
            self._set_member(connection, organisation, user, role)

    def _set_member(self, connection: Connection, organisation: str, user: str, role: str | None) -> None:
        if role is not None and role not in MEMBER_ROLES:
            raise HubServerError(400, f"a member's role is one of {', '.join(MEMBER_ROLES)}, not {role!r}")
        group = self.find(connection, organisation)
        if not group.organisation:
            raise HubServerError(400, f"{group.name} is a user, not an organisation")
        user_id = connection.scalar(
            select(account.c.id).where(account.c.key == user.lower(), account.c.organisation.is_(False))
        )
        if user_id is None:
            raise HubServerError(404, f"there is no user {user!r}")
        keys = (membership.c.organisation_id == group.id) & (membership.c.user_id == user_id)
        connection.execute(delete(membership).where(keys))
        if role is not None:
            connection.execute(insert(membership).values(organisation_id=group.id, user_id=user_id, role=role))
        self._audit.note(connection, "account.member", group.name, user=user, role=role)

    def organisations(self, connection: Connection, user_id: int) -> dict[str, str]:
        """Return the organisations that a user belongs to: name → role."""
        return {row.name: row.role for row in connection.execute(_MEMBERSHIPS, {"user": user_id})}

    def fullnames(self, connection: Connection, names: Sequence[str]) -> dict[str, str]:
        """Return what accounts are called for people: name → full name."""
        found = connection.execute(select(account.c.name, account.c.fullname).where(account.c.name.in_(names)))
        return {row.name: row.fullname or row.name for row in found}

    def ensure_namespace(self, connection: Connection, name: str) -> int:
        """Return the id of the account ``name``, making an organisation of it when there is none."""
        found = connection.scalar(select(account.c.id).where(account.c.key == name.lower()))
        if found is not None:
            return int(found)
        values = {"name": name, "key": name.lower(), "organisation": True, "fullname": name}
        connection.execute(insert(account).values(**values))
        self._audit.note(connection, "account.create", name, organisation=True)
        return int(connection.execute(select(account.c.id).where(account.c.key == name.lower())).scalar_one())
