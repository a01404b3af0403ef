"""What the Hub's answers become: descriptions of repositories, files, commits and references."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from enfold.hub import constants

__all__ = [
    "BlobLfsInfo",
    "CommitInfo",
    "DatasetInfo",
    "GitCommitInfo",
    "GitRefInfo",
    "GitRefs",
    "LastCommitInfo",
    "ModelInfo",
    "RepoFile",
    "RepoFolder",
    "RepoInfo",
    "RepoSibling",
    "RepoUrl",
    "SpaceInfo",
]


def parse_datetime(text: str) -> datetime.datetime:
    """Return a time of the API, in UTC.

    Example:
        >>> parse_datetime("2022-08-19T07:19:38.123Z").year
        2022
    """
    return datetime.datetime.fromisoformat(text[:19]).replace(
        microsecond=int((text[20:].rstrip("Z") + "000000")[:6] or 0), tzinfo=datetime.timezone.utc
    )


class RepoUrl(str):
    """The address of a repository, with its parts as attributes.

    Args:
        url: the address.
        endpoint: the Hub's address.

    Example:
        >>> RepoUrl("http://hub/datasets/me/rows", endpoint="http://hub").repo_id
        'me/rows'
    """

    endpoint: str
    namespace: str | None
    repo_name: str
    repo_id: str
    repo_type: str
    url: str

    def __new__(cls, url: Any, endpoint: str | None = None) -> RepoUrl:
        return super().__new__(cls, url)

    def __init__(self, url: Any, endpoint: str | None = None) -> None:
        self.endpoint = endpoint or constants.endpoint()
        path = unquote(urlsplit(str(url)).path).strip("/")
        below = urlsplit(self.endpoint).path.strip("/")
        parts = path.removeprefix(below).strip("/").split("/")
        self.repo_type = "model"
        if parts and parts[0] in constants.REPO_TYPES_MAPPING:
            self.repo_type = constants.REPO_TYPES_MAPPING[parts.pop(0)]
        self.namespace = parts[0] if len(parts) > 1 else None
        self.repo_name = parts[-1]
        self.repo_id = "/".join(parts[:2])
        self.url = str(self)

    def __repr__(self) -> str:
        return f"RepoUrl('{self}', endpoint='{self.endpoint}', repo_type='{self.repo_type}', repo_id='{self.repo_id}')"


class BlobLfsInfo(dict[str, Any]):
    """A large file's SHA-256, size and pointer size; both a mapping and attributes."""

    @property
    def sha256(self) -> str:
        """The content's SHA-256."""
        return str(self["sha256"])

    @property
    def size(self) -> int:
        """Bytes."""
        return int(self["size"])

    @property
    def pointer_size(self) -> int:
        """Bytes of the pointer that git holds."""
        return int(self["pointer_size"])

    @classmethod
    def parse(cls, raw: Mapping[str, Any] | None) -> BlobLfsInfo | None:
        """Return what an answer says, or None."""
        if not raw:
            return None
        return cls(sha256=raw.get("sha256") or raw.get("oid"), size=raw["size"], pointer_size=raw.get("pointerSize", 0))


class _Described:
    """Attributes from an answer; also readable as a mapping, as older programs do."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)

    def __getitem__(self, name: str) -> Any:
        try:
            return self.__dict__[name]
        except KeyError:
            raise KeyError(name) from None

    def get(self, name: str, default: Any = None) -> Any:
        """Return an attribute, or ``default``."""
        return self.__dict__.get(name, default)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        parts = ", ".join(f"{name}={value!r}" for name, value in self.__dict__.items() if not name.startswith("_"))
        return f"{type(self).__name__}({parts})"


class RepoSibling(_Described):
    """A file in a repository's description: ``rfilename``; with ``files_metadata``, ``size``, ``blob_id``, ``lfs``."""

    rfilename: str
    size: int | None
    blob_id: str | None
    lfs: BlobLfsInfo | None


class LastCommitInfo(_Described):
    """The commit that last changed a file: ``oid``, ``title``, ``date``."""

    oid: str
    title: str
    date: datetime.datetime


class RepoFile(_Described):
    """A file: ``path``, ``size``, ``blob_id``, ``lfs``, ``xet_hash``, ``last_commit``, ``security``."""

    path: str
    size: int
    blob_id: str
    lfs: BlobLfsInfo | None
    xet_hash: str | None
    last_commit: LastCommitInfo | None
    security: Any

    def __init__(self, **values: Any) -> None:
        super().__init__(**(_file_of(values) if "oid" in values else values))  # also as the Hub writes them

    @property
    def rfilename(self) -> str:
        """The path; the name that repository descriptions use."""
        return self.path


class RepoFolder(_Described):
    """A folder: ``path``, ``tree_id``, ``last_commit``."""

    path: str
    tree_id: str
    last_commit: LastCommitInfo | None

    def __init__(self, **values: Any) -> None:
        super().__init__(**(_folder_of(values) if "oid" in values else values))  # also as the Hub writes them


def parse_entry(raw: Mapping[str, Any]) -> RepoFile | RepoFolder:
    """Return a file or folder of a listing."""
    return RepoFolder(**_folder_of(raw)) if raw["type"] == "directory" else RepoFile(**_file_of(raw))


def _folder_of(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {"path": raw["path"], "tree_id": raw["oid"], "last_commit": _last_commit(raw)}


def _file_of(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "path": raw["path"],
        "size": raw["size"],
        "blob_id": raw["oid"],
        "lfs": BlobLfsInfo.parse(raw.get("lfs")),
        "xet_hash": raw.get("xetHash"),
        "last_commit": _last_commit(raw),
        "security": raw.get("securityFileStatus"),
    }


def _last_commit(raw: Mapping[str, Any]) -> LastCommitInfo | None:
    last = raw.get("lastCommit")
    return LastCommitInfo(oid=last["id"], title=last["title"], date=parse_datetime(last["date"])) if last else None


class RepoInfo(_Described):
    """What the Hub says about a repository.

    Always there: ``id``, ``author``, ``sha``, ``created_at``, ``last_modified``, ``private``, ``gated``, ``disabled``,
    ``downloads``, ``likes``, ``tags``, ``card_data``, ``siblings`` (None where the answer had none).
    """

    id: str
    author: str | None
    sha: str | None
    created_at: datetime.datetime | None
    last_modified: datetime.datetime | None
    private: bool | None
    gated: Any
    disabled: bool | None
    downloads: int | None
    likes: int | None
    tags: list[str] | None
    card_data: Any
    siblings: list[RepoSibling] | None

    _own: tuple[str, ...] = ()

    def __init__(self, **raw: Any) -> None:
        values: dict[str, Any] = {
            "id": raw.pop("id"),
            "author": raw.pop("author", None),
            "sha": raw.pop("sha", None),
        }
        for name, old in (("created_at", "createdAt"), ("last_modified", "lastModified")):
            text = raw.pop(old, None) or raw.pop(name, None)
            values[name] = parse_datetime(text) if isinstance(text, str) else text
        for name in ("private", "gated", "disabled", "downloads", "likes", "tags", "trending_score", *self._own):
            camel = "".join(part.title() if index else part for index, part in enumerate(name.split("_")))
            values[name] = raw.pop(name, None) if name in raw else raw.pop(camel, None)
        card = raw.pop("cardData", None) or raw.pop("card_data", None)
        values["card_data"] = self._card(card) if isinstance(card, dict) else card
        siblings = raw.pop("siblings", None)
        values["siblings"] = (
            None
            if siblings is None
            else [
                RepoSibling(
                    rfilename=item["rfilename"],
                    size=item.get("size"),
                    blob_id=item.get("blobId"),
                    lfs=BlobLfsInfo.parse(item.get("lfs")),
                )
                for item in siblings
            ]
        )
        raw.pop("_id", None)
        super().__init__(**values, **raw)

    @staticmethod
    def _card(raw: dict[str, Any]) -> Any:
        return raw

    @property
    def lastModified(self) -> datetime.datetime | None:
        """The time of the last change; the older spelling of ``last_modified``."""
        return self.last_modified

    @property
    def cardData(self) -> Any:
        """The card's metadata; the older spelling of ``card_data``."""
        return self.card_data


class SafeTensorsInfo(dict[str, Any]):
    """How many parameters a model has; also a dictionary of the same.

    Example:
        >>> SafeTensorsInfo(parameters={"F32": 10}, total=10).total
        10
    """

    @property
    def parameters(self) -> dict[str, int]:
        """How many there are of each type of numbers."""
        return dict(self["parameters"])

    @property
    def total(self) -> int:
        """How many there are."""
        return int(self["total"])


class ModelInfo(RepoInfo):
    """What the Hub says about a model; also ``library_name``, ``pipeline_tag``, ``config``, ``safetensors``, …"""

    _own = (
        "library_name",
        "pipeline_tag",
        "mask_token",
        "config",
        "transformers_info",
        "safetensors",
        "gguf",
        "spaces",
    )
    library_name: str | None
    pipeline_tag: str | None
    safetensors: SafeTensorsInfo | None

    def __init__(self, **raw: Any) -> None:
        super().__init__(**raw)
        if isinstance(self.safetensors, dict) and {"parameters", "total"} <= self.safetensors.keys():
            self.safetensors = SafeTensorsInfo(self.safetensors)

    @property
    def modelId(self) -> str:
        """The id; the older spelling."""
        return self.id

    @staticmethod
    def _card(raw: dict[str, Any]) -> Any:
        from enfold.hub.card_data import ModelCardData

        return ModelCardData(**raw, ignore_metadata_errors=True)


class DatasetInfo(RepoInfo):
    """What the Hub says about a dataset."""

    _own = ("paperswithcode_id", "citation", "description")

    @staticmethod
    def _card(raw: dict[str, Any]) -> Any:
        from enfold.hub.card_data import DatasetCardData

        return DatasetCardData(**raw, ignore_metadata_errors=True)


class SpaceInfo(RepoInfo):
    """What the Hub says about a Space; also ``sdk``."""

    _own = ("sdk", "subdomain", "host", "runtime", "models", "datasets")
    sdk: str | None

    @staticmethod
    def _card(raw: dict[str, Any]) -> Any:
        from enfold.hub.card_data import SpaceCardData

        return SpaceCardData(**raw, ignore_metadata_errors=True)


class CommitInfo(str):
    """A commit that was made: a string (its address) with the parts as attributes.

    Args:
        commit_url: the commit's address.
        commit_message: its title.
        commit_description: its description.
        oid: its id.
        pr_url: the pull request's address, if one was opened.
        repo_url: the repository's address.
    """

    def __new__(cls, *args: Any, commit_url: str, **kwargs: Any) -> CommitInfo:
        return super().__new__(cls, commit_url)

    def __init__(
        self,
        *,
        commit_url: str,
        commit_message: str,
        commit_description: str,
        oid: str,
        pr_url: str | None = None,
        repo_url: RepoUrl | None = None,
    ) -> None:
        self.commit_url, self.commit_message, self.commit_description = commit_url, commit_message, commit_description
        self.oid, self.pr_url = oid, pr_url
        self.pr_num = int(pr_url.rpartition("/discussions/")[2]) if pr_url else None
        self.pr_revision = f"refs/pr/{self.pr_num}" if pr_url else None
        self.repo_url = repo_url

    def __repr__(self) -> str:
        names = ("commit_url", "commit_message", "commit_description", "oid", "pr_url", "pr_revision", "pr_num")
        return f"CommitInfo({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"


@dataclasses.dataclass
class GitRefInfo:
    """A branch or a tag: its ``name``, full ``ref`` and ``target_commit``."""

    name: str
    ref: str
    target_commit: str


@dataclasses.dataclass
class GitRefs:
    """The branches, tags and other references of a repository."""

    branches: list[GitRefInfo]
    converts: list[GitRefInfo]
    tags: list[GitRefInfo]
    pull_requests: list[GitRefInfo] | None = None


@dataclasses.dataclass
class GitCommitInfo:
    """A commit of a history: ``commit_id``, ``authors``, ``created_at``, ``title``, ``message``."""

    commit_id: str
    authors: list[str]
    created_at: datetime.datetime
    title: str
    message: str
    formatted_title: str | None = None
    formatted_message: str | None = None
