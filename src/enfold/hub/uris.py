"""``hf://`` addresses: ``hf://[models/|datasets/|spaces/|kernels/|buckets/]namespace/name[@revision][/path]``."""

from __future__ import annotations

import dataclasses
import re
from urllib.parse import quote, unquote, urlsplit

from enfold.hub import constants
from enfold.hub.errors import HfUriError, HFValidationError
from enfold.hub.validation import validate_repo_id

__all__ = ["HfMount", "HfUri", "is_hf_uri", "parse_hf_mount", "parse_hf_uri", "repo_type_and_id_from_hf_id"]

_KINDS = {"models": "model", "datasets": "dataset", "spaces": "space", "kernels": "kernel", "buckets": "bucket"}
# Revisions with slashes that are known by their form.
_REFS = re.compile(r"refs/(?:convert/[\w.-]+|pr/\d+)(?=/|\Z)")
_VIEWS = ("blame", "blob", "commits", "edit", "raw", "resolve", "tree")
_BUCKET_VIEWS = ("resolve", "tree")


@dataclasses.dataclass(frozen=True)
class HfUri:
    """A place on a Hub.

    Args:
        type: "model", "dataset", "space", "kernel" or "bucket".
        id: ``namespace/name``.
        revision: a branch, tag or commit, or None; buckets have none.
        path_in_repo: a path inside the repository, or an empty string for its root.

    Raises:
        HfUriError: there can be no such place.
    """

    type: str
    id: str
    revision: str | None = None
    path_in_repo: str = ""

    def __post_init__(self) -> None:
        if self.type not in _KINDS.values():
            raise HfUriError(f"a place's type is one of {', '.join(_KINDS.values())}, not {self.type!r}")
        if not re.fullmatch(r"[^/]+/[^/]+", self.id):
            raise HfUriError(f"{self.id!r} names no repository: expected namespace/name")
        if self.is_repo:
            try:
                validate_repo_id(self.id)
            except HFValidationError as error:
                raise HfUriError(str(error)) from None
        if self.revision == "":
            raise HfUriError(f"the revision of {self.id!r} is empty: leave it out, with its '@'")
        if self.is_bucket and self.revision is not None:
            raise HfUriError(f"{self.id!r} is a bucket, which has no revisions such as {self.revision!r}")
        if self.path_in_repo.startswith("/") or "//" in self.path_in_repo:
            raise HfUriError(f"{self.path_in_repo!r} has an empty name in its path")

    @property
    def is_repo(self) -> bool:
        """Whether this is a place in a repository."""
        return self.type != "bucket"

    @property
    def is_bucket(self) -> bool:
        """Whether this is a place in a bucket."""
        return self.type == "bucket"

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

    def to_url(self, endpoint: str | None = None) -> str:
        """Return the address of the page that shows this place.

        Args:
            endpoint: the Hub's address; ``HF_ENDPOINT`` by default.

        Example:
            >>> HfUri("dataset", "me/rows", "v1", "a b.csv").to_url("http://hub")
            'http://hub/datasets/me/rows/blob/v1/a%20b.csv'
        """
        base = (endpoint or constants.endpoint()).rstrip("/")
        page = f"{base}/{'' if self.type == 'model' else f'{self.type}s/'}{self.id}"
        path, revision = quote(self.path_in_repo), self.revision
        if self.is_bucket:
            return f"{page}/tree/{path}" if path else page
        if revision is not None and not _REFS.fullmatch(revision):
            revision = quote(revision, safe="")
        if path:
            return f"{page}/blob/{revision or 'main'}/{path}"
        return f"{page}/tree/{revision}" if revision else page

    def __str__(self) -> str:
        return self.to_uri()


@dataclasses.dataclass(frozen=True)
class HfMount:
    """A place on a Hub, and the folder of a program in which it is to be seen.

    Args:
        source: the place.
        mount_path: the folder, from ``/`` on.
        read_only: True or False where the address says so, else None.

    Raises:
        HfUriError: the folder is none, or the root.
    """

    source: HfUri
    mount_path: str
    read_only: bool | None = None

    def __post_init__(self) -> None:
        if not self.mount_path.startswith("/") or self.mount_path == "/":
            raise HfUriError(f"{self.mount_path!r} is no folder below '/' to mount {self.source.to_uri()} in")

    def to_uri(self) -> str:
        """Return the address, as :func:`parse_hf_mount` reads it."""
        flag = {None: "", True: ":ro", False: ":rw"}[self.read_only]
        return f"{self.source.to_uri()}:{self.mount_path}{flag}"

    def __str__(self) -> str:
        return self.to_uri()


def parse_hf_uri(uri: str, endpoint: str | None = None) -> HfUri:
    """Read an ``hf://`` address, or the address of a repository's page or file on a Hub.

    Args:
        uri: the address; a page's may come without ``https://``.
        endpoint: the Hub that pages may be of; ``HF_ENDPOINT`` by default.

    Raises:
        HfUriError: it is not written as it should be.

    Example:
        >>> parse_hf_uri("hf://datasets/me/data@v1/train.csv")
        HfUri(type='dataset', id='me/data', revision='v1', path_in_repo='train.csv')
    """
    body = uri.removeprefix("hf://") if uri.startswith("hf://") else _of_page(uri, endpoint)
    first, _, rest = body.partition("/")
    if f"{first}s" in _KINDS:
        raise HfUriError(
            f"{uri!r} begins with {first!r}: write {first}s/ for {'an' if first[0] in 'aeiou' else 'a'} {first}"
        )
    kind = _KINDS.get(first, "model")
    location = rest if first in _KINDS else body
    found = re.fullmatch(r"([^/@]+/[^/@]+)(?:@(.*)|(/.*)?)", location, re.S)
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
    try:
        return HfUri(kind, name, revision, (path or "").strip("/"))
    except HfUriError as error:
        raise HfUriError(f"{uri!r}: {error}") from None


def is_hf_uri(uri: str) -> bool:
    """Say whether :func:`parse_hf_uri` can read an address.

    Example:
        >>> is_hf_uri("hf://me/model"), is_hf_uri("me/model")
        (True, False)
    """
    try:
        parse_hf_uri(uri)
    except HfUriError:
        return False
    return True


def parse_hf_mount(mount_str: str) -> HfMount:
    """Read ``hf://…:/folder``, with ``:ro`` or ``:rw`` behind it where it is to be said.

    Raises:
        HfUriError: it is not written as it should be.

    Example:
        >>> parse_hf_mount("hf://datasets/me/rows:/data:ro").mount_path
        '/data'
    """
    if not mount_str.startswith("hf://"):
        raise HfUriError(f"{mount_str!r} mounts nothing of a Hub: expected hf://…:/folder[:ro|:rw]")
    flags = {":ro": True, ":rw": False}
    read_only = flags.get(mount_str[-3:])
    body = mount_str if read_only is None else mount_str[:-3]
    source, colon, folder = body.rpartition(":/")
    if not colon or source == "hf":
        raise HfUriError(f"{mount_str!r} names no folder: expected hf://…:/folder[:ro|:rw]")
    return HfMount(parse_hf_uri(source), f"/{folder}", read_only)


def _of_page(address: str, endpoint: str | None) -> str:
    """Return what an address of a page says, as ``hf://`` would say it without ``hf://``."""
    hubs = [urlsplit(hub if "://" in hub else f"//{hub}") for hub in _hubs(endpoint)]
    parts = urlsplit(address if "://" in address else f"//{address}")
    hub = next((hub for hub in hubs if hub.netloc.lower() == parts.netloc.lower()), None)
    if hub is None or parts.scheme not in {"", "http", "https"}:
        expected = "hf://[datasets/|spaces/|…]namespace/name[@revision][/path], or the address of a page of a Hub"
        raise HfUriError(f"{address!r} is no hf:// address: expected {expected}")
    below = parts.path.removeprefix(hub.path.rstrip("/"))
    names = [unquote(name).replace("/", "%2F") for name in below.split("/") if name]
    kind = names.pop(0) if names and names[0] in _KINDS else "models"
    views = _BUCKET_VIEWS if kind == "buckets" else _VIEWS
    if len(names) < 2 or (len(names) > 2 and names[2] not in views):
        raise HfUriError(f"{address!r} is not the address of a repository or of a file in one")
    repo, rest = "/".join(names[:2]), "/".join(names[3:])
    if not rest:
        return f"{kind}/{repo}"
    return f"{kind}/{repo}/{rest}" if kind == "buckets" else f"{kind}/{repo}@{rest}"


def _hubs(endpoint: str | None) -> list[str]:
    return [hub for hub in (endpoint, constants.endpoint(), constants.DEFAULT_ENDPOINT, "https://hf.co") if hub]


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
