"""Addresses that carry their own right: whoever holds one may do the one thing it says, until it expires."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping
from urllib.parse import urlencode

from enfold.hubserver.errors import HubServerError

__all__ = ["Signer"]

_HOUR = 3600


class Signer:
    """Signs the query of an address.

    Args:
        secret: the server's key.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def _signature(self, method: str, path: str, expires: str, size: str) -> str:
        text = "\n".join((method, path, expires, size)).encode()
        return hmac.new(self._secret, text, hashlib.sha256).hexdigest()

    def query(self, method: str, path: str, *, size: int, seconds: int = 6 * _HOUR) -> str:
        """Return the query that lets ``method`` be used on ``path`` for some time, for a content of ``size`` bytes."""
        expires = str(int(time.time()) + seconds)
        signature = self._signature(method, path, expires, str(size))
        return urlencode({"expires": expires, "size": size, "signature": signature})

    def token(self, words: str, *, seconds: int = _HOUR) -> tuple[str, int]:
        """Return a token that carries ``words`` (no spaces around dots), and when it expires (seconds since 1970)."""
        expires = int(time.time()) + seconds
        return f"{words}.{expires}.{self._signature('token', words, str(expires), '')}", expires

    def words(self, token: str) -> str:
        """Return what a token carries, or raise a 401."""
        words, _, rest = token.rpartition(".")
        words, _, expires = words.rpartition(".")
        expected = self._signature("token", words, expires, "")
        if not hmac.compare_digest(expected.encode(), rest.encode()) or float(expires) < time.time():
            raise HubServerError(401, "this token is not of this Hub, or has expired; ask for a new one")
        return words

    def check(self, method: str, path: str, query: Mapping[str, str]) -> int:
        """Return the size that a signed address is for, or raise a 403."""
        expires, size = query.get("expires", ""), query.get("size", "")
        expected = self._signature(method, path, expires, size)
        given = query.get("signature", "")
        if not hmac.compare_digest(expected.encode(), given.encode()) or float(expires) < time.time():
            raise HubServerError(403, "this address is not signed by this Hub, or has expired; ask for a new one")
        return int(size)
