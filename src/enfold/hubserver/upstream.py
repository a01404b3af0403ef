"""A cache of another Hub: what this one lacks is fetched from there once, checked, kept, and served from then on.

Repositories keep the commits' ids of the upstream, so that clients may change from one to the other. Files come when
they are first read. Branches are served as they are known while it is asked in the background whether they moved. The
upstream is asked with the operator's token or with none, never with a caller's.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urljoin, urlsplit

from sqlalchemy import Connection, Row, delete, insert, select, update

from enfold.hubserver import database as db
from enfold.hubserver import trees
from enfold.hubserver.accounts import Accounts
from enfold.hubserver.commits import Commits
from enfold.hubserver.errors import HubServerError
from enfold.hubserver.files import Reader
from enfold.hubserver.gitobjects import EMPTY_TREE
from enfold.hubserver.names import check_name, check_path, is_commit
from enfold.hubserver.outside import address_of
from enfold.hubserver.repositories import MAIN, Repositories
from enfold.hubserver.settings import Limits
from enfold.hubserver.store.blobs import BlobStore, StoredBlob
from enfold.log import get_logger

__all__ = ["Upstream"]

FRESH = 60.0  # seconds for which a branch is believed to be where it was
_PATIENCE = 30.0  # seconds for an answer
_ANSWER = 256 << 20  # bytes of a JSON answer
_PIECE = 1 << 20
_HOPS = 5
_log = get_logger(__name__)


class _File(NamedTuple):
    """A file of the upstream: its id in git, its size, and the SHA-256 of a large one."""

    oid: str
    size: int
    sha256: str | None


class Upstream:
    """Fetches from another Hub.

    Args:
        url: its address.
        token: what it is asked with; nothing by default, which shows what is public there.
        database: where repositories are noted.
        accounts: makes namespaces.
        repositories: makes repositories.
        commits: reads cards.
        blobs: where contents go.
        limits: sizes.
    """

    def __init__(
        self,
        url: str,
        token: str | None,
        *,
        database: db.Database,
        accounts: Accounts,
        repositories: Repositories,
        commits: Commits,
        blobs: BlobStore,
        limits: Limits,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
            raise HubServerError(400, f"{url!r} is no address of a Hub, such as https://huggingface.co")
        self._url, self._token = url.rstrip("/"), token
        self._database, self._accounts, self._repositories = database, accounts, repositories
        self._commits, self._blobs, self._limits = commits, blobs, limits
        self._lock = threading.Lock()
        self._busy: dict[str, threading.Lock] = {}

    # ------------------------------------------------------------------ asking

    @contextlib.contextmanager
    def _ask(self, path: str) -> Iterator[Any]:
        """Open an address of the upstream; the token goes to the upstream alone, and no redirect leads inside.

        Raises:
            HubServerError: 404, there is no such thing; 502 or 504, the upstream does not answer as it should.
        """
        import httpx

        url = self._url + path
        origin = urlsplit(self._url)
        with httpx.Client(timeout=_PATIENCE, follow_redirects=False, trust_env=False) as client:
            for _ in range(_HOPS):
                parts = urlsplit(url)
                headers = {"User-Agent": "enfold-hub-cache", "Accept-Encoding": "identity"}
                extensions: dict[str, Any] = {}
                target = url
                if (parts.scheme, parts.netloc) == (origin.scheme, origin.netloc):
                    if self._token:
                        headers["Authorization"] = f"Bearer {self._token}"
                else:  # to the address that was checked, under the name that was asked for
                    try:
                        address, host = address_of(url)
                    except HubServerError:
                        raise HubServerError(502, "the upstream Hub leads to an address inside this network") from None
                    netloc = f"[{address}]" if ":" in address else address
                    target = parts._replace(netloc=f"{netloc}:{parts.port}" if parts.port else netloc).geturl()
                    headers["Host"], extensions["sni_hostname"] = parts.netloc, host
                try:
                    request = client.build_request("GET", target, headers=headers, extensions=extensions)
                    answer = client.send(request, stream=True)
                except httpx.HTTPError as error:
                    _log.warning("the upstream %s cannot be reached: %s", origin.hostname, type(error).__name__)
                    raise HubServerError(504, "the upstream Hub of this one cannot be reached now") from None
                with contextlib.closing(answer):
                    if answer.is_redirect:
                        url = urljoin(url, answer.headers.get("location", ""))
                        continue
                    if answer.status_code in {401, 403, 404}:
                        raise HubServerError(404, "the upstream Hub has no such thing, or does not show it")
                    if not answer.is_success:
                        raise HubServerError(502, f"the upstream Hub answers with the status {answer.status_code}")
                    try:
                        yield answer
                    except httpx.HTTPError:
                        raise HubServerError(504, "the upstream Hub stopped in the middle of an answer") from None
                    return
        raise HubServerError(502, "the upstream Hub leads from one address to the next")

    def _json(self, path: str) -> tuple[Any, str | None]:
        """Return an answer, and the path of the next page of it."""
        body = bytearray()
        with self._ask(path) as answer:
            for piece in answer.iter_bytes(_PIECE):
                body += piece
                if len(body) > _ANSWER:
                    raise HubServerError(502, "the upstream Hub's answer is too long")
            following = answer.links.get("next", {}).get("url")
        try:
            value = json.loads(body)
        except ValueError:
            raise HubServerError(502, "the upstream Hub's answer is not JSON") from None
        if following is None:
            return value, None
        parts = urlsplit(urljoin(self._url, following))
        return value, f"{parts.path}?{parts.query}"

    # ------------------------------------------------------------------ repositories and revisions

    def prepare(self, kind: str, name: str, revision: str) -> None:
        """See to it that a repository and a revision of it are here, if the upstream has them.

        What is here is served as it is; whether a branch moved is asked in the background.
        """
        with self._database.read() as connection:
            row = connection.execute(
                select(db.repo).where(db.repo.c.kind == kind, db.repo.c.key == name.lower())
            ).one_or_none()
            copy = None if row is None else self._mirror(connection, row.id)
            if row is not None and copy is None:
                return  # one of this Hub's own
            here = row is not None and self._has(connection, row.id, revision)
        if row is None and (name.count("/") > 1 or self._repositories.has_alias(kind, name)):
            return
        if here and copy is not None:
            if copy.checked < time.time() - FRESH and not is_commit(revision):
                threading.Thread(target=self._again, args=(kind, name, revision), daemon=True).start()
            return
        with self._alone(f"{kind}/{name}"), contextlib.suppress(_Absent):
            self._pull(kind, name, revision)

    def _again(self, kind: str, name: str, revision: str) -> None:
        try:
            with self._alone(f"{kind}/{name}"):
                with self._database.read() as connection:
                    copy = self._mirror(connection, self._row(connection, kind, name).id)
                if copy is not None and copy.checked < time.time() - FRESH:
                    self._pull(kind, name, revision)
        except (HubServerError, _Absent) as error:
            _log.info("%s/%s is served as it was: %s", kind, name, error)

    def _mirror(self, connection: Connection, repo_id: int) -> Row[Any] | None:
        return connection.execute(select(db.mirror).where(db.mirror.c.repo_id == repo_id)).one_or_none()

    def _row(self, connection: Connection, kind: str, name: str) -> Row[Any]:
        wanted = (db.repo.c.kind == kind) & (db.repo.c.key == name.lower())
        return connection.execute(select(db.repo).where(wanted)).one()

    def _has(self, connection: Connection, repo_id: int, revision: str) -> bool:
        try:
            self._repositories.revision(connection, repo_id, revision)
        except HubServerError:
            return False
        return True

    @contextlib.contextmanager
    def _alone(self, what: str) -> Iterator[None]:
        with self._lock:
            mine = self._busy.setdefault(what, threading.Lock())
        with mine:
            yield

    def _pull(self, kind: str, name: str, revision: str) -> None:
        """Fetch what a revision holds, without the files' contents, and where every reference is.

        Where the upstream answers under another id (``gpt2`` is ``openai-community/gpt2``, and repositories move), the
        copy has that id, and the one that was asked for leads to it.
        """
        asked = name
        try:
            info, _ = self._json(f"/api/{kind}/{quote(name)}/revision/{quote(revision, safe='')}")
        except HubServerError as error:
            if error.status == 404:
                raise _Absent from None
            raise
        try:
            name, oid = str(info["id"]), str(info["sha"])
            check_name(name.partition("/")[0], "account")
            check_name(name.partition("/")[2])
            if not is_commit(oid):
                raise ValueError
        except (KeyError, TypeError, ValueError):
            raise HubServerError(502, "the upstream Hub does not say what the repository holds") from None
        if name.lower() != asked.lower():
            with self._database.read() as connection:
                copied, known = self._copied(connection, kind, asked), self._copied(connection, kind, name)
            if known is False:
                raise _Absent  # one of this Hub's own, of which nobody learns by what an upstream says
            if copied is not None:
                name = asked  # it moved since; the copy stays where it is
        base = f"/api/{kind}/{quote(name)}"
        files = self._files(base, oid)
        said, _ = self._json(f"{base}/refs")
        refs = {
            str(item["ref"]): str(item["targetCommit"])
            for group in ("branches", "tags", "converts")
            for item in said.get(group) or []
            if str(item["ref"]).startswith("refs/") and is_commit(str(item["targetCommit"]))
        }
        with self._database.write() as connection:
            self._keep(connection, kind, name, info, oid, files, refs)
        self._describe(kind, name, oid, refs)
        if name.lower() != asked.lower():
            with contextlib.suppress(HubServerError):  # a word that addresses use is nobody's name
                self._repositories.add_alias(kind, asked, name)

    def _copied(self, connection: Connection, kind: str, name: str) -> bool | None:
        """Say whether a repository of this Hub is a copy; None where it has none of that name."""
        wanted = (db.repo.c.kind == kind) & (db.repo.c.key == name.lower())
        repo_id = connection.scalar(select(db.repo.c.id).where(wanted))
        return None if repo_id is None else self._mirror(connection, repo_id) is not None

    def _files(self, base: str, oid: str) -> dict[str, _File]:
        files: dict[str, _File] = {}
        following: str | None = f"{base}/tree/{oid}?recursive=true"
        while following is not None:
            page, following = self._json(following)
            for item in page:
                if item["type"] == "file":
                    large = item.get("lfs")
                    sha256 = str(large["oid"]) if large else None
                    if sha256 is not None:
                        BlobStore.name(sha256)
                    files[check_path(str(item["path"]))] = _File(str(item["oid"]), int(item["size"]), sha256)
        return files

    def _keep(
        self,
        connection: Connection,
        kind: str,
        name: str,
        info: dict[str, Any],
        oid: str,
        files: dict[str, _File],
        refs: dict[str, str],
    ) -> None:
        wanted = (db.repo.c.kind == kind) & (db.repo.c.key == name.lower())
        repo = connection.execute(select(db.repo).where(wanted)).one_or_none()
        # What the upstream shows to the operator's token alone is nobody else's here either.
        shut = bool(info.get("private")) or info.get("gated") not in {None, False, "false"}
        if repo is None:
            self._accounts.ensure_namespace(connection, name.partition("/")[0])
            repo = self._repositories.add(connection, kind, name, private=shut, sdk=info.get("sdk"))
            connection.execute(insert(db.mirror).values(repo_id=repo.id, checked=0.0))
        elif self._mirror(connection, repo.id) is None:
            return  # made here meanwhile
        connection.execute(update(db.repo).where(db.repo.c.id == repo.id).values(private=shut))
        known = set(
            connection.scalars(select(db.blob.c.oid).where(db.blob.c.oid.in_({file.oid for file in files.values()})))
            if len(files) < 500
            else connection.scalars(select(db.blob.c.oid))
        )
        for path, file in files.items():
            if file.oid in known:
                continue
            known.add(file.oid)
            values = {"sha256": file.sha256 or "", "size": file.size, "lfs": file.sha256 is not None}
            connection.execute(insert(db.blob).values(oid=file.oid, **values))
            connection.execute(insert(db.mirror_file).values(oid=file.oid, repo_id=repo.id, commit=oid, path=path))
        root = trees.change(connection, EMPTY_TREE, {path: file.oid for path, file in files.items()})
        table = db.commit
        if connection.scalar(select(table.c.oid).where(table.c.repo_id == repo.id, table.c.oid == oid)) is None:
            title = f"Copy of {oid[:8]} of {urlsplit(self._url).hostname}"
            values = {"tree": root, "title": title, "author": repo.namespace, "created": int(time.time())}
            connection.execute(insert(table).values(repo_id=repo.id, oid=oid, generation=0, data=b"", **values))
        connection.execute(delete(db.ref).where(db.ref.c.repo_id == repo.id))
        if refs:
            rows = [{"repo_id": repo.id, "name": ref, "commit": commit} for ref, commit in refs.items()]
            connection.execute(insert(db.ref), rows)
        connection.execute(update(db.mirror).where(db.mirror.c.repo_id == repo.id).values(checked=time.time()))

    def _describe(self, kind: str, name: str, oid: str, refs: dict[str, str]) -> None:
        """Fetch the card and the configuration of the main branch, for lists and searches."""
        if refs.get(MAIN) != oid:
            return
        with self._database.read() as connection:
            row = self._row(connection, kind, name)
            commit = self._repositories.revision(connection, row.id, oid)
            entries = [trees.find(connection, commit.tree, path) for path in ("README.md", "config.json")]
            rows = [self._commits.blob(connection, entry.oid) for entry in entries if entry and not entry.folder]
        for blob in rows:
            if blob.size <= 1_000_000:
                self.fetch(blob.oid)
        with self._database.write() as connection:
            row = self._row(connection, kind, name)
            self._commits.describe(connection, row, commit.tree)

    # ------------------------------------------------------------------ contents

    def lacks(self, oid: str) -> bool:
        """Say whether a file's content is still to be fetched."""
        with self._database.read() as connection:
            return self._place(connection, oid) is not None

    def _place(self, connection: Connection, oid: str) -> Row[Any] | None:
        table = db.mirror_file
        return connection.execute(
            select(table, db.repo.c.kind, db.repo.c.name, db.blob.c.size, db.blob.c.lfs, db.blob.c.sha256)
            .join(db.repo, db.repo.c.id == table.c.repo_id)
            .join(db.blob, db.blob.c.oid == table.c.oid)
            .where(table.c.oid == oid)
        ).one_or_none()

    def fetch(self, oid: str) -> Path | Callable[[], Reader]:
        """Fetch the content of a file, if it is not here, and return where it is."""
        for _ in self.stream(oid):
            pass
        with self._database.read() as connection:
            sha256 = self._commits.blob(connection, oid).sha256
        return self._blobs.source(sha256)

    def stream(self, oid: str) -> Iterator[bytes]:
        """Yield the content of a file as it comes, and keep it; the last piece comes once all of it was checked.

        Nothing is yielded for what is here by the time that it is this call's turn.

        Raises:
            HubServerError: 502, the upstream gives something else than it announced; 504, it cannot be reached.
        """
        with self._alone(oid):
            with self._database.read() as connection:
                place = self._place(connection, oid)
            if place is None:
                return
            prefix = "" if place.kind == "models" else f"{place.kind}/"
            path = f"/{prefix}{quote(place.name)}/resolve/{place.commit}/{quote(place.path)}"
            held = b""
            git = hashlib.sha1(b"blob %d\0" % place.size, usedforsecurity=False)
            with self._ask(path) as answer, self._blobs.writer(limit=place.size, what=f"{place.path} there") as writer:
                try:
                    for piece in answer.iter_bytes(_PIECE):
                        git.update(piece)
                        writer.write(piece)
                        if held:
                            yield held
                        held = piece
                    if not place.lfs and git.hexdigest() != oid:
                        raise HubServerError(422, "it has another hash")
                    stored = writer.finish(sha256=place.sha256 or None, size=place.size)
                except HubServerError as error:
                    if error.status in {413, 422}:
                        message = f"the upstream Hub gives another content of {place.path} than it announced"
                        raise HubServerError(502, message) from None
                    raise
                self._settle(place, stored)
            if held:
                yield held

    def _settle(self, place: Row[Any], stored: StoredBlob) -> None:
        with self._database.write() as connection:
            connection.execute(update(db.blob).where(db.blob.c.oid == place.oid).values(sha256=stored.sha256))
            if place.lfs:
                self._commits.grant(connection, place.repo_id, stored)
            connection.execute(delete(db.mirror_file).where(db.mirror_file.c.oid == place.oid))


class _Absent(Exception):
    """The upstream does not have it either."""
