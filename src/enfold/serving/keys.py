"""Who may ask: keys, which are held as hashes, and how much each of them has open."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from enfold.errors import EnfoldError
from enfold.serving.errors import ServingError

__all__ = ["Keys"]

SHORTEST = 16


class Keys:
    """The keys of a server. Only their SHA-256 is kept, and every comparison takes the same time.

    Args:
        keys: random texts of at least 16 characters; none lets everybody ask.
        per_key: requests that each may have open, or None.

    Raises:
        EnfoldError: for a key that is short enough to be guessed.

    Example:
        >>> keys = Keys(["correct horse battery staple"])
        >>> keys.owner("Bearer correct horse battery staple") is not None, keys.owner("Bearer guess") is not None
        (True, False)
    """

    def __init__(self, keys: Iterable[str] = (), per_key: int | None = None) -> None:
        given = list(keys)
        for key in given:
            if len(key.strip()) < SHORTEST:
                raise EnfoldError(f"a key has at least {SHORTEST} characters; `openssl rand -hex 24` makes one")
        self._known = [_digest(key.strip()) for key in given]
        self.per_key = per_key
        self._open: dict[str, int] = {}

    @property
    def required(self) -> bool:
        """Whether a key is asked for."""
        return bool(self._known)

    def owner(self, authorization: str | None) -> str | None:
        """Return a short name for whose key an ``Authorization`` header shows, which tells nothing of it; or None."""
        scheme, _, key = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            return None
        shown = _digest(key.strip())
        found = None
        for known in self._known:  # all of them, so that the time does not tell which
            if hmac.compare_digest(known, shown):
                found = known
        return None if found is None else found.hex()[:12]

    @contextmanager
    def holding(self, owner: str) -> Iterator[None]:
        """Hold one of the requests that an owner may have open.

        Raises:
            ServingError: 429, when there are as many as may be.
        """
        count = self._open.get(owner, 0)
        if self.per_key is not None and count >= self.per_key:
            message = f"{count} requests are open; at most {self.per_key} are accepted at once from one caller"
            raise ServingError(message, 429, code="too_many_requests", retry_after=1)
        self._open[owner] = count + 1
        try:
            yield
        finally:
            left = self._open[owner] - 1
            if left:
                self._open[owner] = left
            else:
                del self._open[owner]


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
