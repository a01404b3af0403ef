"""A Hub of our own in the place of the one that a suite's tests speak to, with the accounts that they expect."""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).parents[1] / "src" / "enfold"


@contextmanager
def serving(said: dict[str, Any]) -> Iterator[str]:
    """Serve a fresh Hub with a list's accounts and yield its address.

    Args:
        said: the list's ``[hub]``: ``users`` with ``name``, ``fullname`` and ``token``; ``organisations`` with
            ``name``, ``fullname`` and ``members`` (user → role).
    """
    from sqlalchemy import update

    from enfold.hubserver import database as db
    from enfold.hubserver.embedded import EmbeddedHub
    from enfold.hubserver.tokens import digest_of

    with tempfile.TemporaryDirectory() as folder, EmbeddedHub(folder, durable=False, **said.get("settings", {})) as hub:
        for user in said.get("users", []):
            secret = hub.create_user(user["name"], fullname=user.get("fullname", ""), email=user.get("email", ""))
            with hub.hub.database.write() as connection:  # the secret that the tests know instead of a drawn one
                mine = db.token.c.digest == digest_of(secret)
                connection.execute(update(db.token).where(mine).values(digest=digest_of(user["token"])))
        for group in said.get("organisations", []):
            hub.create_organisation(group["name"], group.get("members"))
            hub.hub.accounts.change_user(group["name"], {"fullname": group.get("fullname", group["name"])})
        yield hub.endpoint


def rewritten(folder: Path, scratch: Path, addresses: dict[str, str]) -> Path:
    """Return a copy of a suite's tests in which one address stands for another."""
    copy = scratch / "suite"
    shutil.copytree(folder / "tests", copy / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    for path in (copy / "tests").rglob("*.py"):
        text = path.read_text()
        for old, new in addresses.items():
            text = text.replace(old, new)
        path.write_text(text)
    return copy


def fingerprint() -> bytes:
    """Return what changes with the server's code."""
    files = sorted(path for name in ("hubserver", "web") for path in (SOURCE / name).rglob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).digest()


if __name__ == "__main__":
    sys.exit("run tools/suites.py")
