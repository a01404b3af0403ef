"""Calls about the files, branches, tags and history of a repository."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from enfold.hub import http
from enfold.hub.api_base import Caller, Token
from enfold.hub.cache import RepoCache, is_commit_hash
from enfold.hub.download import HfFileMetadata, get_hf_file_metadata, hf_hub_download
from enfold.hub.errors import OfflineModeIsEnabled, RevisionResolutionError
from enfold.hub.revisions import ResolvedRevision, pinned
from enfold.hub.snapshot import snapshot_download
from enfold.hub.types import (
    GitCommitInfo,
    GitRefInfo,
    GitRefs,
    RepoFile,
    RepoFolder,
    parse_datetime,
    parse_entry,
)
from enfold.hub.verification import FolderVerification, verify_folder

__all__ = ["FileCalls"]


class FileCalls(Caller):
    """Calls about what is in a repository."""

    def list_repo_tree(
        self,
        repo_id: str,
        path_in_repo: str | None = None,
        *,
        recursive: bool = False,
        expand: bool = False,
        revision: str | None = None,
        repo_type: str | None = None,
        token: Token = None,
    ) -> Iterator[RepoFile | RepoFolder]:
        """Yield the files and folders of a repository, or below ``path_in_repo``.

        Args:
            repo_id: the repository.
            path_in_repo: a folder.
            recursive: also what is in its folders.
            expand: also the commit that last changed each of them.
            revision: a branch, tag or commit; "main" by default.
            repo_type: "model" (the default), "dataset" or "space".
            token: as everywhere.

        Raises:
            RepositoryNotFoundError, RevisionNotFoundError, EntryNotFoundError
        """
        url = f"{self._api(repo_id, repo_type)}/tree/{quote(revision or 'main', safe='')}"
        if path_in_repo:
            url += "/" + quote(path_in_repo.strip("/"), safe="")
        params = {"recursive": str(recursive), "expand": str(expand)}
        for raw in http.pages(url, token=self._token(token), params=params):
            yield parse_entry(raw)

    def list_repo_files(
        self, repo_id: str, *, revision: str | None = None, repo_type: str | None = None, token: Token = None
    ) -> list[str]:
        """Return the paths of all files of a repository."""
        entries = self.list_repo_tree(repo_id, recursive=True, revision=revision, repo_type=repo_type, token=token)
        return [entry.path for entry in entries if isinstance(entry, RepoFile)]

    def get_paths_info(
        self,
        repo_id: str,
        paths: list[str] | str,
        *,
        expand: bool = False,
        revision: str | None = None,
        repo_type: str | None = None,
        token: Token = None,
    ) -> list[RepoFile | RepoFolder]:
        """Return the files and folders named; those that do not exist are left out."""
        url = f"{self._api(repo_id, repo_type)}/paths-info/{quote(revision or 'main', safe='')}"
        data = {"paths": [paths] if isinstance(paths, str) else list(paths), "expand": str(expand)}
        return [parse_entry(raw) for raw in self._send("POST", url, token, data=data).json()]

    def resolve_revision(
        self,
        repo_id: str,
        *,
        repo_type: str | None = None,
        revision: str | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        local_files_only: bool = False,
        token: Token = None,
    ) -> ResolvedRevision:
        """Return a revision together with the commit that it stands for now.

        Passed as ``revision`` to several calls it keeps them at one commit, whatever happens to the branch meanwhile.

        Args:
            repo_id: the repository.
            repo_type: "model" (the default), "dataset" or "space".
            revision: a branch, tag or commit; "main" by default.
            cache_dir: the cache, where the answer is kept for when the Hub cannot be reached.
            local_files_only: do not ask the Hub.
            token: as everywhere.

        Raises:
            RevisionResolutionError: nothing is cached, and the Hub could not be (or was not to be) asked.
            RepositoryNotFoundError, RevisionNotFoundError
        """
        if isinstance(revision, ResolvedRevision):
            if revision.of(repo_id, repo_type):
                return revision
            revision = revision.initial
        if revision is not None and is_commit_hash(revision):
            return ResolvedRevision(revision, revision, repo_id, repo_type)
        cache, name = RepoCache(repo_id, repo_type, cache_dir), revision or "main"
        why: Exception | None = None
        if not local_files_only:
            try:
                url = f"{self._api(repo_id, repo_type)}/revision/{quote(name, safe='')}"
                commit = str(self._send("GET", url, token, params={"expand": "sha"}).json()["sha"])
                cache.remember_quietly(name, commit)
                return ResolvedRevision(commit, revision, repo_id, repo_type)
            except Exception as error:
                if not (http.transient(error) or isinstance(error, OfflineModeIsEnabled)):
                    raise
                why = error
        kept = cache.commit_of(name)
        if kept is None:
            reason = f"the Hub cannot be asked ({why})" if why else "local_files_only=True"
            raise RevisionResolutionError(f"the commit of {repo_id!r} at {name!r} is not in the cache, and {reason}")
        return ResolvedRevision(kept, revision, repo_id, repo_type)

    def verify_repo_checksums(
        self,
        repo_id: str,
        *,
        repo_type: str | None = None,
        revision: str | None = None,
        local_dir: str | os.PathLike[str] | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        token: Token = None,
    ) -> FolderVerification:
        """Compare the files of a repository on this machine with the Hub's, by their hashes.

        Args:
            repo_id: the repository.
            repo_type: "model" (the default), "dataset" or "space".
            revision: a branch, tag or commit; in the cache, what it stood for when it was downloaded.
            local_dir: a folder to check instead of the cache.
            cache_dir: the cache; ``HF_HUB_CACHE`` by default.
            token: as everywhere.

        Raises:
            ValueError: there is no such folder, or the revision is not in the cache.
        """
        if local_dir is not None:
            folder, name = Path(local_dir).expanduser().resolve(), revision or "main"
        else:
            cache = RepoCache(repo_id, repo_type, cache_dir)
            name = cache.commit_of(pinned(revision, repo_id, repo_type)) or ""
            folder = cache.snapshot(name) if name else cache.folder
        if not name or not folder.is_dir():
            raise ValueError(f"{repo_id!r} at {revision or 'main'!r} is not on this machine: there is no {folder}")
        tree = self.list_repo_tree(repo_id, recursive=True, revision=name, repo_type=repo_type, token=token)
        return verify_folder(folder, name, [entry for entry in tree if isinstance(entry, RepoFile)])

    def get_hf_file_metadata(self, *, url: str, token: Token = None, timeout: float | None = None) -> HfFileMetadata:
        """Return what the Hub says about the file at an address."""
        return get_hf_file_metadata(url, self._token(token), timeout)

    def hf_hub_download(self, repo_id: str, filename: str = "", **options: Any) -> Any:
        """Return the path of a file, downloaded if needed; see :func:`enfold.hub.hf_hub_download`."""
        return hf_hub_download(repo_id, filename, **self._download_options(options))

    def snapshot_download(self, repo_id: str, **options: Any) -> Any:
        """Return the folder of a repository's files, downloaded if needed; see :func:`enfold.hub.snapshot_download`."""
        return snapshot_download(repo_id, **self._download_options(options))

    def _download_options(self, options: dict[str, Any]) -> dict[str, Any]:
        known = {
            "endpoint": self.endpoint,
            "token": self.token,
            "library_name": self.library_name,
            "library_version": self.library_version,
            "user_agent": self.user_agent,
            "headers": self.headers,
        }
        return {**known, **{name: value for name, value in options.items() if value is not None}}

    def list_repo_refs(
        self, repo_id: str, *, repo_type: str | None = None, include_pull_requests: bool = False, token: Token = None
    ) -> GitRefs:
        """Return the branches and tags of a repository."""
        params = {"include_prs": "1"} if include_pull_requests else None
        raw = self._send("GET", f"{self._api(repo_id, repo_type)}/refs", token, params=params).json()

        def parse(name: str) -> list[GitRefInfo]:
            return [GitRefInfo(item["name"], item["ref"], item["targetCommit"]) for item in raw.get(name) or []]

        requests = parse("pullRequests") if include_pull_requests else None
        return GitRefs(parse("branches"), parse("converts"), parse("tags"), requests)

    def list_repo_commits(
        self,
        repo_id: str,
        *,
        repo_type: str | None = None,
        token: Token = None,
        revision: str | None = None,
        formatted: bool = False,
    ) -> list[GitCommitInfo]:
        """Return the commits of a revision, newest first."""
        url = f"{self._api(repo_id, repo_type)}/commits/{quote(revision or 'main', safe='')}"
        params = {"expand[]": "formatted"} if formatted else None
        return [
            GitCommitInfo(
                commit_id=raw["id"],
                authors=[author["user"] for author in raw["authors"]],
                created_at=parse_datetime(raw["date"]),
                title=raw["title"],
                message=raw["message"],
                formatted_title=(raw.get("formatted") or {}).get("title"),
                formatted_message=(raw.get("formatted") or {}).get("message"),
            )
            for raw in http.pages(url, token=self._token(token), params=params)
        ]

    def create_branch(
        self,
        repo_id: str,
        *,
        branch: str,
        revision: str | None = None,
        token: Token = None,
        repo_type: str | None = None,
        exist_ok: bool = False,
    ) -> None:
        """Make a branch at a revision ("main" by default); 409 when it exists, unless ``exist_ok``."""
        body = {"startingPoint": revision} if revision else {}
        url = f"{self._api(repo_id, repo_type)}/branch/{quote(branch, safe='')}"
        self._make_ref(url, body, token, exist_ok)

    def create_tag(
        self,
        repo_id: str,
        *,
        tag: str,
        tag_message: str | None = None,
        revision: str | None = None,
        token: Token = None,
        repo_type: str | None = None,
        exist_ok: bool = False,
    ) -> None:
        """Make a tag at a revision ("main" by default); 409 when it exists, unless ``exist_ok``."""
        body = {"tag": tag, **({"message": tag_message} if tag_message else {})}
        url = f"{self._api(repo_id, repo_type)}/tag/{quote(revision or 'main', safe='')}"
        self._make_ref(url, body, token, exist_ok)

    def _make_ref(self, url: str, body: dict[str, str], token: Token, exist_ok: bool) -> None:
        response = self._send("POST", url, token, json=body, check=False)
        if not (response.status_code == 409 and exist_ok):
            http.hf_raise_for_status(response)

    def delete_branch(self, repo_id: str, *, branch: str, token: Token = None, repo_type: str | None = None) -> None:
        """Delete a branch."""
        self._send("DELETE", f"{self._api(repo_id, repo_type)}/branch/{quote(branch, safe='')}", token)

    def delete_tag(self, repo_id: str, *, tag: str, token: Token = None, repo_type: str | None = None) -> None:
        """Delete a tag."""
        self._send("DELETE", f"{self._api(repo_id, repo_type)}/tag/{quote(tag, safe='')}", token)
