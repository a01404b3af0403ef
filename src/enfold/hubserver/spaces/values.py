"""Variables and secrets of Spaces: what a program finds in its environment, and nobody else reads.

A secret is sealed with AES-GCM before it is kept, under a key that comes from the Hub's own and for its own place, so
that neither a copy of this table nor a value moved to another Space opens it. It is opened for the program alone.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select

from enfold.hubserver import database as db
from enfold.hubserver.accounts import Viewer
from enfold.hubserver.audit import Audit
from enfold.hubserver.errors import HubServerError
from enfold.hubserver.repositories import Repositories
from enfold.log import get_logger

__all__ = ["SpaceValues", "check_value"]

_log = get_logger(__name__)

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_LONGEST, _MOST = 32_000, 100  # bytes of a value, values of a Space
# What a program's own start depends on; others would let whoever may write here run what the Space's files do not say.
_OURS = re.compile(r"(PATH|HOME|TMPDIR|LANG|SYSTEM|LD_.*|PYTHON.*|GRADIO_(SERVER|ROOT)_.*|SPACE_(ID|.*_NAME))", re.I)


def check_value(key: str, value: str) -> None:
    """Raise a 400 for what may be no variable or secret."""
    if _KEY.fullmatch(key) is None:
        raise HubServerError(400, f"{key[:80]!r} is no name of a variable: letters, digits and _, no digit first")
    if _OURS.fullmatch(key) is not None:
        raise HubServerError(400, f"{key} is set by the Hub itself")
    if "\0" in value or len(value.encode()) > _LONGEST:
        raise HubServerError(400, f"a value has at most {_LONGEST} bytes, and no zero")


class SpaceValues:
    """The variables and secrets of all Spaces.

    Args:
        database: where they are kept.
        repositories: finds Spaces with the caller's rights.
        audit: told of changes, without values.
        key: the server's own key.
    """

    def __init__(self, database: db.Database, repositories: Repositories, audit: Audit, key: bytes) -> None:
        self._database, self._repositories, self._audit = database, repositories, audit
        self._sealing = hmac.new(key, b"the secrets of Spaces", hashlib.sha256).digest()

    def of(self, connection: Connection, repo_id: int, *, secret: bool) -> Sequence[Row[Any]]:
        """Return a Space's secrets, or its variables, by their names."""
        table = db.space_value
        mine = (table.c.repo_id == repo_id) & table.c.secret.is_(secret)
        return connection.execute(select(table).where(mine).order_by(table.c.key)).all()

    def set(
        self, name: str, viewer: Viewer | None, key: str, value: str, *, secret: bool, description: str | None = None
    ) -> int:
        """Set a value, in place of any other of that name; return the Space's key.

        Raises:
            HubServerError: 400, no such name or value may be; 501, secrets cannot be sealed here.
        """
        check_value(key, value)
        table = db.space_value
        with self._database.write() as connection:
            row = self._repositories.find(connection, "spaces", name, viewer, write=True)
            mine = table.c.repo_id == row.id
            connection.execute(delete(table).where(mine, table.c.key == key))
            if (connection.scalar(select(func.count()).select_from(table).where(mine)) or 0) >= _MOST:
                raise HubServerError(400, f"a Space has at most {_MOST} variables and secrets")
            kept = self._seal(row.id, key, value) if secret else value
            values = {"description": description, "modified": time.time()}
            connection.execute(insert(table).values(repo_id=row.id, key=key, secret=secret, value=kept, **values))
            self._note(connection, "set", row, key, secret)
        return int(row.id)

    def remove(self, name: str, viewer: Viewer | None, key: str, *, secret: bool) -> int:
        """Delete a value and return the Space's key; a 404 when there is none of that name."""
        table = db.space_value
        with self._database.write() as connection:
            row = self._repositories.find(connection, "spaces", name, viewer, write=True)
            mine = (table.c.repo_id == row.id) & (table.c.key == key) & table.c.secret.is_(secret)
            if not connection.execute(delete(table).where(mine)).rowcount:
                raise HubServerError(404, f"there is no {'secret' if secret else 'variable'} {key[:80]!r}")
            self._note(connection, "delete", row, key, secret)
        return int(row.id)

    def _note(self, connection: Connection, what: str, row: Row[Any], key: str, secret: bool) -> None:
        kind = "secret" if secret else "variable"
        self._audit.note(connection, f"space.{kind}.{what}", f"{row.kind}/{row.name}", key=key)

    def environment(self, connection: Connection, repo_id: int) -> dict[str, str]:
        """Return what a Space's program gets; a secret that cannot be opened any more is left out, and said."""
        found = {}
        for row in connection.execute(select(db.space_value).where(db.space_value.c.repo_id == repo_id)):
            if not row.secret:
                found[row.key] = row.value
                continue
            try:
                found[row.key] = self._open(repo_id, row.key, row.value)
            except ValueError:
                _log.warning("the secret %s of the Space %d was sealed by another Hub", row.key, repo_id)
        return found

    def _seal(self, repo_id: int, key: str, value: str) -> str:
        nonce = secrets.token_bytes(12)
        sealed = _cipher(self._sealing).encrypt(nonce, value.encode(), f"{repo_id}/{key}".encode())
        return base64.b64encode(nonce + sealed).decode()

    def _open(self, repo_id: int, key: str, kept: str) -> str:
        from cryptography.exceptions import InvalidTag

        data = base64.b64decode(kept)
        try:
            value: bytes = _cipher(self._sealing).decrypt(data[:12], data[12:], f"{repo_id}/{key}".encode())
        except InvalidTag:
            raise ValueError(key) from None
        return value.decode()


def _cipher(key: bytes) -> Any:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError:
        raise HubServerError(
            501, "This Hub cannot seal secrets: whoever runs it has to install cryptography, by enfold[signing]"
        ) from None
    return AESGCM(key)
