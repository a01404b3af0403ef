"""Signatures of bundles: Ed25519, with keys as OpenSSL writes them.

``openssl genpkey -algorithm ed25519 -out key.pem`` makes a key; ``openssl pkey -in key.pem -pubout -out public.pem``
writes the half by which others check what it signed.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from enfold.errors import EnfoldError
from enfold.hubserver.errors import HubServerError

__all__ = ["sign", "verify"]


def _ed25519() -> Any:
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError:
        raise EnfoldError("signing a bundle needs cryptography: pip install 'enfold[signing]'") from None
    return serialization, ed25519


def sign(data: bytes, key: Path) -> bytes:
    """Return the signature of ``data`` by the private key in a file, as a line of base64."""
    serialization, ed25519 = _ed25519()
    try:
        found = serialization.load_pem_private_key(key.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise EnfoldError(f"{str(key)!r} has no private key that can be used: {error}") from None
    if not isinstance(found, ed25519.Ed25519PrivateKey):
        raise EnfoldError(f"{str(key)!r} is no Ed25519 key: openssl genpkey -algorithm ed25519 makes one")
    return base64.b64encode(found.sign(data)) + b"\n"


def verify(data: bytes, signature: bytes | None, keys: list[Path]) -> None:
    """Raise a 403 unless one of the public keys in these files belongs to the signature."""
    from cryptography.exceptions import InvalidSignature

    serialization, ed25519 = _ed25519()
    if signature is None:
        raise HubServerError(403, "the bundle is not signed")
    for key in keys:
        try:
            found = serialization.load_pem_public_key(key.read_bytes())
        except (OSError, ValueError) as error:
            raise EnfoldError(f"{str(key)!r} has no public key that can be used: {error}") from None
        if isinstance(found, ed25519.Ed25519PublicKey):
            try:
                found.verify(base64.b64decode(signature), data)
                return
            except (InvalidSignature, ValueError):
                continue
    raise HubServerError(403, "the bundle is signed by none of the keys that are trusted, or was changed")
