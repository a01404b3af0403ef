"""People, organisations and their tokens."""

from __future__ import annotations

import dataclasses
import hashlib
import secrets
import time

from sqlalchemy import Connection, delete, insert, select

from enfold.hubserver.database import Database, account, membership, token
from enfold.hubserver.errors import HubServerError
from enfold.hubserver.names import check_name

__all__ = ["Accounts", "Viewer"]

ROLES = ("read", "write")


@dataclasses.dataclass(frozen=True)
class Viewer:
    """Who is asking, and what their token allows.

    Args:
        account_id: the account's key.
        name: the account's name, as written when it was made.
        fullname: the name shown to people.
        email: may be empty.
        admin: whether the account may do everything in every namespace.
        role: what the token allows: "read" or "write".
        token_name: how the token was called.
        organisations: name → role, of the organisations that the account belongs to.
    """

    account_id: int
    name: str
    fullname: str
    email: str
    admin: bool
    role: str
    token_name: str
    organisations: dict[str, str]

    def member_of(self, namespace: str) -> bool:
        """Say whether the account may see what is private in ``namespace``."""
        key = namespace.lower()
        return self.admin or self.name.lower() == key or key in {name.lower() for name in self.organisations}

    def may_write(self, namespace: str) -> bool:
        """Say whether the account, apart from its token, may change what is in ``namespace``."""
        key = namespace.lower()
        roles = {name.lower(): role for name, role in self.organisations.items()}
        return self.admin or self.name.lower() == key or roles.get(key) in {"write", "admin"}


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


class Accounts:
    """The accounts of a server.

    Args:
        database: where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def create_user(self, name: str, *, fullname: str = "", email: str = "", admin: bool = False) -> None:
        """Make a user, unless there is one of that name.

        Raises:
            HubServerError: the name is not allowed, or an organisation has it.
        """
        check_name(name, "user")
        with self._database.write() as connection:
            found = connection.execute(select(account).where(account.c.key == name.lower())).one_or_none()
            if found is None:
                values = {"fullname": fullname or name, "email": email, "admin": admin}
                connection.execute(insert(account).values(name=name, key=name.lower(), **values))
            elif found.organisation:
                raise HubServerError(409, f"{name!r} is an organisation of this Hub")
            elif admin and not found.admin:
                connection.execute(account.update().where(account.c.id == found.id).values(admin=True))

    def create_organisation(self, name: str, members: dict[str, str] | None = None) -> None:
        """Make an organisation, unless there is one; ``members`` maps user names to "read", "write" or "admin"."""
        check_name(name, "organisation")
        with self._database.write() as connection:
            organisation_id = self.ensure_namespace(connection, name)
            for member, role in (members or {}).items():
                user_id = connection.scalar(select(account.c.id).where(account.c.key == member.lower()))
                if user_id is None:
                    raise HubServerError(404, f"there is no user {member!r}")
                keys = (membership.c.organisation_id == organisation_id) & (membership.c.user_id == user_id)
                connection.execute(delete(membership).where(keys))
                connection.execute(
                    insert(membership).values(organisation_id=organisation_id, user_id=user_id, role=role)
                )

    def ensure_namespace(self, connection: Connection, name: str) -> int:
        """Return the id of the account ``name``, making an organisation of it when there is none."""
        found = connection.scalar(select(account.c.id).where(account.c.key == name.lower()))
        if found is not None:
            return int(found)
        values = {"name": name, "key": name.lower(), "organisation": True, "fullname": name}
        connection.execute(insert(account).values(**values))
        return int(connection.execute(select(account.c.id).where(account.c.key == name.lower())).scalar_one())

    def create_token(self, user: str, *, name: str = "token", role: str = "write") -> str:
        """Make a token for a user and return it: the only time that it can be read.

        Raises:
            HubServerError: there is no such user, or ``role`` is neither "read" nor "write".
        """
        if role not in ROLES:
            raise HubServerError(400, f"a token's role is one of {', '.join(ROLES)}, not {role!r}")
        secret = "hf_" + secrets.token_urlsafe(32).replace("-", "x").replace("_", "y")
        with self._database.write() as connection:
            user_id = connection.scalar(
                select(account.c.id).where(account.c.key == user.lower(), account.c.organisation.is_(False))
            )
            if user_id is None:
                raise HubServerError(404, f"there is no user {user!r}")
            connection.execute(insert(token).values(account_id=user_id, digest=_digest(secret), name=name, role=role))
        return secret

    def drop_token(self, secret: str) -> None:
        """Forget a token."""
        with self._database.write() as connection:
            connection.execute(delete(token).where(token.c.digest == _digest(secret)))

    def drop_old_tokens(self, name: str, age: float) -> None:
        """Forget the tokens called ``name`` that are older than ``age`` seconds."""
        with self._database.write() as connection:
            connection.execute(delete(token).where(token.c.name == name, token.c.created < time.time() - age))

    def has_tokens(self, user: str, name: str) -> bool:
        """Say whether a user has a token called ``name``."""
        with self._database.read() as connection:
            query = select(token.c.id).join(account).where(account.c.key == user.lower(), token.c.name == name)
            return connection.scalar(query.limit(1)) is not None

    def viewer(self, secret: str | None) -> Viewer | None:
        """Return who holds the token ``secret``; None without one.

        Raises:
            HubServerError: 401, the token is not one of this Hub's.
        """
        if not secret:
            return None
        with self._database.read() as connection:
            row = connection.execute(
                select(account, token.c.role, token.c.name.label("token_name"))
                .join(token, token.c.account_id == account.c.id)
                .where(token.c.digest == _digest(secret))
            ).one_or_none()
            if row is None:
                raise HubServerError(401, "Invalid credentials in Authorization header")
            organisations = connection.execute(
                select(account.c.name, membership.c.role)
                .join(membership, membership.c.organisation_id == account.c.id)
                .where(membership.c.user_id == row.id)
            ).all()
        return Viewer(
            account_id=row.id,
            name=row.name,
            fullname=row.fullname,
            email=row.email,
            admin=row.admin,
            role=row.role,
            token_name=row.token_name,
            organisations={found.name: found.role for found in organisations},
        )
