"""Fetch what a caller names by address, without letting the caller reach machines that only this server can reach.

A server that opens addresses for others is a way into its own network (server-side request forgery). Each address is
therefore resolved once, refused unless every answer is a public one, and the connection goes to that very answer, so
that a name cannot mean another machine the second time (DNS rebinding). Redirects are followed by the same rule.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
from urllib.parse import urljoin, urlsplit

from enfold.errors import EnfoldError

__all__ = ["FetchError", "fetch_public", "is_public"]

REDIRECTS = 5


class FetchError(EnfoldError):
    """An address cannot be fetched, or must not be."""


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the open internet.

    Example:
        >>> is_public("93.184.216.34"), is_public("10.0.0.1"), is_public("::ffff:127.0.0.1"), is_public("169.254.0.1")
        (True, False, False, False)
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(ip, "ipv4_mapped", None) or getattr(ip, "sixtofour", None)
    return ip.is_global and not ip.is_multicast and (mapped is None or is_public(str(mapped)))


def fetch_public(url: str, *, limit: int, timeout: float = 20.0) -> tuple[bytes, str]:
    """Read a public http(s) address.

    Args:
        url: the address.
        limit: bytes read at most.
        timeout: seconds for each step.

    Returns:
        The body, and the address it came from after redirects.

    Raises:
        FetchError: not http(s), not public, too long, or it does not answer.
    """
    for _ in range(REDIRECTS + 1):
        status, headers, body = _get(url, limit, timeout)
        if status in {301, 302, 303, 307, 308} and headers.get("location"):
            url = urljoin(url, headers["location"])
            continue
        if status != 200:
            raise FetchError(f"{url} answered {status}")
        return body, url
    raise FetchError(f"{url} redirects more than {REDIRECTS} times")


def _get(url: str, limit: int, timeout: float) -> tuple[int, dict[str, str], bytes]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme not in {"http", "https"} or not host:
        raise FetchError("only http and https addresses are fetched")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        answers = {str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except OSError:
        raise FetchError(f"{host} is not known") from None
    if not all(is_public(answer) for answer in answers):
        raise FetchError(f"{host} is not a public address")
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(host, port, timeout=timeout)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        sock = socket.create_connection((sorted(answers)[0], port), timeout)
        if parts.scheme == "https":
            sock = ssl.create_default_context().wrap_socket(sock, server_hostname=host)
        connection.sock = sock
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", path, headers={"User-Agent": "enfold", "Accept-Encoding": "identity"})
        answer = connection.getresponse()
        body = answer.read(limit + 1) if answer.status == 200 else b""
        if len(body) > limit:
            raise FetchError(f"{url} has more than the {limit} bytes that are accepted")
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body
    except (OSError, http.client.HTTPException) as error:
        raise FetchError(f"{url} cannot be read: {error}") from None
    finally:
        connection.close()
