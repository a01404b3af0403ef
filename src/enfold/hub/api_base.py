"""What every call to the Hub needs: its address, a token, and one way to send."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from enfold.hub import constants, http
from enfold.hub.validation import plural, validate_repo_id

__all__ = ["Caller", "Patterns", "Token"]

T = TypeVar("T")
Token = bool | str | None
Patterns = Sequence[str] | str | None


class Caller:
    """A Hub's address and a token, and requests with both; what :class:`~enfold.hub.HfApi` is built on."""

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
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()
        self._whoami_cache: dict[str, dict[str, Any]] = {}

    def run_as_future(self, function: Callable[..., T], *arguments: Any, **options: Any) -> Future[T]:
        """Call a function in the background; calls of one object come one after another, in their order.

        Example:
            >>> from enfold.hub import HfApi
            >>> HfApi().run_as_future(max, 1, 2).result()
            2
        """
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(1, thread_name_prefix="enfold-hub-api")
        return self._pool.submit(function, *arguments, **options)

    @property
    def endpoint(self) -> str:
        """The Hub's address; without one of its own, what ``HF_ENDPOINT`` says now."""
        return self._endpoint or constants.endpoint()

    def _token(self, token: Token) -> Token:
        return self.token if token is None else token

    def _build_hf_headers(
        self,
        token: Token = None,
        library_name: str | None = None,
        library_version: str | None = None,
        user_agent: Any = None,
    ) -> dict[str, str]:
        """Return the headers of this object's requests; what programs use that speak to a Hub by themselves."""
        return http.build_hf_headers(
            token=self._token(token),
            library_name=library_name or self.library_name,
            library_version=library_version or self.library_version,
            user_agent=user_agent or self.user_agent,
            headers=self.headers,
        )

    def _api(self, repo_id: str, repo_type: str | None) -> str:
        validate_repo_id(repo_id)
        return f"{self.endpoint}/api/{plural(repo_type)}/{repo_id}"

    def _send(self, method: str, url: str, token: Token, **options: Any) -> Any:
        return http.request(method, url, token=self._token(token), **options)

    def _page(self, repo_id: str, kind: str) -> str:
        return f"{self.endpoint}/{constants.REPO_TYPES_URL_PREFIXES.get(kind, '')}{repo_id}"
