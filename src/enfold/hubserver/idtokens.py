"""Identity tokens of others: is one signed by its issuer, for this Hub, and good now?

Source: OpenID Connect Core 1.0 section 3.1.3.7 and Discovery 1.0; RFC 7515 (signatures), RFC 7517 (keys), RFC 7518
(algorithms), RFC 8037 (Ed25519). The arithmetic is that of the ``cryptography`` package.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

from enfold.hubserver import outside
from enfold.hubserver.errors import HubServerError

__all__ = ["ALGORITHMS", "IdTokenError", "Issuers", "check_issuer", "unverified"]

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
_KEPT, _AGAIN = 600.0, 30.0  # seconds for which an issuer's keys are kept, and between two questions for them
_LEEWAY = 60.0  # seconds by which clocks may differ
_LONGEST, _DOCUMENT = 16_000, 256_000  # letters of a token; bytes of an issuer's document
_LEAST_RSA = 2048  # bits


class IdTokenError(ValueError):
    """A token that says nothing that could be believed."""


def check_issuer(url: str, trusted: Collection[str] = ()) -> str:
    """Return the issuer's address when it may be asked for its keys.

    Raises:
        HubServerError: 400, it is not https (but for ``trusted`` hosts), has a query, or leads into the Hub's network.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in trusted:
        raise HubServerError(400, f"an issuer's address begins with https://, unlike {url[:200]!r}")
    if parts.query or parts.fragment or len(url) > 500:
        raise HubServerError(400, "an issuer's address has no query and no fragment, and at most 500 letters")
    outside.address_of(url, trusted)
    return url


def unverified(token: str) -> dict[str, Any]:
    """Return what a token claims, which nobody may believe before :meth:`Issuers.verify` did.

    Raises:
        IdTokenError: it is no signed JSON Web Token.
    """
    return _taken_apart(token)[1]


class Issuers:
    """Asks issuers for their keys, and keeps these for ten minutes.

    Args:
        trusted: hosts inside the Hub's network that may be asked, and by plain http; others may be anywhere else.
    """

    def __init__(self, trusted: Collection[str] = ()) -> None:
        self._trusted = trusted
        self._known: dict[str, tuple[float, list[dict[str, Any]]]] = {}
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def verify(self, token: str, issuer: str, audience: str) -> dict[str, Any]:
        """Return what a token claims, once it is known that the issuer says so to this audience, now.

        Raises:
            IdTokenError: it is signed by nobody that is known, or meant for somebody else, or expired.
        """
        header, claims, signed, signature = _taken_apart(token)
        algorithm = header.get("alg")
        if algorithm not in ALGORITHMS:
            raise IdTokenError(f"the token is signed by {algorithm!r}: expected one of {', '.join(ALGORITHMS)}")
        if "crit" in header:
            raise IdTokenError("the token's header has extensions that are not known here")
        _check_claims(claims, issuer, audience)
        for fresh in (False, True):
            keys = [key for key in self._keys(issuer, fresh) if _fits(key, algorithm, header.get("kid"))]
            if any(_is_signed(key, algorithm, signed, signature) for key in keys):
                return claims
            if keys:
                break  # the right keys, and a wrong signature: no newer ones would do
        raise IdTokenError("the token is not signed by a key of its issuer")

    def _keys(self, issuer: str, fresh: bool) -> list[dict[str, Any]]:
        with self._locks[issuer]:  # one question at a time: many bad tokens do not make many of them
            asked, keys = self._known.get(issuer, (0.0, []))
            age = time.monotonic() - asked
            if asked and (age < _AGAIN or (age < _KEPT and not fresh)):
                return keys
            self._known[issuer] = (time.monotonic(), keys)
            document = self._read(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
            if document.get("issuer") != issuer:
                raise IdTokenError(f"{issuer} calls itself {str(document.get('issuer'))[:200]!r}")
            place = str(document.get("jwks_uri"))
            try:
                check_issuer(place.partition("?")[0], self._trusted)
            except HubServerError as error:
                raise IdTokenError(f"the issuer's keys cannot be read: {error.message}") from None
            found = self._read(place).get("keys")
            keys = [key for key in found if isinstance(key, dict)] if isinstance(found, list) else []
            self._known[issuer] = (time.monotonic(), keys)
            return keys

    def _read(self, url: str) -> dict[str, Any]:
        import httpx

        try:
            status, body = outside.ask("GET", url, trusted=self._trusted, most=_DOCUMENT)
            value = json.loads(body) if status == 200 else None
        except (httpx.HTTPError, HubServerError, OSError, ValueError) as error:
            raise IdTokenError(f"the issuer's keys cannot be read: {type(error).__name__}") from None
        if not isinstance(value, dict):
            raise IdTokenError(f"the issuer's keys cannot be read: status {status}")
        return value


def _taken_apart(token: str) -> tuple[dict[str, Any], dict[str, Any], bytes, bytes]:
    parts = token.split(".")
    if len(parts) != 3 or len(token) > _LONGEST or not token.isascii():
        raise IdTokenError("this is no signed JSON Web Token")
    try:
        header, claims = (json.loads(_decoded(part)) for part in parts[:2])
        signature = _decoded(parts[2])
    except (ValueError, RecursionError):
        raise IdTokenError("this is no signed JSON Web Token") from None
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise IdTokenError("this is no signed JSON Web Token")
    return header, claims, f"{parts[0]}.{parts[1]}".encode(), signature


def _decoded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _check_claims(claims: Mapping[str, Any], issuer: str, audience: str) -> None:
    if claims.get("iss") != issuer:
        raise IdTokenError("the token is of another issuer")
    meant = claims.get("aud")
    named = {str(one).rstrip("/") for one in (meant if isinstance(meant, list) else [meant])}
    if audience.rstrip("/") not in named:
        raise IdTokenError(f"the token is meant for {sorted(named)[0][:200]!r}: its audience must be {audience!r}")
    now = time.time()
    moments = {name: claims.get(name) for name in ("exp", "nbf", "iat")}
    if any(
        value is not None and (isinstance(value, bool) or not isinstance(value, int | float))
        for value in moments.values()
    ):
        raise IdTokenError("the token's times are no numbers")
    if moments["exp"] is None or moments["exp"] < now - _LEEWAY:
        raise IdTokenError("the token has expired")
    if any((moments[name] or 0) > now + _LEEWAY for name in ("nbf", "iat")):
        raise IdTokenError("the token is not good yet")


def _fits(key: Mapping[str, Any], algorithm: str, kid: Any) -> bool:
    """Say whether a key may have made a signature: its kind is the algorithm's, and its name the one that was said."""
    kind = {"R": "RSA", "P": "RSA", "E": "EC"}[algorithm[0]] if algorithm != "EdDSA" else "OKP"
    return (
        key.get("kty") == kind
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and (kid is None or key.get("kid") == kid)
    )


def _is_signed(key: Mapping[str, Any], algorithm: str, data: bytes, signature: bytes) -> bool:
    try:
        from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    except ImportError:
        message = "this Hub cannot check identity tokens: it needs cryptography (pip install 'enfold[signing]')"
        raise HubServerError(501, message) from None
    try:
        _verifier(key, algorithm)(data, signature)
    except (InvalidSignature, UnsupportedAlgorithm, KeyError, TypeError, ValueError):
        return False
    return True


def _verifier(key: Mapping[str, Any], algorithm: str) -> Callable[[bytes, bytes], None]:
    """Return what checks a signature by a JSON Web Key: ``(data, signature)``."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    if algorithm == "EdDSA":
        if key["crv"] != "Ed25519":
            raise ValueError("another curve")
        edwards = ed25519.Ed25519PublicKey.from_public_bytes(_decoded(key["x"]))
        return lambda data, signature: edwards.verify(signature, data)
    kinds: dict[str, type[Any]] = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}
    digest = kinds[algorithm[2:]]()
    if algorithm[0] == "E":
        name, curve, size = {"256": ("P-256", ec.SECP256R1(), 32), "384": ("P-384", ec.SECP384R1(), 48)}[algorithm[2:]]
        if key["crv"] != name:
            raise ValueError("another curve")
        elliptic = ec.EllipticCurvePublicNumbers(_number(key["x"]), _number(key["y"]), curve).public_key()

        def check(data: bytes, signature: bytes) -> None:
            if len(signature) != 2 * size:
                raise ValueError("a signature of another length")
            pair = (int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big"))
            elliptic.verify(encode_dss_signature(*pair), data, ec.ECDSA(digest))

        return check
    numbers = rsa.RSAPublicNumbers(_number(key["e"]), _number(key["n"]))
    if numbers.n.bit_length() < _LEAST_RSA:
        raise ValueError("a key that is too short")
    wide = numbers.public_key()
    filled: Any = padding.PKCS1v15()
    if algorithm[0] == "P":
        filled = padding.PSS(padding.MGF1(digest), digest.digest_size)
    return lambda data, signature: wide.verify(signature, data, filled, digest)


def _number(text: str) -> int:
    return int.from_bytes(_decoded(text), "big")
