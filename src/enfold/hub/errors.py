"""The errors of the Hub client; those about files are ``OSError`` as well, which is what callers of loaders catch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from enfold.errors import EnfoldError

if TYPE_CHECKING:
    import httpx

__all__ = [
    "BadRequestError",
    "BucketNotFoundError",
    "CacheNotFound",
    "CachedRepoTreeNotFoundError",
    "CorruptedCacheException",
    "DisabledRepoError",
    "EntryNotFoundError",
    "FileMetadataError",
    "FileNotFoundInSource",
    "GatedRepoError",
    "GenerationError",
    "HFValidationError",
    "HfHubHTTPError",
    "HfUriError",
    "HubUnreachable",
    "IncompleteGenerationError",
    "IncompleteSnapshotError",
    "InferenceTimeoutError",
    "LocalEntryNotFoundError",
    "LocalTokenNotFoundError",
    "OfflineModeIsEnabled",
    "OverloadedError",
    "RemoteEntryNotFoundError",
    "RepositoryNotFoundError",
    "RevisionNotFoundError",
    "RevisionResolutionError",
    "TextGenerationError",
    "UnknownError",
    "ValidationError",
]


class HfHubHTTPError(EnfoldError, OSError):
    """The Hub answered a request with an error.

    Args:
        message: what went wrong.
        response: the Hub's response, if there was one.
        server_message: the Hub's own words.
    """

    def __init__(
        self, message: str, response: httpx.Response | None = None, *, server_message: str | None = None
    ) -> None:
        super().__init__(message)
        self.response = response
        self.server_message = server_message
        #: the number by which the Hub's log knows the request
        self.request_id: str | None = response.headers.get("x-request-id") if response is not None else None
        self.request: Any = getattr(response, "_request", None)

    def append_to_message(self, text: str) -> None:
        """Add ``text`` to the error's message."""
        self.args = (str(self) + text, *self.args[1:])

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class BadRequestError(HfHubHTTPError, ValueError):
    """The Hub could not make sense of a request (400)."""


class RepositoryNotFoundError(HfHubHTTPError):
    """The repository does not exist, or is private and the token does not open it."""


class GatedRepoError(RepositoryNotFoundError):
    """The repository's terms have to be accepted on its page first."""


class DisabledRepoError(HfHubHTTPError):
    """The repository was disabled by the Hub."""


class RevisionNotFoundError(HfHubHTTPError):
    """The repository has no such branch, tag or commit."""


class EntryNotFoundError(HfHubHTTPError):
    """The repository has no such file at this revision."""


class RemoteEntryNotFoundError(EntryNotFoundError):
    """The Hub says that the repository has no such file."""


class LocalEntryNotFoundError(EntryNotFoundError, FileNotFoundError, ValueError):
    """The file is not in the cache, and the Hub was not (or could not be) asked."""

    def __init__(self, message: str) -> None:
        super().__init__(message)


class FileNotFoundInSource(EnfoldError, FileNotFoundError):
    """A local folder, or a repository, has no such file."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class FileMetadataError(EnfoldError, OSError):
    """The Hub's answer lacks what is needed to cache a file (its commit, ETag or size)."""


class OfflineModeIsEnabled(EnfoldError, ConnectionError):
    """A request was about to be made although ``HF_HUB_OFFLINE`` forbids it."""


class HubUnreachable(EnfoldError, ConnectionError):
    """The Hub did not answer: no network, a wrong address, or a server that is down."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class LocalTokenNotFoundError(EnfoldError, OSError):
    """A token is needed and none is known."""


class HFValidationError(EnfoldError, ValueError):
    """An argument is not written as the Hub needs it, such as a repository id."""


class CacheNotFound(EnfoldError):
    """The cache folder does not exist."""

    def __init__(self, message: str, cache_dir: str) -> None:
        super().__init__(message)
        self.cache_dir = cache_dir


class CorruptedCacheException(EnfoldError):
    """A folder of the cache is not laid out as it should be."""


class InferenceTimeoutError(HubUnreachable, TimeoutError):
    """A model server did not answer in time: the model may still be loading."""


class TextGenerationError(EnfoldError):
    """A model server could not write a text."""


class ValidationError(TextGenerationError):
    """The server does not accept a parameter of text generation."""


class GenerationError(TextGenerationError):
    """Generating failed inside the server."""


class OverloadedError(TextGenerationError):
    """The server has too much to do."""


class IncompleteGenerationError(TextGenerationError):
    """The server stopped before the text was complete."""


class UnknownError(TextGenerationError):
    """The server named an error that is not known here."""


class RevisionResolutionError(EnfoldError, OSError):
    """A revision's commit is not known here, and the Hub could not be (or was not to be) asked."""


class CachedRepoTreeNotFoundError(EnfoldError, FileNotFoundError):
    """The list of a revision's files is not kept on this machine."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class IncompleteSnapshotError(LocalEntryNotFoundError):
    """Some of a revision's files are on this machine, but not all that were asked for."""


class BucketNotFoundError(RepositoryNotFoundError):
    """There is no such bucket: Hubs made of repositories have none."""


class HfUriError(EnfoldError, ValueError):
    """An ``hf://`` address is not written as it should be."""
