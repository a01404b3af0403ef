"""Trusted publishers: programs of others, such as a CI job, that get a short token for what they prove to be.

A repository, or an account, names an issuer and what its identity tokens must claim. Whoever shows such a token gets
one of the Hub's for an hour: for the repository alone, or, for an account, to read what everybody sees and the gated
repositories that the account was let into.

Source: RFC 8693 (token exchange), with the members that the ecosystem's client sends.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from enfold.hubserver import database as db
from enfold.hubserver.audit import Audit
from enfold.hubserver.devices import OAuthError
from enfold.hubserver.errors import HubServerError
from enfold.hubserver.idtokens import IdTokenError, Issuers, check_issuer, unverified
from enfold.hubserver.names import KINDS
from enfold.hubserver.tokens import Tokens
from enfold.hubserver.viewers import Scope, Scopes, Viewer

__all__ = ["EXCHANGE", "ID_TOKEN", "Publishers"]

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"
_ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
_LASTING = 3600.0  # seconds for which a token is good
_MOST = 20  # publishers of a repository, or of an account
_CLAIMS, _LONGEST = 20, 500  # claims of one, and the letters of each
_ABSENT = "no trusted publisher of {!r} fits this token"


class Publishers:
    """The publishers that repositories and accounts trust.

    Args:
        database: where they are kept.
        tokens: makes tokens.
        audit: told of both.
        trusted: hosts inside the Hub's network that may be issuers.
    """

    def __init__(self, database: db.Database, tokens: Tokens, audit: Audit, trusted: frozenset[str]) -> None:
        self._database, self._tokens, self._audit, self._trusted = database, tokens, audit, trusted
        self._issuers = Issuers(trusted)

    def of(self, connection: Connection, viewer: Viewer, repo: Row[Any] | None) -> Sequence[Row[Any]]:
        """Return the publishers of a repository, or of the viewer's account, the oldest first."""
        table = db.publisher
        mine = table.c.account_id == viewer.account_id
        where = table.c.repo_id.is_(None) & mine if repo is None else table.c.repo_id == repo.id
        query = select(table, db.account.c.name.label("maker")).join(db.account, db.account.c.id == table.c.account_id)
        return connection.execute(query.where(where).order_by(table.c.created, table.c.id)).all()

    def check(self, issuer: str, claims: Mapping[str, str]) -> None:
        """Raise a 400 unless the issuer can be asked and the claims say who it is; asks the network for the name."""
        check_issuer(issuer, self._trusted)
        _check(claims)

    def create(
        self,
        connection: Connection,
        viewer: Viewer,
        repo: Row[Any] | None,
        *,
        issuer: str,
        claims: Mapping[str, str],
        read_only: bool,
    ) -> str:
        """Trust the tokens of an issuer that make these claims, and return the publisher's id.

        Args:
            connection: a write transaction.
            viewer: on whose behalf they write: their right to it is asked for again with each request.
            repo: the repository, or None for the viewer's account.
            issuer: the address of an OpenID provider.
            claims: what its tokens must say, to the letter; both as :meth:`check` lets them pass.
            read_only: whether they only read the repository.

        Raises:
            HubServerError: 400, there are too many.
        """
        table, number = db.publisher, secrets.token_hex(12)
        if len(self.of(connection, viewer, repo)) >= _MOST:
            raise HubServerError(400, f"a repository or an account has at most {_MOST} trusted publishers")
        values = {"issuer": issuer, "claims": json.dumps(dict(claims)), "read_only": read_only or repo is None}
        repo_id = None if repo is None else repo.id
        connection.execute(insert(table).values(id=number, account_id=viewer.account_id, repo_id=repo_id, **values))
        self._audit.note(connection, "publisher.create", _subject(viewer, repo), issuer=issuer, claims=dict(claims))
        return number

    def remove(self, connection: Connection, viewer: Viewer, repo: Row[Any] | None, number: str) -> None:
        """Trust a publisher no longer; the tokens that it has are refused at once."""
        if number not in {row.id for row in self.of(connection, viewer, repo)}:
            raise HubServerError(404, f"there is no trusted publisher {number[:40]!r}")
        connection.execute(delete(db.publisher).where(db.publisher.c.id == number))
        connection.execute(delete(db.token).where(db.token.c.family == _family(number)))
        self._audit.note(connection, "publisher.delete", _subject(viewer, repo))

    def exchange(self, subject: str, resource: str, audience: str) -> dict[str, Any]:
        """Return the answer to a program that shows an identity token.

        Args:
            subject: the identity token, as its issuer signed it.
            resource: ``namespace/name``, ``datasets/namespace/name``, ``spaces/namespace/name``, or a user's name.
            audience: for whom the token must be meant: the Hub's address.

        Raises:
            OAuthError: invalid_grant, nobody trusts the token; invalid_request, it is none.
        """
        try:
            issuer = unverified(subject).get("iss")
        except IdTokenError as error:
            raise OAuthError("invalid_request", f"subject_token: {error}") from None
        trusting = [row for row in self._trusting(resource) if row.issuer == issuer]
        if not trusting:  # also when there is no such repository: who asks is not told which
            raise OAuthError("invalid_grant", _ABSENT.format(resource[:200]))
        try:
            claims = self._issuers.verify(subject, trusting[0].issuer, audience)
        except IdTokenError as error:
            raise OAuthError("invalid_grant", str(error)) from None
        row = next((row for row in trusting if _is_met(json.loads(row.claims), claims)), None)
        if row is None:
            raise OAuthError("invalid_grant", _ABSENT.format(resource[:200]))
        return self._grant(row, str(claims.get("sub", "")))

    def _trusting(self, resource: str) -> Sequence[Row[Any]]:
        table, account, repo = db.publisher, db.account, db.repo
        columns = (table, account.c.name.label("maker"), account.c.locked)
        kind, name = _resource(resource)
        with self._database.read() as connection:
            query = select(*columns).join(account, account.c.id == table.c.account_id)
            if kind is None:
                query = query.where(account.c.key == name, table.c.repo_id.is_(None))
            else:
                query = query.add_columns(repo.c.kind, repo.c.name.label("repo_name"))
                query = query.join(repo, repo.c.id == table.c.repo_id).where(repo.c.kind == kind, repo.c.key == name)
            rows = connection.execute(query.order_by(table.c.created, table.c.id)).all()
        return [row for row in rows if not row.locked]

    def _grant(self, row: Row[Any], subject: str) -> dict[str, Any]:
        scopes, said = Scopes(), "gated-repos"
        if row.repo_id is not None:
            rights = ["repo.content.read"] if row.read_only else ["repo.content.read", "repo.write"]
            scopes = Scopes(scoped=(Scope(KINDS[row.kind], row.repo_name, frozenset(rights)),))
            said = "read-repos" if row.read_only else "write-repos"
        name = f"publisher {subject}"[:100]
        expires = time.time() + _LASTING
        token = self._tokens.create(
            row.maker, name=name, role="fineGrained", scopes=scopes, expires=expires, family=_family(row.id)
        )
        with self._database.write() as connection:
            mine = db.publisher.c.id == row.id
            connection.execute(update(db.publisher).where(mine).values(used=time.time()))
            gone = connection.scalar(select(func.count()).select_from(db.publisher).where(mine)) == 0
        if gone:  # it was removed meanwhile, and its tokens with it
            self._tokens.drop(token)
            raise OAuthError("invalid_grant", "the publisher is trusted no longer")
        answer = {"access_token": token, "token_type": "bearer", "expires_in": int(_LASTING), "scope": said}
        return {**answer, "issued_token_type": _ACCESS_TOKEN}


def _check(claims: Mapping[str, str]) -> None:
    if not 0 < len(claims) <= _CLAIMS or not set(claims) - {"iss", "aud", "exp", "nbf", "iat", "jti"}:
        message = f'"claims" are 1 to {_CLAIMS}, and one of them says who it is: {{"sub": …}}'
        raise HubServerError(400, f"{message}. Without it, everybody whom the issuer knows would be trusted")
    if any(not isinstance(value, str) or not value or len(name + value) > _LONGEST for name, value in claims.items()):
        raise HubServerError(400, f"each of the claims is a text, with at most {_LONGEST} letters")


def _is_met(asked: Mapping[str, str], claims: Mapping[str, Any]) -> bool:
    """Say whether a token claims all that is asked, to the letter; numbers, true and false as JSON writes them."""
    said = {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in claims.items()
        if isinstance(value, str | int | float | bool)
    }
    return all(said.get(name) == value for name, value in asked.items())


def _resource(text: str) -> tuple[str | None, str]:
    """Return the kind (None for a user) and the lower-case name of what a token is asked for."""
    parts = text.strip("/").lower().split("/")
    if len(parts) == 1:
        return None, parts[0]
    if len(parts) == 3 and parts[0] in KINDS:
        return parts[0], "/".join(parts[1:])
    return "models", "/".join(parts)


def _family(number: str) -> str:
    return f"publisher {number}"


def _subject(viewer: Viewer, repo: Row[Any] | None) -> str:
    return viewer.name if repo is None else f"{repo.kind}/{repo.name}"
