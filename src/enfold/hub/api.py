"""Everything the Hub does by a call: `HfApi`, and its methods as functions that use the environment's Hub and token."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO, Literal, overload
from urllib.parse import quote

from enfold.hub import constants, http
from enfold.hub.commit import (
    LFS_HEADERS,
    CommitOperationAdd,
    CommitOperationDelete,
    Operation,
    commit_lines,
    files_below,
    preupload,
    upload_large,
)
from enfold.hub.download import HfFileMetadata, get_hf_file_metadata, hf_hub_download, hf_hub_url
from enfold.hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from enfold.hub.snapshot import filter_repo_objects, snapshot_download
from enfold.hub.types import (
    CommitInfo,
    DatasetInfo,
    GitCommitInfo,
    GitRefInfo,
    GitRefs,
    ModelInfo,
    RepoFile,
    RepoFolder,
    RepoUrl,
    SpaceInfo,
    parse_datetime,
    parse_entry,
)
from enfold.hub.validation import check_repo_type, plural, validate_repo_id
from enfold.log import get_logger

__all__ = [
    "HfApi",
    "api",
    "auth_check",
    "create_branch",
    "create_commit",
    "create_repo",
    "create_tag",
    "dataset_info",
    "delete_branch",
    "delete_file",
    "delete_files",
    "delete_folder",
    "delete_repo",
    "delete_tag",
    "file_exists",
    "get_full_repo_name",
    "get_paths_info",
    "get_token_permission",
    "list_datasets",
    "list_models",
    "list_repo_commits",
    "list_repo_files",
    "list_repo_refs",
    "list_repo_tree",
    "list_spaces",
    "model_info",
    "move_repo",
    "preupload_lfs_files",
    "repo_exists",
    "repo_info",
    "revision_exists",
    "space_info",
    "update_repo_settings",
    "update_repo_visibility",
    "upload_file",
    "upload_folder",
    "upload_large_folder",
    "whoami",
]

_log = get_logger(__name__)

Token = bool | str | None
Patterns = Sequence[str] | str | None


class HfApi:
    """A Hub and the token to use with it.

    Args:
        endpoint: the Hub's address; ``HF_ENDPOINT`` by default.
        token: a token; True requires the saved one, False sends none, None sends it when there is one.
        library_name: who asks, for the Hub's log.
        library_version: its version.
        user_agent: more for the Hub's log.
        headers: further headers of downloads.

    Example:
        >>> HfApi("http://127.0.0.1:8420").endpoint
        'http://127.0.0.1:8420'
    """

    def __init__(
        self,
        endpoint: str | None = None,
        token: Token = None,
        library_name: str | None = None,
        library_version: str | None = None,
        user_agent: Any = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        self._endpoint = endpoint.rstrip("/") if endpoint else None
        self.token = token
        self.library_name, self.library_version = library_name, library_version
        self.user_agent, self.headers = user_agent, headers

    @property
    def endpoint(self) -> str:
        """The Hub's address; without one of its own, what ``HF_ENDPOINT`` says now."""
        return self._endpoint or constants.endpoint()

    def _token(self, token: Token) -> Token:
        return self.token if token is None else token

    def _api(self, repo_id: str, repo_type: str | None) -> str:
        validate_repo_id(repo_id)
        return f"{self.endpoint}/api/{plural(repo_type)}/{repo_id}"

    def _send(self, method: str, url: str, token: Token, **options: Any) -> Any:
        return http.request(method, url, token=self._token(token), **options)

    # ------------------------------------------------------------------ who

    def whoami(self, token: Token = None, *, cache: bool = False) -> dict[str, Any]:
        """Return who holds the token: ``name``, ``fullname``, ``orgs``, ``auth``, …

        Raises:
            LocalTokenNotFoundError: there is no token.
            HfHubHTTPError: the Hub does not know it.
        """
        effective = self._token(token)
        answer = self._send("GET", f"{self.endpoint}/api/whoami-v2", True if effective is None else effective)
        return dict(answer.json())

    def get_token_permission(self, token: Token = None) -> str | None:
        """Return "read" or "write", what the token allows; None when it is not valid."""
        try:
            return str(self.whoami(token)["auth"]["accessToken"]["role"])
        except (OSError, KeyError):
            return None

    def get_full_repo_name(self, model_id: str, *, organization: str | None = None, token: Token = None) -> str:
        """Return ``namespace/model_id``, with the organization or the token's user as the namespace."""
        return f"{organization or self.whoami(token)['name']}/{model_id}"

    def auth_check(
        self, repo_id: str, *, repo_type: str | None = None, token: Token = None, write: bool = False
    ) -> None:
        """Raise unless the token may read (or with ``write`` change) the repository.

        Raises:
            GatedRepoError, RepositoryNotFoundError, HfHubHTTPError
        """
        self._send("GET", f"{self._api(repo_id, repo_type)}/auth-check{'/write' if write else ''}", token)

    # ------------------------------------------------------------------ repositories

    def create_repo(
        self,
        repo_id: str,
        *,
        token: Token = None,
        private: bool | None = None,
        visibility: str | None = None,
        repo_type: str | None = None,
        exist_ok: bool = False,
        space_sdk: str | None = None,
        space_hardware: str | None = None,
        space_storage: str | None = None,
        space_sleep_time: int | None = None,
        space_secrets: Any = None,
        space_variables: Any = None,
        resource_group_id: str | None = None,
    ) -> RepoUrl:
        """Make a repository and return its address.

        Args:
            repo_id: ``namespace/name``, or ``name`` in the token's own namespace.
            token: a token that may write there.
            private: whether only members of the namespace see it.
            visibility: the same as "public" or "private".
            repo_type: "model" (the default), "dataset" or "space".
            exist_ok: return the address of a repository that exists instead of raising.
            space_sdk: what a Space runs: "gradio", "streamlit", "docker" or "static".
            space_hardware: passed on to the Hub, as the arguments after it are.
            space_storage: see above.
            space_sleep_time: see above.
            space_secrets: see above.
            space_variables: see above.
            resource_group_id: see above.

        Raises:
            HfHubHTTPError: it exists (409), or the token does not allow it (401, 403).
        """
        validate_repo_id(repo_id)
        kind = check_repo_type(repo_type)
        namespace, _, name = repo_id.rpartition("/")
        body: dict[str, Any] = {"name": name, "organization": namespace or None, "type": kind}
        if private is not None:
            body["private"] = private
        if visibility is not None:
            body["visibility"] = visibility
        if kind == "space":
            if space_sdk not in constants.SPACES_SDK_TYPES:
                raise ValueError(
                    f"space_sdk must be one of {', '.join(constants.SPACES_SDK_TYPES)} when repo_type='space'"
                )
            body["sdk"] = space_sdk
        more = {
            "hardware": space_hardware,
            "storageTier": space_storage,
            "sleepTimeSeconds": space_sleep_time,
            "secrets": space_secrets,
            "variables": space_variables,
            "resourceGroupId": resource_group_id,
        }
        body.update({key: value for key, value in more.items() if value is not None})
        response = self._send("POST", f"{self.endpoint}/api/repos/create", token, json=body, check=False)
        if response.status_code == 409 and exist_ok:
            url = response.json().get("url") or self._page(self._owned(repo_id, token), kind)
            return RepoUrl(url, endpoint=self.endpoint)
        if response.status_code in {401, 403} and exist_ok and self._exists_quietly(repo_id, kind, token):
            return RepoUrl(self._page(repo_id, kind), endpoint=self.endpoint)
        http.hf_raise_for_status(response)
        return RepoUrl(response.json()["url"], endpoint=self.endpoint)

    def _exists_quietly(self, repo_id: str, kind: str, token: Token) -> bool:
        try:
            return "/" in repo_id and self.repo_exists(repo_id, repo_type=kind, token=token)
        except OSError:
            return False

    def _owned(self, repo_id: str, token: Token) -> str:
        return repo_id if "/" in repo_id else self.get_full_repo_name(repo_id, token=token)

    def _page(self, repo_id: str, kind: str) -> str:
        return f"{self.endpoint}/{constants.REPO_TYPES_URL_PREFIXES.get(kind, '')}{repo_id}"

    def delete_repo(
        self, repo_id: str, *, token: Token = None, repo_type: str | None = None, missing_ok: bool = False
    ) -> None:
        """Delete a repository for good.

        Raises:
            RepositoryNotFoundError: it does not exist; not with ``missing_ok``.
        """
        validate_repo_id(repo_id)
        namespace, _, name = repo_id.rpartition("/")
        body = {"name": name, "organization": namespace or None, "type": check_repo_type(repo_type)}
        try:
            self._send("DELETE", f"{self.endpoint}/api/repos/delete", token, json=body)
        except RepositoryNotFoundError:
            if not missing_ok:
                raise

    def move_repo(self, from_id: str, to_id: str, *, repo_type: str | None = None, token: Token = None) -> None:
        """Rename a repository; the old id leads to the new one."""
        for repo_id in (from_id, to_id):
            validate_repo_id(repo_id)
            if "/" not in repo_id:
                raise ValueError(f"move_repo needs full ids with their namespace, not {repo_id!r}")
        body = {"fromRepo": from_id, "toRepo": to_id, "type": check_repo_type(repo_type)}
        self._send("POST", f"{self.endpoint}/api/repos/move", token, json=body)

    def update_repo_settings(
        self,
        repo_id: str,
        *,
        gated: Literal["auto", "manual", False] | None = None,
        private: bool | None = None,
        visibility: str | None = None,
        token: Token = None,
        repo_type: str | None = None,
    ) -> None:
        """Change who sees a repository (``private`` or ``visibility``) and whether its terms must be accepted."""
        body = {"gated": gated, "private": private, "visibility": visibility}
        body = {key: value for key, value in body.items() if value is not None}
        self._send("PUT", f"{self._api(repo_id, repo_type)}/settings", token, json=body)

    def update_repo_visibility(
        self, repo_id: str, private: bool = False, *, token: Token = None, repo_type: str | None = None
    ) -> dict[str, bool]:
        """Make a repository private or public; the older call for :meth:`update_repo_settings`."""
        self.update_repo_settings(repo_id, private=private, token=token, repo_type=repo_type)
        return {"private": private}

    @overload
    def repo_info(
        self,
        repo_id: str,
        *,
        revision: str | None = ...,
        repo_type: Literal["dataset"],
        timeout: float | None = ...,
        files_metadata: bool = ...,
        expand: Any = ...,
        token: Token = ...,
    ) -> DatasetInfo: ...
    @overload
    def repo_info(
        self,
        repo_id: str,
        *,
        revision: str | None = ...,
        repo_type: str | None = ...,
        timeout: float | None = ...,
        files_metadata: bool = ...,
        expand: Any = ...,
        token: Token = ...,
    ) -> Any: ...

    def repo_info(
        self,
        repo_id: str,
        *,
        revision: str | None = None,
        repo_type: str | None = None,
        timeout: float | None = None,
        files_metadata: bool = False,
        expand: Any = None,
        token: Token = None,
    ) -> Any:
        """Return what the Hub says about a repository: a ModelInfo, DatasetInfo or SpaceInfo.

        Args:
            repo_id: the repository.
            revision: a branch, tag or commit; the main branch by default.
            repo_type: "model" (the default), "dataset" or "space".
            timeout: seconds to wait for the answer.
            files_metadata: also the files' sizes and ids.
            expand: only these members, such as ``["downloads", "likes"]``.
            token: as everywhere.

        Raises:
            RepositoryNotFoundError, RevisionNotFoundError: the Hub has no such thing.
        """
        kind = check_repo_type(repo_type)
        url = self._api(repo_id, kind) + (f"/revision/{quote(revision, safe='')}" if revision else "")
        params: list[tuple[str, str]] = [("blobs", "true")] if files_metadata else []
        params += [("expand", str(name)) for name in ([expand] if isinstance(expand, str) else expand or [])]
        raw = self._send("GET", url, token, params=params, timeout=timeout, follow=True).json()
        return {"model": ModelInfo, "dataset": DatasetInfo, "space": SpaceInfo}[kind](**raw)

    def model_info(self, repo_id: str, *, securityStatus: bool | None = None, **options: Any) -> ModelInfo:
        """Return what the Hub says about a model; takes the options of :meth:`repo_info`."""
        return self.repo_info(repo_id, **{**options, "repo_type": "model"})  # type: ignore[no-any-return]

    def dataset_info(self, repo_id: str, **options: Any) -> DatasetInfo:
        """Return what the Hub says about a dataset; takes the options of :meth:`repo_info`."""
        return self.repo_info(repo_id, **{**options, "repo_type": "dataset"})  # type: ignore[no-any-return]

    def space_info(self, repo_id: str, **options: Any) -> SpaceInfo:
        """Return what the Hub says about a Space; takes the options of :meth:`repo_info`."""
        return self.repo_info(repo_id, **{**options, "repo_type": "space"})  # type: ignore[no-any-return]

    def repo_exists(self, repo_id: str, *, repo_type: str | None = None, token: Token = None) -> bool:
        """Say whether a repository exists and the token may see it."""
        try:
            self.repo_info(repo_id, repo_type=repo_type, token=token, expand=["sha"])
        except GatedRepoError:
            return True
        except RepositoryNotFoundError:
            return False
        return True

    def revision_exists(
        self, repo_id: str, revision: str, *, repo_type: str | None = None, token: Token = None
    ) -> bool:
        """Say whether a repository has a branch, tag or commit."""
        try:
            self.repo_info(repo_id, revision=revision, repo_type=repo_type, token=token, expand=["sha"])
        except (RepositoryNotFoundError, RevisionNotFoundError):
            return False
        return True

    def file_exists(
        self,
        repo_id: str,
        filename: str,
        *,
        repo_type: str | None = None,
        revision: str | None = None,
        token: Token = None,
    ) -> bool:
        """Say whether a repository has a file at a revision."""
        url = hf_hub_url(repo_id, filename, repo_type=repo_type, revision=revision, endpoint=self.endpoint)
        try:
            get_hf_file_metadata(url, self._token(token))
        except GatedRepoError:
            raise
        except (RepositoryNotFoundError, RevisionNotFoundError, EntryNotFoundError):
            return False
        return True

    # ------------------------------------------------------------------ lists

    def _list(self, kind: str, make: Any, limit: int | None, token: Token, params: dict[str, Any]) -> Iterator[Any]:
        query: list[tuple[str, str]] = []
        for name, value in params.items():
            for item in value if isinstance(value, (list, tuple, set)) else [value]:
                if item is not None and item is not False:
                    query.append((name, "true" if item is True else str(item)))
        if limit is not None:
            query.append(("limit", str(limit)))
        found = http.pages(f"{self.endpoint}/api/{kind}", token=self._token(token), params=query)
        for raw in itertools.islice(found, limit):
            yield make(**raw)

    def list_models(
        self,
        *,
        filter: str | Iterable[str] | None = None,
        author: str | None = None,
        search: str | None = None,
        sort: str | None = None,
        direction: int | None = None,
        limit: int | None = None,
        full: bool | None = None,
        cardData: bool = False,
        expand: Sequence[str] | None = None,
        pipeline_tag: str | None = None,
        gated: bool | None = None,
        fetch_config: bool = False,
        token: Token = None,
        task: str | None = None,
        library: str | Iterable[str] | None = None,
        language: str | Iterable[str] | None = None,
        tags: str | Iterable[str] | None = None,
        trained_dataset: str | Iterable[str] | None = None,
        model_name: str | None = None,
        **more: Any,
    ) -> Iterator[ModelInfo]:
        """Yield the models of the Hub that match.

        Args:
            filter: tags that a model must all have.
            author: the namespace.
            search: a word that the id must contain.
            sort: "downloads", "likes", "created_at", "last_modified" or "trending_score"; always descending.
            direction: accepted for older programs.
            limit: how many at most; all by default.
            full: with files and card data.
            cardData: with card data.
            expand: only these members.
            pipeline_tag: the task.
            gated: only gated or only ungated ones.
            fetch_config: with the configuration.
            token: as everywhere.
            task: a tag, as are the four arguments after it.
            library: see above.
            language: see above.
            tags: see above.
            trained_dataset: the dataset that a model was trained on.
            model_name: a word that the id must contain.
            more: further query parameters.
        """
        wanted = [*_items(filter), *_items(task), *_items(library), *_items(language), *_items(tags)]
        wanted += [name if name.startswith("dataset:") else f"dataset:{name}" for name in _items(trained_dataset)]
        params = {
            "filter": wanted,
            "author": author,
            "search": [search, model_name],
            "sort": _SORTS.get(sort or "", sort),
            "full": full if full is not None else (None if expand else True if cardData else None),
            "cardData": cardData,
            "config": fetch_config,
            "expand": expand,
            "pipeline_tag": pipeline_tag,
            "gated": gated,
            **more,
        }
        yield from self._list("models", ModelInfo, limit, token, params)

    def list_datasets(
        self,
        *,
        filter: str | Iterable[str] | None = None,
        author: str | None = None,
        search: str | None = None,
        sort: str | None = None,
        direction: int | None = None,
        limit: int | None = None,
        full: bool | None = None,
        expand: Sequence[str] | None = None,
        token: Token = None,
        dataset_name: str | None = None,
        language: str | Iterable[str] | None = None,
        task_categories: str | Iterable[str] | None = None,
        size_categories: str | Iterable[str] | None = None,
        tags: str | Iterable[str] | None = None,
        **more: Any,
    ) -> Iterator[DatasetInfo]:
        """Yield the datasets of the Hub that match; arguments as in :meth:`list_models`."""
        wanted = [*_items(filter), *_items(tags)]
        for prefix, values in (
            ("language", language),
            ("task_categories", task_categories),
            ("size_categories", size_categories),
        ):
            wanted += [name if name.startswith(f"{prefix}:") else f"{prefix}:{name}" for name in _items(values)]
        params = {
            "filter": wanted,
            "author": author,
            "search": [search, dataset_name],
            "sort": _SORTS.get(sort or "", sort),
            "full": full,
            "expand": expand,
            **more,
        }
        yield from self._list("datasets", DatasetInfo, limit, token, params)

    def list_spaces(
        self,
        *,
        filter: str | Iterable[str] | None = None,
        author: str | None = None,
        search: str | None = None,
        sort: str | None = None,
        direction: int | None = None,
        limit: int | None = None,
        full: bool | None = None,
        expand: Sequence[str] | None = None,
        token: Token = None,
        **more: Any,
    ) -> Iterator[SpaceInfo]:
        """Yield the Spaces of the Hub that match; arguments as in :meth:`list_models`."""
        params = {
            "filter": list(_items(filter)),
            "author": author,
            "search": search,
            "sort": _SORTS.get(sort or "", sort),
            "full": full,
            "expand": expand,
            **more,
        }
        yield from self._list("spaces", SpaceInfo, limit, token, params)

    # ------------------------------------------------------------------ files

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

    def get_hf_file_metadata(self, *, url: str, token: Token = None, timeout: float | None = None) -> HfFileMetadata:
        """Return what the Hub says about the file at an address."""
        return get_hf_file_metadata(url, self._token(token), timeout)

    def hf_hub_download(self, repo_id: str, filename: str = "", **options: Any) -> str:
        """Return the path of a file, downloaded if needed; see :func:`enfold.hub.hf_hub_download`."""
        return hf_hub_download(repo_id, filename, **self._download_options(options))

    def snapshot_download(self, repo_id: str, **options: Any) -> str:
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

    # ------------------------------------------------------------------ commits

    def create_commit(
        self,
        repo_id: str,
        operations: Iterable[Operation],
        *,
        commit_message: str,
        commit_description: str | None = None,
        token: Token = None,
        repo_type: str | None = None,
        revision: str | None = None,
        create_pr: bool | None = None,
        num_threads: int = 4,
        parent_commit: str | None = None,
        run_as_future: bool = False,
        hot_reload: bool = False,
    ) -> CommitInfo:
        """Make one commit of several operations: all of them happen, or none.

        Args:
            repo_id: the repository.
            operations: CommitOperationAdd, CommitOperationDelete, CommitOperationCopy.
            commit_message: the commit's title.
            commit_description: more about it.
            token: a token that may write.
            repo_type: "model" (the default), "dataset" or "space".
            revision: the branch; "main" by default.
            create_pr: open a pull request instead (the Hub has to offer them).
            num_threads: how many large files are uploaded at once (4).
            parent_commit: fail with 412 unless this is the branch's head.
            run_as_future: not offered; True raises.
            hot_reload: accepted; for Spaces that run.

        Raises:
            ValueError: the message is empty, two operations add the same path, or a card's metadata is invalid.
            RepositoryNotFoundError, RevisionNotFoundError, HfHubHTTPError
        """
        if run_as_future:
            raise ValueError("run_as_future is not offered: call from a thread of your own")
        if not commit_message or not commit_message.strip():
            raise ValueError("commit_message must not be empty")
        api_url = self._api(repo_id, repo_type)
        branch = revision or constants.DEFAULT_REVISION
        secret = self._token(token)
        chosen = list(operations)
        additions = [item for item in chosen if isinstance(item, CommitOperationAdd)]
        paths = [item.path_in_repo for item in additions]
        twice = {path for path in paths if paths.count(path) > 1} if len(set(paths)) < len(paths) else set()
        if twice:
            raise ValueError(f"{sorted(twice)[0]!r} is added twice in one commit")
        self._check_card(additions, repo_type, secret)
        ignores = [item for item in additions if item.path_in_repo == ".gitignore"]
        fresh = [item for item in additions if item._upload_mode is None]
        git_ignore = b"".join(ignores[0].chunks()).decode("utf-8", "replace") if ignores else None
        preupload(api_url, branch, fresh, token=secret, git_ignore=git_ignore)
        upload_large(
            f"{self._page(repo_id, check_repo_type(repo_type))}.git",
            [
                item
                for item in additions
                if item._upload_mode == "lfs" and not item._should_ignore and not item.unchanged()
            ],
            token=secret,
            threads=num_threads,
        )
        kept = [
            item
            for item in chosen
            if not (isinstance(item, CommitOperationAdd) and (item._should_ignore or item.unchanged()))
        ]
        if chosen and not kept:
            _log.info("No files have been modified since the last commit of %s; no commit is made", repo_id)
            return self._head(repo_id, repo_type, branch, commit_message, commit_description, secret)
        response = http.request(
            "POST",
            f"{api_url}/commit/{quote(branch, safe='')}",
            token=secret,
            params={"create_pr": "1"} if create_pr else None,
            headers={"content-type": "application/x-ndjson", **LFS_HEADERS},
            content=lambda: commit_lines(kept, commit_message, commit_description or "", parent_commit),
            timeout=600,
        )
        answer = response.json()
        return CommitInfo(
            commit_url=answer["commitUrl"],
            commit_message=commit_message,
            commit_description=commit_description or "",
            oid=answer["commitOid"],
            pr_url=answer.get("pullRequestUrl"),
            repo_url=RepoUrl(self._page(repo_id, check_repo_type(repo_type)), endpoint=self.endpoint),
        )

    def _head(
        self, repo_id: str, repo_type: str | None, branch: str, message: str, description: str | None, token: Token
    ) -> CommitInfo:
        oid = str(self.repo_info(repo_id, repo_type=repo_type, revision=branch, token=token, expand=["sha"]).sha)
        page = self._page(repo_id, check_repo_type(repo_type))
        return CommitInfo(
            commit_url=f"{page}/commit/{oid}",
            commit_message=message,
            commit_description=description or "",
            oid=oid,
            repo_url=RepoUrl(page, endpoint=self.endpoint),
        )

    def _check_card(self, additions: Sequence[CommitOperationAdd], repo_type: str | None, token: Token) -> None:
        for item in additions:
            if item.path_in_repo == constants.REPOCARD_NAME:
                content = b"".join(item.chunks()).decode("utf-8", "replace")
                body = {"content": content, "repoType": check_repo_type(repo_type)}
                response = self._send("POST", f"{self.endpoint}/api/validate-yaml", token, json=body, check=False)
                if response.status_code == 404:  # a Hub without the check
                    return
                answer = response.json() if response.status_code in {200, 400, 422} else {}
                if answer.get("errors"):
                    found = "\n".join(f"- {error['message']}" for error in answer["errors"])
                    raise ValueError(f"Invalid metadata in README.md.\n{found}")
                http.hf_raise_for_status(response)

    def preupload_lfs_files(
        self,
        repo_id: str,
        additions: Iterable[CommitOperationAdd],
        *,
        token: Token = None,
        repo_type: str | None = None,
        revision: str | None = None,
        create_pr: bool | None = None,
        num_threads: int = 4,
        free_memory: bool = True,
        gitignore_content: str | None = None,
    ) -> None:
        """Upload the large files of a later :meth:`create_commit` now."""
        chosen = [item for item in additions if not item._is_uploaded]
        secret = self._token(token)
        preupload(self._api(repo_id, repo_type), revision or "main", chosen, token=secret, git_ignore=gitignore_content)
        upload_large(
            f"{self._page(repo_id, check_repo_type(repo_type))}.git",
            [item for item in chosen if item._upload_mode == "lfs" and not item._should_ignore],
            token=secret,
            threads=num_threads,
        )

    def upload_file(
        self,
        *,
        path_or_fileobj: str | os.PathLike[str] | bytes | BinaryIO,
        path_in_repo: str,
        repo_id: str,
        token: Token = None,
        repo_type: str | None = None,
        revision: str | None = None,
        commit_message: str | None = None,
        commit_description: str | None = None,
        create_pr: bool | None = None,
        parent_commit: str | None = None,
        run_as_future: bool = False,
    ) -> CommitInfo:
        """Add or replace one file in one commit; arguments as in :meth:`create_commit`.

        Example:
            >>> HfApi().upload_file(path_or_fileobj=b"hello", path_in_repo="a.txt", repo_id="me/x")  # doctest: +SKIP
        """
        return self.create_commit(
            repo_id,
            [CommitOperationAdd(path_in_repo, path_or_fileobj)],
            commit_message=commit_message or f"Upload {path_in_repo} with enfold",
            commit_description=commit_description,
            token=token,
            repo_type=repo_type,
            revision=revision,
            create_pr=create_pr,
            parent_commit=parent_commit,
            run_as_future=run_as_future,
        )

    def upload_folder(
        self,
        *,
        repo_id: str,
        folder_path: str | os.PathLike[str],
        path_in_repo: str | None = None,
        commit_message: str | None = None,
        commit_description: str | None = None,
        token: Token = None,
        repo_type: str | None = None,
        revision: str | None = None,
        create_pr: bool | None = None,
        parent_commit: str | None = None,
        allow_patterns: Patterns = None,
        ignore_patterns: Patterns = None,
        delete_patterns: Patterns = None,
        run_as_future: bool = False,
        **ignored: Any,
    ) -> CommitInfo:
        """Upload a folder in one commit.

        Args:
            repo_id: the repository.
            folder_path: the folder; ``.git`` and ``.cache/huggingface`` in it are left out.
            path_in_repo: where it goes; the repository's root by default.
            commit_message: the commit's title.
            commit_description: more about it.
            token: a token that may write.
            repo_type: "model" (the default), "dataset" or "space".
            revision: the branch; "main" by default.
            create_pr: open a pull request instead.
            parent_commit: fail unless this is the branch's head.
            allow_patterns: shell patterns; only files that match one are uploaded.
            ignore_patterns: files that match one are not.
            delete_patterns: files of the repository that match one and are not uploaded are deleted.
            run_as_future: not offered; True raises.
            ignored: retired arguments.

        Raises:
            ValueError: the folder does not exist.
        """
        folder = os.path.expanduser(folder_path)
        if not os.path.isdir(folder):
            raise ValueError(f"there is no folder {str(folder_path)!r} to upload")
        prefix = f"{path_in_repo.strip('/')}/" if path_in_repo and path_in_repo.strip("/.") else ""
        files = filter_repo_objects(
            files_below(folder),
            allow_patterns=allow_patterns,
            ignore_patterns=ignore_patterns,
            key=lambda item: item[0],
        )
        additions = [CommitOperationAdd(prefix + name, path) for name, path in files]
        deletions: list[Operation] = []
        if delete_patterns is not None:
            there = self.list_repo_files(repo_id, revision=revision, repo_type=repo_type, token=token)
            below = [path.removeprefix(prefix) for path in there if path.startswith(prefix)]
            kept = {prefix + name for name, _ in files} | {".gitattributes"}
            gone = filter_repo_objects(below, allow_patterns=delete_patterns)
            deletions = [CommitOperationDelete(prefix + name, False) for name in gone if prefix + name not in kept]
        return self.create_commit(
            repo_id,
            [*deletions, *additions],
            commit_message=commit_message or "Upload folder with enfold",
            commit_description=commit_description,
            token=token,
            repo_type=repo_type,
            revision=revision,
            create_pr=create_pr,
            parent_commit=parent_commit,
            run_as_future=run_as_future,
        )

    def upload_large_folder(self, repo_id: str, folder_path: str | os.PathLike[str], **options: Any) -> None:
        """Upload a folder; what an earlier attempt uploaded is not sent again. Options as in :meth:`upload_folder`."""
        known = {"repo_type", "revision", "allow_patterns", "ignore_patterns", "token"}
        self.create_repo(
            repo_id, repo_type=options.get("repo_type"), private=options.pop("private", None), exist_ok=True
        )
        chosen = {name: value for name, value in options.items() if name in known}
        self.upload_folder(repo_id=repo_id, folder_path=folder_path, **chosen)

    def delete_file(
        self, path_in_repo: str, repo_id: str, *, commit_message: str | None = None, **options: Any
    ) -> CommitInfo:
        """Delete a file; options as in :meth:`create_commit`."""
        message = commit_message or f"Delete {path_in_repo} with enfold"
        return self.create_commit(
            repo_id, [CommitOperationDelete(path_in_repo, False)], commit_message=message, **options
        )

    def delete_files(
        self, repo_id: str, delete_patterns: list[str], *, commit_message: str | None = None, **options: Any
    ) -> CommitInfo:
        """Delete the files that match shell patterns; options as in :meth:`create_commit`."""
        where = {name: options[name] for name in ("token", "repo_type", "revision") if name in options}
        gone = filter_repo_objects(self.list_repo_files(repo_id, **where), allow_patterns=delete_patterns)
        message = commit_message or f"Delete files {' '.join(delete_patterns)} with enfold"
        operations = [CommitOperationDelete(path, False) for path in gone]
        return self.create_commit(repo_id, operations, commit_message=message, **options)

    def delete_folder(
        self, path_in_repo: str, repo_id: str, *, commit_message: str | None = None, **options: Any
    ) -> CommitInfo:
        """Delete a folder; options as in :meth:`create_commit`."""
        message = commit_message or f"Delete folder {path_in_repo} with enfold"
        return self.create_commit(
            repo_id, [CommitOperationDelete(path_in_repo, True)], commit_message=message, **options
        )

    # ------------------------------------------------------------------ references and history

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


def _items(value: str | Iterable[str] | None) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else list(value)


_SORTS = {"last_modified": "lastModified", "created_at": "createdAt", "trending_score": "trendingScore"}

#: the Hub that the environment names, for the functions below
api = HfApi()
whoami = api.whoami
get_token_permission = api.get_token_permission
get_full_repo_name = api.get_full_repo_name
auth_check = api.auth_check
create_repo = api.create_repo
delete_repo = api.delete_repo
move_repo = api.move_repo
update_repo_settings = api.update_repo_settings
update_repo_visibility = api.update_repo_visibility
repo_info = api.repo_info
model_info = api.model_info
dataset_info = api.dataset_info
space_info = api.space_info
repo_exists = api.repo_exists
revision_exists = api.revision_exists
file_exists = api.file_exists
list_models = api.list_models
list_datasets = api.list_datasets
list_spaces = api.list_spaces
list_repo_tree = api.list_repo_tree
list_repo_files = api.list_repo_files
get_paths_info = api.get_paths_info
create_commit = api.create_commit
preupload_lfs_files = api.preupload_lfs_files
upload_file = api.upload_file
upload_folder = api.upload_folder
upload_large_folder = api.upload_large_folder
delete_file = api.delete_file
delete_files = api.delete_files
delete_folder = api.delete_folder
list_repo_refs = api.list_repo_refs
list_repo_commits = api.list_repo_commits
create_branch = api.create_branch
create_tag = api.create_tag
delete_branch = api.delete_branch
delete_tag = api.delete_tag
