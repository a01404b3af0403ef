"""One request on its way through the server, and the table that says which function answers it."""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import json
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlencode

from sqlalchemy import Connection, Row
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from enfold.hubserver.accounts import Viewer
from enfold.hubserver.errors import HubServerError
from enfold.hubserver.hub import Hub
from enfold.web.intake import pour

__all__ = ["PAGE", "PULL_REQUEST", "Call", "Handler", "Routes", "current"]

#: the request that is being answered, for what every page shows
current: contextvars.ContextVar[Call] = contextvars.ContextVar("enfold_hub_call")

PAGE = 100  # items in a page of those lists that have no other size

PULL_REQUEST = re.compile(r"refs/pr/(\d{1,9})")

Handler = Callable[["Call"], "Response | Awaitable[Response]"]
F = TypeVar("F", bound=Callable[..., Any])


@dataclasses.dataclass
class Call:
    """A request, its caller and the repository that its address names.

    Args:
        request: the HTTP request.
        hub: the Hub that answers.
        viewer: who asks; None without a token.
        kind: "models", "datasets" or "spaces".
        name: the repository's id as the address has it, or an empty string.
        action: what the address asks of the repository, such as "tree".
        rest: the decoded segments of the address after the action.
        body: the request's body, for functions that do not read it themselves.
    """

    request: Request
    hub: Hub
    viewer: Viewer | None
    kind: str = "models"
    name: str = ""
    action: str = ""
    rest: tuple[str, ...] = ()
    body: bytes = b""

    def repo(self, connection: Connection, *, write: bool = False) -> Row[Any]:
        """Return the repository; reading an alias raises ``Redirected``, writing follows it in place."""
        find = (
            self.hub.repositories.follow if self.request.method not in {"GET", "HEAD"} else self.hub.repositories.find
        )
        return find(connection, self.kind, self.name, self.viewer, write=write)

    def readable(self, connection: Connection) -> Row[Any]:
        """Return the repository for somebody who may read its files: a gated one opens to those who were let in."""
        row = self.repo(connection)
        self.hub.access.require(connection, row, self.viewer)
        return row

    def contributed(self, connection: Connection) -> Row[Any]:
        """Return the repository for somebody who may change it, or propose a change where that is what they do."""
        if self.flag("create_pr") or PULL_REQUEST.fullmatch("/".join(self.rest)):
            return self.hub.repositories.propose(connection, self.kind, self.name, self.viewer)[0]
        return self.repo(connection, write=True)

    @property
    def base(self) -> str:
        """The address of this Hub as the caller wrote it."""
        if self.hub.settings.public_url:
            return self.hub.settings.public_url.rstrip("/")
        return f"{self.request.url.scheme}://{self.request.headers.get('host', self.request.url.netloc)}"

    def repo_url(self, name: str) -> str:
        """Return the address of a repository's page."""
        return f"{self.base}/{'' if self.kind == 'models' else self.kind + '/'}{name}"

    @property
    def secure(self) -> bool:
        """Whether people come by https."""
        return self.base.startswith("https://")

    @property
    def cookie(self) -> str:
        """The name of the cookie of a session; by https one that no other host can set."""
        return "__Host-enfold-hub" if self.secure else "enfold-hub"

    @property
    def address(self) -> str:
        """The address that the request came from; uvicorn has put the one in, which a proxy on this machine names."""
        return self.request.client.host if self.request.client else ""

    @property
    def proof(self) -> str:
        """What the forms of this session carry; empty without one."""
        session = self.viewer.session if self.viewer else None
        return "" if session is None else self.hub.sessions.proof(session)

    def signed_in(self) -> Viewer:
        """Return the viewer, who has to be signed in on pages: a token does not open the settings of its account."""
        if self.viewer is None or self.viewer.session is None:
            raise HubServerError(401, "Sign in first.")
        return self.viewer

    def field(self, name: str, default: str = "") -> str:
        """Return one value of a form."""
        return self.form().get(name, [default])[0]

    def query(self, name: str, default: str | None = None) -> str | None:
        """Return a query parameter."""
        return self.request.query_params.get(name, default)

    def number(self, name: str, default: int = 0) -> int:
        """Return a query parameter as a whole number that is not negative and that a database can hold; else a 400."""
        text = self.query(name)
        if not text:
            return default
        if not (text.isascii() and text.isdigit() and len(text) < 16):
            raise HubServerError(400, f'"{name}" is a whole number, not {text[:80]!r}')
        return int(text)

    def flag(self, name: str) -> bool:
        """Return a query parameter as yes or no."""
        return (self.query(name) or "").lower() in {"1", "true", "yes"}

    async def pour(self, write: Callable[[bytes | memoryview], Any], size: int = 1 << 20) -> None:
        """Pass the body on, ``size`` bytes at a time, to a worker thread; the next pieces arrive meanwhile.

        What ``write`` gets is good until it returns.
        """
        if await pour(self.request.receive, write):
            return
        pieces: list[bytes] = []
        waiting = 0
        writing: asyncio.Future[Any] | None = None
        try:
            async for piece in self.request.stream():
                pieces.append(piece)
                waiting += len(piece)
                if waiting < size or (writing is not None and not writing.done() and waiting < 4 * size):
                    continue
                if writing is not None:
                    await writing
                writing = asyncio.ensure_future(run_in_threadpool(_write_all, write, pieces))
                pieces, waiting = [], 0
            if writing is not None:
                await writing
            await run_in_threadpool(_write_all, write, pieces)
        finally:
            if writing is not None and not writing.done():  # what it writes to must not be closed under it
                await asyncio.wait([writing])

    def json(self) -> dict[str, Any]:
        """Return the body, a JSON object."""
        try:
            value = json.loads(self.body or b"{}")
        except ValueError as error:
            raise HubServerError(400, f"the body is not JSON: {error}") from None
        if not isinstance(value, dict):
            raise HubServerError(400, "the body must be a JSON object")
        if b"\\u" in self.body:
            # JSON may hold halves of characters, which are no text, and Postgres keeps no zeros in one.
            text = json.dumps(value, ensure_ascii=False)
            if (not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text)) or "\\u0000" in text:
                raise HubServerError(400, "a text of the body holds half of a character, or a zero")
        return value

    def page(self, shown: list[Any], cursors: list[str]) -> Response:
        """Return a page of a list, of whose :data:`PAGE` + 1 items the last says only that there is a next page.

        Args:
            shown: the items.
            cursors: for each, what ``?cursor=`` must say for the page behind it.
        """
        headers = {}
        if len(shown) > PAGE:
            kept = [(name, value) for name, value in self.request.query_params.multi_items() if name != "cursor"]
            query = urlencode([*kept, ("cursor", cursors[PAGE - 1])])
            headers["Link"] = f'<{self.base}{self.request.url.path}?{query}>; rel="next"'
        return JSONResponse(shown[:PAGE], headers=headers)

    def form(self) -> dict[str, list[str]]:
        """Return the body as name → values, whether it is a form or JSON."""
        if self.request.headers.get("content-type", "").startswith("application/json"):
            return {
                name: [str(item) for item in (value if isinstance(value, list) else [value])]
                for name, value in self.json().items()
            }
        try:
            return parse_qs(self.body.decode(), keep_blank_values=True)
        except UnicodeDecodeError:
            raise HubServerError(400, "the body is not a form") from None


def _write_all(write: Callable[[bytes | memoryview], Any], pieces: Sequence[bytes]) -> None:
    for piece in pieces:
        write(piece)


class Routes:
    """A table from method and action to functions.

    Functions that are not coroutines run in a worker thread and find the body in ``call.body``.
    """

    def __init__(self) -> None:
        self.table: dict[tuple[str, str], Handler] = {}

    def add(self, methods: str, action: str) -> Callable[[F], F]:
        """Register the decorated function for ``action`` and the methods named, separated by spaces."""

        def register(function: F) -> F:
            for method in methods.split():
                self.table[method, action] = function
            return function

        return register

    @property
    def addresses(self) -> set[str]:
        """Every action that there is a function for."""
        return {action for _, action in self.table}

    def get(self, method: str, action: str) -> Handler:
        """Return the function for an address, or raise a 404 or 405."""
        if (method, action) in self.table:
            return self.table[method, action]
        allowed = sorted(known for known, name in self.table if name == action)
        if allowed:
            raise HubServerError(405, f"use {' or '.join(allowed)} here", headers={"Allow": ", ".join(allowed)})
        raise HubServerError(404, f"this Hub has no address {action!r}")
