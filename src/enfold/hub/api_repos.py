"""Calls about whole repositories: who owns them, making, describing, changing and deleting them."""

from __future__ import annotations

from typing import Any, Literal, overload
from urllib.parse import quote

from enfold.hub import constants, http
from enfold.hub.api_base import Caller, Token
from enfold.hub.auth import token_to_send
from enfold.hub.download import get_hf_file_metadata, hf_hub_url
from enfold.hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from enfold.hub.types import (
    DatasetInfo,
    ModelInfo,
    RepoUrl,
    SpaceInfo,
)
from enfold.hub.validation import check_repo_type, validate_repo_id

__all__ = ["RepositoryCalls"]


class RepositoryCalls(Caller):
    """Calls about accounts and whole repositories."""

    def whoami(self, token: Token = None, *, cache: bool = False) -> dict[str, Any]:
        """Return who holds the token: ``name``, ``fullname``, ``orgs``, ``auth``, …

        Args:
            token: whose holder is asked for.
            cache: whether an answer that this object got before, with ``cache=True``, will do.

        Raises:
            ValueError: the token is False: nobody holds it.
            LocalTokenNotFoundError: there is no token.
            HfHubHTTPError: the Hub does not know it.
        """
        effective = self._token(token)
        if effective is False:
            raise ValueError("whoami says who holds a token, so token=False makes no sense here")
        secret = token_to_send(True if effective is None else effective)
        if cache and secret in self._whoami_cache:
            return self._whoami_cache[secret]
        answer = dict(self._send("GET", f"{self.endpoint}/api/whoami-v2", secret).json())
        if cache and secret is not None:
            self._whoami_cache[secret] = answer
        return answer

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
