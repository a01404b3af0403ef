"""Who may talk to a server on this machine: Host and Origin rules against forged requests and DNS rebinding.

A page on any web site can make the visitor's browser send requests to ``127.0.0.1``. The browser says where such a
request comes from (``Origin``, ``Sec-Fetch-Site``), and a rebound name shows in ``Host``; a server on loopback
therefore answers only requests that name it by a loopback name and come from itself or from no page at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

__all__ = ["OriginGuard", "is_loopback"]

_SAFE = {"GET", "HEAD"}


def is_loopback(host: str) -> bool:
    """Whether a host (a name or address, with or without a port) means this machine.

    Example:
        >>> is_loopback("localhost:7860"), is_loopback("127.8.0.1"), is_loopback("localhost.evil.example")
        (True, True, False)
    """
    name = _hostname(host)
    if name == "localhost" or name.endswith(".localhost") or name in {"::1", "0.0.0.0", "::"}:
        return True
    parts = name.split(".")
    return len(parts) == 4 and parts[0] == "127" and all(part.isdigit() for part in parts)


class OriginGuard:
    """ASGI middleware that answers 403 to requests a foreign page or a rebound name sends to a loopback server.

    Args:
        app: the application behind it.
        hosts: names the server is known by, beside loopback ones; when given, any other ``Host`` is refused. None
            leaves ``Host`` unchecked (a server that the world may reach has names it does not know).
        unsafe_get: path prefixes whose GET has effects and is held to the rule for POST.
    """

    def __init__(self, app: Any, *, hosts: Iterable[str] | None = None, unsafe_get: Iterable[str] = ()) -> None:
        self.app = app
        self.hosts = None if hosts is None else {_hostname(host) for host in hosts}
        self.unsafe_get = tuple(unsafe_get)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] not in {"http", "websocket"}:
            return await self.app(scope, receive, send)
        reason = self.refuses(scope)
        if reason is None:
            return await self.app(scope, receive, send)
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return None
        body = f'{{"detail":"{reason}"}}'.encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 403, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        return None

    def refuses(self, scope: Any) -> str | None:
        """Return why a request is refused, or None when it may pass."""
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get(b"host", "")
        if self.hosts is not None and not is_loopback(host) and _hostname(host) not in self.hosts:
            return "this server is not known by that host name (a proxy's name is told with root_path='https://...')"
        path = scope["path"][len(scope.get("root_path", "")) :] or "/"
        if scope.get("method", "GET") in _SAFE and not path.startswith(self.unsafe_get or "\0"):
            return None
        if not is_loopback(host):
            return None
        origin = headers.get(b"origin")
        # A foreign page cannot send this header without asking first, and nobody answers such questions here.
        outside = headers.get(b"x-forwarded-host", "").split(",")[0].strip()
        if origin is not None and not (_same_machine(origin, host) or self._known(origin, outside)):
            return "requests from other web sites are refused"
        if origin is None and headers.get(b"sec-fetch-site") == "cross-site":
            return "requests from other web sites are refused"
        return None

    def _known(self, origin: str, forwarded: str) -> bool:
        netloc = urlsplit(origin).netloc.lower()
        named = not is_loopback(netloc) and _hostname(netloc) in (self.hosts or ())
        return bool(netloc) and (named or netloc == forwarded.lower())


def _hostname(host: str) -> str:
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host if host.count(":") > 1 else host.partition(":")[0]


def _same_machine(origin: str, host: str) -> bool:
    # "null" (sandboxed frames, files) is nobody's origin. Another port of this machine is another program: refused
    # too, unless both are loopback names of the very same port.
    if origin == "null":
        return False
    parts = urlsplit(origin)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        return False
    if parts.netloc.lower() == host.lower():
        return True
    return is_loopback(parts.netloc) and _port(parts.netloc, parts.scheme) == _port(host, parts.scheme)


def _port(netloc: str, scheme: str) -> str:
    tail = netloc.rpartition("]")[2] if "]" in netloc else netloc
    return tail.rpartition(":")[2] if ":" in tail else {"http": "80", "https": "443"}[scheme]
