"""A Hub for the client's tests, and a way to see and disturb the requests that reach it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from enfold.hub import HfApi
from enfold.hubserver import EmbeddedHub, create_app
from enfold.web.server import BackgroundServer

_numbers = count()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedHub]:
    with EmbeddedHub(tmp_path_factory.mktemp("hub"), durable=False) as hub:
        yield hub


@pytest.fixture
def api(server: EmbeddedHub, monkeypatch: pytest.MonkeyPatch) -> HfApi:
    """The Hub of the environment, and its owner's token."""
    monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
    monkeypatch.setenv("HF_TOKEN", server.token)
    return HfApi()


@pytest.fixture
def repo_id(api: HfApi) -> str:
    """A fresh repository."""
    return api.create_repo(f"owner/test-{next(_numbers)}").repo_id


class Watched:
    """The Hub behind a door that counts requests, and that a test may have break or refuse them."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.disturb: Callable[[str, str], Any] = lambda method, path: None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {key.decode(): value.decode() for key, value in scope["headers"]}
        self.requests.append((scope["method"], scope["path"], headers))
        broken = self.disturb(scope["method"], scope["path"])
        if isinstance(broken, int) and broken >= 300:
            extra = [(b"retry-after", b"0"), (b"content-length", b"0")]
            await send({"type": "http.response.start", "status": broken, "headers": extra})
            await send({"type": "http.response.body", "body": b""})
            return
        if isinstance(broken, float):  # let this share of the body through, then break the connection
            # Read by the application, not by the kernel, so that it passes here.
            await self.app({**scope, "extensions": {}}, receive, _breaking(send, broken))
            return
        await self.app(scope, receive, send)

    def count(self, method: str, part: str) -> int:
        return sum(1 for verb, path, _ in self.requests if verb == method and part in path)


def _breaking(send: Any, share: float) -> Any:
    length = 0
    left = 0

    async def broken(message: Any) -> None:
        nonlocal length, left
        if message["type"] == "http.response.start":
            length = int(dict(message["headers"]).get(b"content-length", b"0"))
            left = int(length * share)
            await send(message)
            return
        body = message.get("body", b"")
        if len(body) > left:
            await send({"type": "http.response.body", "body": body[:left], "more_body": True})
            raise ConnectionError("broken by the test")
        left -= len(body)
        await send(message)

    return broken


@pytest.fixture
def watched(server: EmbeddedHub, api: HfApi, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    door = Watched(create_app(server.hub))
    with BackgroundServer(door, log_level="critical") as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield door


@pytest.fixture
def cache(hf_home: Path) -> Path:
    return hf_home / "hub"
