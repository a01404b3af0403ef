"""Files go from the disk to the socket without passing through Python."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from enfold.web.server import BackgroundServer
from enfold.web.zerocopy import EXTENSION


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file.bin"
    path.write_bytes(bytes(range(256)) * 20_000)
    return path


def _app(path: Path, seen: list[Any]) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        seen.append(EXTENSION in scope["extensions"])
        count = path.stat().st_size - 3
        headers = [(b"content-length", str(count + 2).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"<", "more_body": True})
        with path.open("rb") as opened:
            await send({"type": EXTENSION, "file": opened, "offset": 3, "count": count, "more_body": True})
        await send({"type": "http.response.body", "body": b">", "more_body": False})

    return app


def test_parts_of_files_are_sent_between_bodies_on_one_connection(file: Path) -> None:
    seen: list[Any] = []
    with BackgroundServer(_app(file, seen)) as server, httpx.Client() as client:
        for _ in range(3):
            assert client.get(server.url).content == b"<" + file.read_bytes()[3:] + b">"
    assert seen == [True] * 3


def test_a_client_that_goes_away_harms_no_other(file: Path) -> None:
    with BackgroundServer(_app(file, [])) as server:
        for _ in range(3):
            with socket.create_connection((server.host, server.port)) as peer:
                peer.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                peer.recv(100)
        assert httpx.get(server.url).content.endswith(b">")
