"""How often something may be asked for: so many requests of a kind in five minutes, for each account or address.

The headers are those of the IETF's draft "RateLimit header fields for HTTP" as the official client reads them. Counts
are this process's own: servers that share a database count each for itself.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

from enfold.hubserver.errors import HubServerError

__all__ = ["GENEROUS", "KINDS", "WINDOW", "Rates", "kind_of"]

WINDOW = 300  # seconds
KINDS = ("api", "resolvers", "uploads", "pages")
#: what a Hub allows that other machines reach, unless it is told otherwise
GENEROUS: Mapping[str, int] = {"api": 5_000, "resolvers": 25_000, "uploads": 5_000, "pages": 2_000}
_UPLOADS = ("/commit/", "/preupload/", "/xet-write-token/", ".git/info/lfs/")


def kind_of(method: str, path: str) -> str | None:
    """Return the kind of a request; None for what is not counted.

    Example:
        >>> kind_of("GET", "/api/models"), kind_of("GET", "/ann/one/resolve/main/a"), kind_of("GET", "/static/hub.css")
        ('api', 'resolvers', None)
    """
    if path.startswith("/static/"):
        return None
    if path.startswith(("/lfs-objects/", "/cas/")):
        return "resolvers" if method in {"GET", "HEAD"} else "uploads"
    if any(part in path for part in _UPLOADS):
        return "uploads"
    if path.startswith("/api/"):
        return "api"
    return "resolvers" if "/resolve/" in path or "/raw/" in path else "pages"


class Rates:
    """Counts requests.

    Args:
        limits: kind → requests in five minutes; kinds that are not named are not limited.
    """

    def __init__(self, limits: Mapping[str, int]) -> None:
        if unknown := limits.keys() - set(KINDS):
            raise HubServerError(400, f"there are limits for {', '.join(KINDS)}, not for {min(unknown)!r}")
        self.limits = dict(limits)
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, str], tuple[float, int]] = {}  # what and who → when it began, how many
        self._swept = time.monotonic()

    def take(self, kind: str, who: str) -> dict[str, str]:
        """Count a request, and return the headers that say what is left.

        Raises:
            HubServerError: 429, nothing is left.
        """
        limit = self.limits.get(kind)
        if limit is None:
            return {}
        now = time.monotonic()
        with self._lock:
            self._sweep(now)
            began, count = self._counts.get((kind, who), (now, 0))
            if now - began >= WINDOW:
                began, count = now, 0
            self._counts[kind, who] = began, count + 1
        left, wait = max(limit - count - 1, 0), int(began + WINDOW - now) + 1
        headers = {
            "RateLimit": f'"{kind}";r={left};t={wait}',
            "RateLimit-Policy": f'"fixed window";"{kind}";q={limit};w={WINDOW}',
        }
        if count < limit:
            return headers
        message = f"Too many requests: {limit} of the kind {kind!r} may come in {WINDOW} seconds. Wait {wait} seconds."
        raise HubServerError(429, message, headers={**headers, "Retry-After": str(wait)})

    def _sweep(self, now: float) -> None:
        if now - self._swept > WINDOW:
            self._counts = {key: value for key, value in self._counts.items() if now - value[0] < WINDOW}
            self._swept = now
