"""Who is asking, and what the account and the token together allow."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Row

from enfold.hubserver.errors import HubServerError
from enfold.hubserver.names import KINDS

__all__ = ["RIGHTS", "ROLES", "Scope", "Scopes", "Viewer"]

ROLES = ("read", "write", "fineGrained")

#: what a fine-grained token may be for, by the names that whoami reports
RIGHTS = {
    "repo.content.read": "read the repositories, private ones too",
    "repo.write": "change the repositories, make and delete them",
    "repo.access.read": "see who asked for access to gated repositories",
    "discussion.write": "open discussions and pull requests, and comment",
    "collection.read": "read collections, private ones too",
    "collection.write": "make and change collections",
    "user.webhooks.read": "see webhooks",
    "user.webhooks.write": "make and change webhooks",
}
_READING = {"repo.content.read", "repo.access.read", "collection.read", "user.webhooks.read"}
_IMPLIED = {"repo.write": "repo.content.read", "collection.write": "collection.read"}
_WHERE = ("user", "org", *KINDS.values())


class Scope(NamedTuple):
    """Where some rights hold: ``type`` is "user" or "org" (every repository of a namespace), or a repository's type."""

    type: str
    name: str
    rights: frozenset[str]


@dataclasses.dataclass(frozen=True)
class Scopes:
    """What a fine-grained token allows.

    Args:
        everywhere: rights that hold for whatever the account may see.
        scoped: rights that hold in one place.
    """

    everywhere: frozenset[str] = frozenset()
    scoped: tuple[Scope, ...] = ()

    @staticmethod
    def read(value: Any) -> Scopes:
        """Return scopes from ``{"global": [right, …], "scoped": [{"type", "name", "rights"}, …]}``, checked.

        Raises:
            HubServerError: 400, it has another form, names no right or no place that there is.
        """
        try:
            everywhere = _rights(value.get("global") or [])
            scoped = tuple(
                Scope(str(item["type"]), str(item["name"]), _rights(item["rights"]))
                for item in value.get("scoped") or []
            )
        except (AttributeError, KeyError, TypeError):
            raise HubServerError(
                400, 'scopes are {"global": [right, …], "scoped": [{"type": …, "name": …, "rights": […]}, …]}'
            ) from None
        for scope in scoped:
            if scope.type not in _WHERE:
                raise HubServerError(400, f"a scope's type is one of {', '.join(_WHERE)}, not {scope.type!r}")
            if scope.name.count("/") != (scope.type in KINDS.values()):
                raise HubServerError(400, f"{scope.name!r} is no name of a {scope.type}")
        if not everywhere and not any(scope.rights for scope in scoped):
            raise HubServerError(400, "a fine-grained token needs at least one right")
        return Scopes(everywhere, scoped)

    @staticmethod
    def loads(text: str | None) -> Scopes:
        """Return what :meth:`dumps` wrote."""
        value = json.loads(text or "{}")
        scoped = tuple(Scope(kind, name, frozenset(rights)) for kind, name, rights in value.get("scoped", []))
        return Scopes(frozenset(value.get("global", [])), scoped)

    def dumps(self) -> str:
        """Return the scopes as the database has them."""
        scoped = [[scope.type, scope.name, sorted(scope.rights)] for scope in self.scoped]
        return json.dumps({"global": sorted(self.everywhere), "scoped": scoped})

    def allow(self, right: str, namespace: str | None = None, repo: tuple[str, str] | None = None) -> bool:
        """Say whether a right holds in a namespace, or for one of its repositories: (kind, lower-case id)."""
        if right in self.everywhere:
            return True
        places = set()
        if namespace is not None:
            places = {("user", namespace.lower()), ("org", namespace.lower())}
        if repo is not None:
            places.add((KINDS[repo[0]], repo[1].lower()))
        return any(right in scope.rights and (scope.type, scope.name.lower()) in places for scope in self.scoped)

    def view(self) -> dict[str, Any]:
        """Return the scopes as whoami reports them."""
        scoped = [
            {"entity": {"_id": scope.name, "type": scope.type, "name": scope.name}, "permissions": sorted(scope.rights)}
            for scope in self.scoped
        ]
        return {"canReadGatedRepos": True, "global": sorted(self.everywhere), "scoped": scoped}


def _rights(names: Iterable[Any]) -> frozenset[str]:
    found = {str(name) for name in names}
    if unknown := found - RIGHTS.keys():
        raise HubServerError(400, f"there is no right {min(unknown)!r}: expected some of {', '.join(RIGHTS)}")
    return frozenset(found | {_IMPLIED[name] for name in found & _IMPLIED.keys()})


@dataclasses.dataclass(frozen=True)
class Viewer:
    """Who is asking, and what their token allows.

    Args:
        account_id: the account's key.
        name: the account's name, as written when it was made.
        fullname: the name shown to people.
        email: may be empty.
        admin: whether the account may do everything in every namespace; never so by a fine-grained token.
        role: what the token allows: "read", "write" or "fineGrained".
        token_name: how the token was called.
        organisations: name → role, of the organisations that the account belongs to.
        scopes: what a fine-grained token allows.
        created: when the token was made, in seconds since 1970.
        session: of somebody signed in on pages: the digest of the session.
    """

    account_id: int
    name: str
    fullname: str
    email: str
    admin: bool
    role: str
    token_name: str
    organisations: Mapping[str, str]
    scopes: Scopes = Scopes()
    created: float = 0.0
    session: str | None = None

    def allows(self, right: str, namespace: str | None = None, repo: tuple[str, str] | None = None) -> bool:
        """Say whether the token, apart from its account, carries a right in a namespace or for a repository."""
        if self.role == "fineGrained":
            return self.scopes.allow(right, namespace, repo)
        return self.role == "write" or right in _READING

    def require(self, right: str, namespace: str | None = None, repo: tuple[str, str] | None = None) -> None:
        """Raise a 403 unless the token carries a right."""
        if self.allows(right, namespace, repo):
            return
        if self.role == "fineGrained":
            where = repo[1] if repo else namespace or "this"
            raise HubServerError(403, f"The token {self.token_name!r} lacks the right {right!r} for {where}")
        raise HubServerError(
            403, f"The token {self.token_name!r} may only read; this needs a token with the role 'write'"
        )

    @property
    def namespaces(self) -> list[str]:
        """The namespaces, in lower case, of which the viewer sees what is private."""
        mine = [self.name.lower(), *map(str.lower, self.organisations)]
        return [name for name in mine if self.allows("repo.content.read", name)]

    def member_of(self, namespace: str) -> bool:
        """Say whether the viewer may see what is private in ``namespace``."""
        return self.admin or namespace.lower() in self.namespaces

    def reads(self, repo: Row[Any]) -> bool:
        """Say whether the viewer may read a private or gated repository without being let in by its authors."""
        inside = self.admin or repo.namespace in {self.name.lower(), *map(str.lower, self.organisations)}
        return inside and self.allows("repo.content.read", repo.namespace, (repo.kind, repo.key))

    def may_write(self, namespace: str) -> bool:
        """Say whether the account, apart from its token, may change what is in ``namespace``."""
        key = namespace.lower()
        roles = {name.lower(): role for name, role in self.organisations.items()}
        return self.admin or self.name.lower() == key or roles.get(key) in {"write", "admin"}

    def governs(self, namespace: str) -> bool:
        """Say whether the account may decide who belongs to ``namespace`` and what it may hold."""
        key = namespace.lower()
        roles = {name.lower(): role for name, role in self.organisations.items()}
        return self.admin or self.name.lower() == key or roles.get(key) == "admin"
