"""Requests from the Hub to addresses that somebody named: never to what is inside its own network, unless allowed."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from enfold.hubserver.errors import HubServerError

__all__ = ["UnknownHost", "address_of", "ask", "check_address"]

_PATIENCE = 10.0  # seconds for an answer


class UnknownHost(HubServerError):
    """The name of a host that has no address, now."""


def address_of(url: str, trusted: Collection[str] = ()) -> tuple[str, str]:
    """Return an address of a URL's host that a Hub may connect to, and the host.

    Hosts of the Hub's own network would let anybody reach what is meant for insiders, so only addresses of the
    internet will do, but for the hosts that are ``trusted``.

    Raises:
        HubServerError: 400, the URL is not http or https, has a password in it, its host is unknown or an insider.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.password:
        raise HubServerError(400, "such an address begins with http:// or https:// and has a host and no password")
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port or parts.scheme, type=socket.SOCK_STREAM)
    except (OSError, ValueError):
        raise UnknownHost(400, f"the host {parts.hostname!r} is not known") from None
    addresses = [str(item[4][0]).partition("%")[0] for item in found]
    if parts.hostname not in trusted:
        for address in addresses:
            if not ipaddress.ip_address(address).is_global:
                raise HubServerError(400, f"the host {parts.hostname!r} is inside this Hub's network")
    return addresses[0], parts.hostname


def check_address(url: str, trusted: Collection[str] = ()) -> None:
    """Raise as :func:`address_of` does, but for a name that is not known yet: it is looked up again with each use."""
    try:
        address_of(url, trusted)
    except UnknownHost:
        pass


def ask(
    method: str,
    url: str,
    *,
    trusted: Collection[str] = (),
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    most: int = 64_000,
) -> tuple[int, bytes]:
    """Send one request, which follows no redirect, and return the status and at most ``most`` bytes of the answer.

    Raises:
        HubServerError: 400, the address is none that a Hub may connect to.
        httpx.HTTPError: nobody answers there.
    """
    import httpx

    parts = urlsplit(url)
    address, host = address_of(url, trusted)
    # To the address that was checked, under the name that was asked for: a name may lead elsewhere by now.
    netloc = f"[{address}]" if ":" in address else address
    target = parts._replace(netloc=f"{netloc}:{parts.port}" if parts.port else netloc).geturl()
    with httpx.Client(timeout=_PATIENCE, follow_redirects=False) as client:
        request = client.build_request(
            method, target, content=content, headers={"Host": parts.netloc, **(headers or {})}
        )
        request.extensions["sni_hostname"] = host
        answer = client.send(request, stream=True)
        body = bytearray()
        with contextlib.closing(answer):
            for piece in answer.iter_bytes(1024):
                body += piece
                if len(body) > most:
                    break
        return answer.status_code, bytes(body[:most])
