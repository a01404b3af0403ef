"""``hf://`` addresses: ``hf://[datasets/|spaces/|models/]namespace/name[@revision][/path]``."""

from __future__ import annotations

import dataclasses
import re
from urllib.parse import unquote, urlsplit

from enfold.hub import constants
from enfold.hub.errors import HfUriError, HFValidationError
from enfold.hub.validation import validate_repo_id

__all__ = ["HfUri", "parse_hf_uri", "repo_type_and_id_from_hf_id"]

_KINDS = {"models": "model", "datasets": "dataset", "spaces": "space"}
# Revisions with slashes that are known by their form.
_REFS = re.compile(r"refs/(?:convert/[\w.-]+|pr/\d+)(?=/|\Z)")
_VIEWS = ("blame", "blob", "raw", "resolve", "tree")


@dataclasses.dataclass(frozen=True)
class HfUri:
    """A place on a Hub.

    Args:
        type: "model", "dataset" or "space".
        id: ``namespace/name``.
        revision: a branch, tag or commit, or None.
        path_in_repo: a path inside the repository, or an empty string for its root.
    """

    type: str
    id: str
    revision: str | None = None
    path_in_repo: str = ""

    @property
    def is_repo(self) -> bool:
        """True: other places are not known here."""
        return True

    @property
    def is_bucket(self) -> bool:
        """False: Hubs made of repositories have no buckets."""
        return False

    def to_uri(self) -> str:
        """Return the address, its type always written.

        Example:
            >>> HfUri("model", "me/x", "dev/one", "a.txt").to_uri()
            'hf://models/me/x@dev%2Fone/a.txt'
        """
        revision = self.revision
        if revision is not None and not _REFS.fullmatch(revision):
            revision = revision.replace("/", "%2F")
        tail = f"/{self.path_in_repo}" if self.path_in_repo else ""
        return f"hf://{self.type}s/{self.id}{f'@{revision}' if revision else ''}{tail}"

    def __str__(self) -> str:
        return self.to_uri()


def parse_hf_uri(uri: str, endpoint: str | None = None) -> HfUri:
    """Read an ``hf://`` address, or the address of a repository's page or file on a Hub.

    Args:
        uri: the address.
        endpoint: the Hub that pages may be of; ``HF_ENDPOINT`` by default.

    Raises:
        HfUriError: it is not written as it should be.

    Example:
        >>> parse_hf_uri("hf://datasets/me/data@v1/train.csv")
        HfUri(type='dataset', id='me/data', revision='v1', path_in_repo='train.csv')
    """
    body = _of_page(uri, endpoint) if uri.startswith(("http://", "https://")) else uri.removeprefix("hf://")
    if body == uri:
        raise HfUriError(
            f"{uri!r} is no hf:// address: expected hf://[datasets/|spaces/]namespace/name[@revision][/path]"
        )
    first, _, rest = body.partition("/")
    kind = _KINDS.get(first, "model")
    found = re.fullmatch(r"([^/@]+/[^/@]+)(?:@(.+)|(/.*)?)", rest if first in _KINDS else body, re.S)
    if found is None:
        raise HfUriError(f"{uri!r} names no repository: expected namespace/name")
    name, revised, path = found.groups()
    revision = None
    if revised is not None:
        known = _REFS.match(revised)
        revision = known[0] if known else revised.partition("/")[0]
        path = revised[len(revision) :]
        revision = unquote(revision)
    if "//" in (path or ""):
        raise HfUriError(f"{uri!r} has an empty name in its path")
    path = (path or "").strip("/")
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise HfUriError(f"{uri!r}: {error}") from None
    return HfUri(kind, name, revision, path)


def _of_page(address: str, endpoint: str | None) -> str:
    """Return what an address of a page says, as ``hf://`` would say it without ``hf://``."""
    parts = urlsplit(address)
    hubs = {urlsplit(hub).netloc for hub in (endpoint, constants.endpoint(), constants.DEFAULT_ENDPOINT) if hub}
    names = [unquote(name) for name in parts.path.strip("/").split("/")]
    kind = names.pop(0) if names[0] in _KINDS else "models"
    if parts.netloc not in hubs or len(names) < 2 or (len(names) > 2 and names[2] not in _VIEWS):
        raise HfUriError(f"{address!r} is not the address of a repository or of a file in one")
    repo, rest = "/".join(names[:2]), "/".join(names[3:])
    if not rest:
        return f"{kind}/{repo}"
    known = _REFS.match(rest)
    revision = known[0] if known else rest.partition("/")[0]
    return f"{kind}/{repo}@{revision}{rest[len(revision) :]}"


def repo_type_and_id_from_hf_id(hf_id: str, hub_url: str | None = None) -> tuple[str | None, str | None, str]:
    """Return the type, namespace and name that an id or an address of a repository names.

    Args:
        hf_id: ``name``, ``namespace/name``, ``datasets/namespace/name``, ``hf://…``, or a page's address.
        hub_url: the Hub that pages may be of; ``HF_ENDPOINT`` by default.

    Raises:
        HfUriError: it names no repository.

    Example:
        >>> repo_type_and_id_from_hf_id("datasets/me/data")
        ('dataset', 'me', 'data')
    """
    if hf_id.startswith(("http://", "https://")):
        found = parse_hf_uri(hf_id, hub_url)
        namespace, _, name = found.id.partition("/")
        return found.type, namespace, name
    bare = hf_id.removeprefix("hf://")
    first, _, rest = bare.partition("/")
    kind = _KINDS.get(first)
    names = (rest if kind else bare).split("/")
    if not 1 <= len(names) <= 2 or not all(names):
        raise HfUriError(f"{hf_id!r} names no repository: expected namespace/name")
    return kind, names[0] if len(names) == 2 else None, names[-1]
