"""Calls about what repositories take up, their copies and their tensors."""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from enfold.hub import constants, http
from enfold.hub.api_base import Token
from enfold.hub.api_files import FileCalls
from enfold.hub.api_repos import RepositoryCalls
from enfold.hub.download import hf_hub_url
from enfold.hub.errors import EntryNotFoundError, HfHubHTTPError
from enfold.hub.parallel import run_all
from enfold.hub.safetensors_info import (
    NotASafetensorsRepoError,
    SafetensorsFileMetadata,
    SafetensorsRepoMetadata,
    parse_header,
    read_header,
)
from enfold.hub.types import RepoUrl, parse_datetime

__all__ = ["LFSFileInfo", "RepoStorageInfo", "StorageCalls"]


@dataclasses.dataclass
class LFSFileInfo:
    """A large file of a repository.

    Args:
        file_oid: what it is called for :meth:`StorageCalls.permanently_delete_lfs_files`.
        filename: where it is on the main branch; empty when it is not.
        oid: its SHA-256.
        pushed_at: when it came, in UTC.
        ref: a reference that has it, or None.
        size: bytes.
    """

    file_oid: str
    filename: str
    oid: str
    pushed_at: datetime.datetime
    ref: str | None
    size: int


@dataclasses.dataclass
class RepoStorageInfo:
    """What a repository takes up.

    Args:
        id: ``namespace/name``.
        type: "model", "dataset" or "space".
        updated_at: when it last changed, in UTC.
        visibility: "public" or "private".
        storage: bytes.
        storage_percent: the share of all that the namespace holds.
    """

    id: str
    type: str
    updated_at: datetime.datetime
    visibility: str
    storage: int
    storage_percent: float


class StorageCalls(RepositoryCalls, FileCalls):
    """Calls about large files, copies of repositories, and the headers of weights."""

    def list_lfs_files(
        self, repo_id: str, *, repo_type: str | None = None, token: Token = None
    ) -> Iterator[LFSFileInfo]:
        """Yield the large files that a repository holds, those of its past too; takes the right to write."""
        for item in http.pages(f"{self._api(repo_id, repo_type)}/lfs-files", token=self._token(token)):
            yield LFSFileInfo(
                item["fileOid"],
                item["filename"],
                item["oid"],
                parse_datetime(item["pushedAt"]),
                item.get("ref"),
                item["size"],
            )

    def permanently_delete_lfs_files(
        self,
        repo_id: str,
        lfs_files: Iterable[LFSFileInfo],
        *,
        rewrite_history: bool = True,
        repo_type: str | None = None,
        token: Token = None,
    ) -> None:
        """Take large files out of a repository for good.

        Args:
            repo_id: the repository.
            lfs_files: some of :meth:`list_lfs_files`.
            rewrite_history: out of every commit, which changes the ids of those that had them; else out of the
                branches alone.
            repo_type: "model" (the default), "dataset" or "space".
            token: a token that may write.
        """
        chosen = [item.file_oid for item in lfs_files]
        for start in range(0, len(chosen), 1000):
            body = {"deletions": {"sha": chosen[start : start + 1000], "rewriteHistory": rewrite_history}}
            self._send("POST", f"{self._api(repo_id, repo_type)}/lfs-files/batch", token, json=body)

    def super_squash_history(
        self,
        repo_id: str,
        *,
        branch: str | None = None,
        commit_message: str | None = None,
        repo_type: str | None = None,
        token: Token = None,
    ) -> None:
        """Make one commit of a branch's whole history; this cannot be undone."""
        name = branch or constants.DEFAULT_REVISION
        address = f"{self._api(repo_id, repo_type)}/super-squash/{quote(name, safe='')}"
        self._send("POST", address, token, json={"message": commit_message or f"Squash the history of {name}"})

    def duplicate_repo(
        self,
        from_id: str,
        to_id: str | None = None,
        *,
        repo_type: str | None = None,
        private: bool | None = None,
        visibility: str | None = None,
        token: Token = None,
        exist_ok: bool = False,
        **space: Any,
    ) -> RepoUrl:
        """Copy a repository, on the Hub itself.

        Args:
            from_id: the repository.
            to_id: the new id; by default the same name in the token's own namespace.
            repo_type: "model" (the default), "dataset" or "space".
            private: whether only members of the namespace see the copy.
            visibility: the same as "public" or "private".
            token: a token that may write there.
            exist_ok: return the address of a repository that exists instead of raising.
            space: ``space_hardware``, ``space_secrets`` and the like, passed on for a Space.

        Returns:
            the copy's address.
        """
        target = to_id or from_id.rsplit("/", 1)[-1]
        if "/" not in target:
            target = f"{self.whoami(token)['name']}/{target}"
        body: dict[str, Any] = {"repository": target}
        if private is not None or visibility is not None:
            body["visibility"] = visibility or ("private" if private else "public")
        renamed = {"space_hardware": "hardware", "space_sleep_time": "sleepTimeSeconds", "space_storage": "storageTier"}
        for name, value in space.items():
            if value is not None:
                body[renamed.get(name, name.removeprefix("space_"))] = value
        try:
            answer = self._send("POST", f"{self._api(from_id, repo_type)}/duplicate", token, json=body).json()
        except HfHubHTTPError as error:
            if not exist_ok or error.response is None or error.response.status_code != 409:
                raise
            answer = error.response.json()
        return RepoUrl(answer["url"], endpoint=self.endpoint)

    def list_user_repos(self, namespace: str | None = None, *, token: Token = None) -> Iterator[RepoStorageInfo]:
        """Yield the repositories of the token's own namespace, or of an organisation, with what they take up."""
        place = f"organizations/{namespace}/settings" if namespace is not None else "settings"
        for item in http.pages(f"{self.endpoint}/api/{place}/repositories", token=self._token(token)):
            yield RepoStorageInfo(
                item["id"],
                item["type"],
                parse_datetime(item["updatedAt"]),
                item["visibility"],
                item["storage"],
                item.get("storagePercent") or 0.0,
            )

    def get_model_tags(self) -> dict[str, Any]:
        """Return the tags of models, by what they say."""
        return dict(self._send("GET", f"{self.endpoint}/api/models-tags-by-type", None).json())

    def get_dataset_tags(self) -> dict[str, Any]:
        """Return the tags of datasets, by what they say."""
        return dict(self._send("GET", f"{self.endpoint}/api/datasets-tags-by-type", None).json())

    # ------------------------------------------------------------------ tensors

    def parse_safetensors_file_metadata(
        self,
        repo_id: str,
        filename: str,
        *,
        repo_type: str | None = None,
        revision: str | None = None,
        token: Token = None,
        timeout: float | None = None,
    ) -> SafetensorsFileMetadata:
        """Return the header of a safetensors file of a repository; the tensors are not downloaded.

        Raises:
            SafetensorsParsingError: it is no safetensors file.
            EntryNotFoundError: there is no such file.
        """
        url = hf_hub_url(repo_id, filename, repo_type=repo_type, revision=revision, endpoint=self.endpoint)

        def read(start: int, stop: int) -> bytes:
            headers = {"range": f"bytes={start}-{stop - 1}", "accept-encoding": "identity"}
            return bytes(self._send("GET", url, token, headers=headers, timeout=timeout).content[: stop - start])

        return read_header(read, f"{filename} of {repo_id}")

    def get_safetensors_metadata(
        self,
        repo_id: str,
        *,
        repo_type: str | None = None,
        revision: str | None = None,
        token: Token = None,
        timeout: float | None = None,
    ) -> SafetensorsRepoMetadata:
        """Return the headers of a model's weights: which tensors there are, of what types and shapes, in which file.

        Raises:
            NotASafetensorsRepoError: it has neither ``model.safetensors`` nor its index.
        """
        where: dict[str, Any] = {"repo_type": repo_type, "revision": revision, "token": token}
        single, index = constants.SAFETENSORS_SINGLE_FILE, constants.SAFETENSORS_INDEX_FILE
        try:
            file = self.parse_safetensors_file_metadata(repo_id, single, timeout=timeout, **where)
            return SafetensorsRepoMetadata(None, False, dict.fromkeys(file.tensors, single), {single: file})
        except EntryNotFoundError:
            pass
        try:
            told = json.loads(Path(self.hf_hub_download(repo_id, index, **where)).read_text())
        except EntryNotFoundError:
            raise NotASafetensorsRepoError(f"{repo_id} has neither {single} nor {index}") from None
        files: dict[str, SafetensorsFileMetadata] = {}

        def one(name: str, checkpoint: Any) -> None:
            files[name] = self.parse_safetensors_file_metadata(repo_id, name, timeout=timeout, **where)

        run_all(one, sorted(set(told.get("weight_map", {}).values())), 8)
        return SafetensorsRepoMetadata(told.get("metadata"), True, told.get("weight_map", {}), files)

    def get_sharded_safetensors_metadata(
        self,
        repo_id: str,
        *,
        filename: str = constants.SAFETENSORS_INDEX_FILE,
        token: Token = None,
        timeout: float | None = None,
    ) -> SafetensorsRepoMetadata:
        """Return the headers of all parts of a model on ``main`` by one request.

        Args:
            repo_id: the repository.
            filename: the index of its parts.
            token: as everywhere.
            timeout: seconds to wait for the Hub.

        Raises:
            EntryNotFoundError: there is no such index.
        """
        url = f"{self._api(repo_id, 'model')}/safetensors-metadata/{quote(filename)}"
        told = self._send("GET", url, token, timeout=timeout).json()
        files = {name: parse_header(header, f"{name} of {repo_id}") for name, header in told["headers"].items()}
        places = {tensor: name for name, file in files.items() for tensor in file.tensors}
        return SafetensorsRepoMetadata(told["index"].get("metadata"), True, places, files)
