"""Requests to the Hub: one connection pool, retries that wait, and responses turned into errors that say what to do."""

from __future__ import annotations

import os
import platform
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urljoin, urlsplit

from enfold.hub import constants, errors
from enfold.hub.auth import token_to_send
from enfold.log import get_logger

if TYPE_CHECKING:
    import httpx

__all__ = [
    "build_hf_headers",
    "close_session",
    "get_async_session",
    "get_session",
    "hf_raise_for_status",
    "pages",
    "request",
    "set_async_client_factory",
    "set_client_factory",
    "stream",
    "transient",
]

_log = get_logger(__name__)

_RETRIED = frozenset({408, 429, 500, 502, 503, 504})
_ATTEMPTS, _CONNECTS = 5, 2
_client: httpx.Client | None = None
_client_process: int | None = None
_lock = threading.Lock()


def _new_client() -> httpx.Client:
    import httpx

    return httpx.Client(**_settings())


def _new_async_client() -> httpx.AsyncClient:
    import httpx

    return httpx.AsyncClient(**_settings())


def _settings() -> dict[str, Any]:
    import httpx

    limits = httpx.Limits(max_connections=64, max_keepalive_connections=32)
    return {"timeout": httpx.Timeout(30, connect=10), "limits": limits}


_factory: Callable[[], httpx.Client] = _new_client
_async_factory: Callable[[], httpx.AsyncClient] = _new_async_client


def get_session() -> httpx.Client:
    """Return the ``httpx.Client`` that all requests share; a forked process gets its own."""
    global _client, _client_process
    with _lock:
        if _client is None or _client_process != os.getpid() or _client.is_closed:
            _client, _client_process = _factory(), os.getpid()
        return _client


def get_async_session() -> httpx.AsyncClient:
    """Return a new ``httpx.AsyncClient``, for the caller to close: an event loop shares none with another."""
    return _async_factory()


def close_session() -> None:
    """Close the client that all requests share; the next request makes a new one."""
    global _client
    with _lock:
        if _client is not None and _client_process == os.getpid():
            _client.close()
        _client = None


def set_client_factory(client_factory: Callable[[], httpx.Client]) -> None:
    """Have ``client_factory()`` make the client that all requests share, from the next request on.

    Example:
        >>> import httpx
        >>> set_client_factory(lambda: httpx.Client(proxy="http://proxy:3128"))  # doctest: +SKIP
    """
    global _factory
    close_session()
    _factory = client_factory


def set_async_client_factory(async_client_factory: Callable[[], httpx.AsyncClient]) -> None:
    """Have ``async_client_factory()`` make the clients that :func:`get_async_session` returns."""
    global _async_factory
    _async_factory = async_client_factory


def transient(error: BaseException) -> bool:
    """Say whether an error means that the Hub could not be reached, or not at the moment."""
    import httpx

    if isinstance(error, errors.HfHubHTTPError):
        return error.response is not None and error.response.status_code in _RETRIED
    return isinstance(error, (httpx.TransportError, ConnectionError, TimeoutError))


def build_hf_headers(
    *,
    token: bool | str | None = None,
    library_name: str | None = None,
    library_version: str | None = None,
    user_agent: Mapping[str, Any] | str | None = None,
    headers: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the headers of a request.

    Args:
        token: a token, True to require the saved one, False to send none, None to send it when there is one.
        library_name: who makes the request, for the user agent.
        library_version: its version.
        user_agent: more for the user agent.
        headers: further headers, which win.

    Example:
        >>> build_hf_headers(token="hf_x")["authorization"]
        'Bearer hf_x'
    """
    from enfold import __version__

    agent = [f"enfold/{__version__}", f"python/{platform.python_version()}"]
    if library_name:
        agent.insert(0, f"{library_name}/{library_version or 'None'}")
    if isinstance(user_agent, Mapping):
        agent.extend(f"{key}/{value}" for key, value in user_agent.items())
    elif user_agent:
        agent.append(user_agent)
    result = {"user-agent": "; ".join(agent)}
    secret = token_to_send(token)
    if secret:
        result["authorization"] = f"Bearer {secret}"
    result.update({key.lower(): value for key, value in (headers or {}).items()})
    return result


def _wait(attempt: int, response: httpx.Response | None) -> float:
    """Return how long to wait before the next attempt: what the Hub asks for, else 0.5 s doubling up to 8 s."""
    asked = response.headers.get("retry-after", "") if response is not None else ""
    if asked.isdigit():
        return min(float(asked), 300.0)
    return min(0.5 * 2**attempt, 8.0) * random.uniform(0.75, 1.25)


def _unreachable(url: str, error: Exception) -> errors.HubUnreachable:
    said = str(error) or type(error).__name__
    return errors.HubUnreachable(f"cannot reach {'/'.join(url.split('/')[:3])}: {said}; is HF_ENDPOINT right?")


def before_request(url: str) -> None:
    if constants.is_offline():
        raise errors.OfflineModeIsEnabled(
            f"cannot reach {url}: offline mode is enabled; to disable it, unset the environment variable HF_HUB_OFFLINE"
        )


def request(
    method: str,
    url: str,
    *,
    token: bool | str | None = None,
    headers: Mapping[str, str] | None = None,
    json: Any = None,
    data: Any = None,
    params: Any = None,
    content: Callable[[], Any] | bytes | None = None,
    timeout: float | None = None,
    attempts: int = _ATTEMPTS,
    follow: bool = True,
    check: bool = True,
) -> httpx.Response:
    """Make a request, again after a wait when the Hub is busy or the connection breaks.

    Args:
        method: the HTTP method.
        url: the address.
        token: as in :func:`build_hf_headers`.
        headers: further headers.
        json: a body to send as JSON.
        data: a body to send as a form.
        params: the query.
        content: a body of bytes, or a function that returns a fresh iterator of bytes for every attempt.
        timeout: seconds to wait for an answer (30).
        attempts: how often to try (5).
        follow: whether to follow redirects; a token never leaves the address it was meant for.
        check: whether to raise for an error status.

    Raises:
        HfHubHTTPError: or one of its kinds, for an error status.
        OfflineModeIsEnabled: the network must not be used.
        HubUnreachable: there was no answer.
    """
    import httpx

    before_request(url)
    all_headers = build_hf_headers(token=token, headers=headers)
    client = get_session()
    for attempt in range(attempts):
        last = attempt + 1 == attempts
        response: httpx.Response | None = None
        try:
            response = client.request(
                method,
                url,
                headers=all_headers,
                json=json,
                data=data,
                params=params,
                content=content() if callable(content) else content,
                timeout=timeout if timeout is not None else httpx.USE_CLIENT_DEFAULT,
                follow_redirects=follow,
            )
        except httpx.TransportError as error:
            # Where nobody listens, waiting long does not help; a connection that breaks is another matter.
            if last or (isinstance(error, httpx.ConnectError) and attempt + 1 >= _CONNECTS):
                raise _unreachable(url, error) from error
            _log.info("%s %s: %s; trying again", method, url, error)
        if response is not None:
            if response.status_code not in _RETRIED or last:
                if check:
                    hf_raise_for_status(response)
                return response
            _log.info("%s %s: status %d; trying again", method, url, response.status_code)
        time.sleep(_wait(attempt, response))
    raise AssertionError("unreachable")


@contextmanager
def stream(
    url: str,
    *,
    token: bool | str | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = None,
    method: str = "GET",
    json: Any = None,
) -> Iterator[httpx.Response]:
    """Make a request whose answer is read piece by piece; one attempt, since the caller knows how far it came."""
    import httpx

    before_request(url)
    all_headers = build_hf_headers(token=token, headers={"accept-encoding": "identity", **(headers or {})})
    with get_session().stream(
        method,
        url,
        headers=all_headers,
        json=json,
        follow_redirects=True,
        timeout=timeout if timeout is not None else httpx.Timeout(constants.HF_HUB_DOWNLOAD_TIMEOUT, connect=10),
    ) as response:
        if response.status_code >= 400:
            response.read()
        hf_raise_for_status(response)
        yield response


def pages(url: str, *, token: bool | str | None = None, params: Any = None) -> Iterator[Any]:
    """Yield the items of a listing, following the ``Link: <…>; rel="next"`` of each page on the same Hub."""
    following: str | None = url
    while following:
        response = request("GET", following, token=token, params=params)
        yield from response.json()
        following, params = response.links.get("next", {}).get("url"), None
        if following:
            following = urljoin(url, following)
            if urlsplit(following)[:2] != urlsplit(url)[:2]:
                raise errors.HfHubHTTPError(f"the listing at {url} continues at another address, {following}", response)


def _server_message(response: httpx.Response) -> str:
    messages = [response.headers.get("x-error-message", "")]
    try:
        body = response.json()
    except Exception:
        body = None
    if isinstance(body, dict):
        found = body.get("error")
        messages.extend(str(item) for item in (found if isinstance(found, list) else [found]) if item)
        messages.extend(str(item.get("message", item)) for item in body.get("errors") or [] if isinstance(item, dict))
    return "\n".join(dict.fromkeys(text.strip() for text in messages if text and text.strip()))


def hf_raise_for_status(response: httpx.Response, endpoint_name: str | None = None) -> None:
    """Raise the error that fits a response with an error status.

    Raises:
        RepositoryNotFoundError, GatedRepoError, RevisionNotFoundError, RemoteEntryNotFoundError, BadRequestError,
        HfHubHTTPError: by the Hub's ``X-Error-Code`` and the status.
    """
    status = response.status_code
    if status < 400:
        return
    code = response.headers.get("x-error-code")
    said = _server_message(response)
    url = str(response.url).split("?")[0]
    number = response.headers.get("x-request-id")
    tail = f" ({url})" + (f" (Request ID: {number})" if number else "") + (f"\n\n{said}" if said else "")

    def make(kind: type[errors.HfHubHTTPError], text: str) -> errors.HfHubHTTPError:
        return kind(text + tail, response, server_message=said or None)

    if said == "Access to this resource is disabled.":
        raise make(errors.DisabledRepoError, f"{status}: the repository is disabled")
    if code == "RevisionNotFound":
        raise make(errors.RevisionNotFoundError, f"{status}: revision not found")
    if code == "EntryNotFound":
        raise make(errors.RemoteEntryNotFoundError, f"{status}: entry not found")
    if code == "GatedRepo":
        raise make(
            errors.GatedRepoError, f"{status}: the repository is gated; accept its terms on its page and use your token"
        )
    invalid = "Invalid credentials in Authorization header" in said
    if code == "RepoNotFound" or (
        status == 401 and not invalid and ("/api/" in url or "/resolve/" in url) and "whoami" not in url
    ):
        raise make(
            errors.RepositoryNotFoundError,
            f"{status}: repository not found. Check repo_id and repo_type; for a private repository, log in with a "
            "token that opens it",
        )
    if status == 400:
        raise make(errors.BadRequestError, f"400: bad request{f' for {endpoint_name}' if endpoint_name else ''}")
    if status == 403:
        raise make(errors.HfHubHTTPError, f"403 Forbidden: {said or 'the token does not allow this'}")
    if status == 401:
        raise make(errors.HfHubHTTPError, "401 Unauthorized: the token is missing or not valid; run `enfold hub login`")
    raise make(errors.HfHubHTTPError, f"the Hub answered {status} {response.reason_phrase}")


def quoted(path: str, safe: str = "/") -> str:
    """Return a path as addresses write it."""
    return quote(path, safe=safe)
