"""Bodies that go from the socket into buffers, around the parser, which then goes on behind them."""

from __future__ import annotations

import hashlib
import os
import queue
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from starlette.requests import ClientDisconnect

from enfold.web import intake
from enfold.web.intake import LEAST, pour
from enfold.web.server import BackgroundServer


class App:
    """Answers with whether a body went around the parser, and its hash; ``/stop`` takes the first piece only."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.gone: queue.SimpleQueue[bool] = queue.SimpleQueue()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        digest = hashlib.sha256()

        def take(data: memoryview) -> None:
            if scope["path"] == "/stop":
                raise ValueError("too much")
            self.sizes.append(len(data))
            digest.update(data)

        status = 200
        try:
            around = await pour(receive, take)
            while not around:
                message = await receive()
                digest.update(message.get("body", b""))
                if not message.get("more_body"):
                    break
        except ClientDisconnect:
            self.gone.put(True)
            return
        except ValueError:
            status, around = 413, True
        said = f"{around} {digest.hexdigest()}".encode()
        headers = [(b"content-length", str(len(said)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": said})


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def server(app: App) -> Iterator[BackgroundServer]:
    with BackgroundServer(app) as running:
        yield running


def expected(data: bytes, around: bool = True) -> str:
    return f"{around} {hashlib.sha256(data).hexdigest()}"


def test_bodies_of_all_sizes_arrive_on_one_connection(app: App, server: BackgroundServer) -> None:
    with httpx.Client(base_url=server.url) as client:
        for size in (0, 5, LEAST // 2, 2 * LEAST, 4 * LEAST + 1, 11 * LEAST + 7, 3):
            data = os.urandom(size)
            assert client.put("/", content=data).text == expected(data, size > LEAST)
        data = os.urandom(3 * LEAST)
        assert client.put("/", content=iter([data])).text == expected(data, False)  # of unknown length
    assert max(app.sizes) == intake._SIZE and len(intake._idle) <= intake._KEPT


def test_what_follows_a_body_is_the_next_request(server: BackgroundServer) -> None:
    data, other = os.urandom(2 * LEAST), os.urandom(LEAST * 2 + 1)
    with socket.create_connection((server.host, server.port), timeout=20) as line:
        head = "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n"
        line.sendall(head.format(len(data)).encode())
        stream = line.makefile("rb")
        assert stream.readline() == b"HTTP/1.1 100 Continue\r\n" and stream.readline() == b"\r\n"
        # The next requests come in one piece with the end of the body.
        rest = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        line.sendall(data + rest + head.replace("Expect: 100-continue\r\n", "").format(len(other)).encode() + other)
        for body, around in ((data, True), (b"", False), (other, True)):
            assert stream.readline() == b"HTTP/1.1 200 OK\r\n"
            while stream.readline() != b"\r\n":
                pass
            said = expected(body, around).encode()
            assert stream.read(len(said)) == said


def test_who_sends_too_much_hears_so_and_may_go_on(server: BackgroundServer) -> None:
    with httpx.Client(base_url=server.url) as client:
        for _ in range(2):
            answer = client.put("/stop", content=os.urandom(24 * LEAST))
            assert answer.status_code == 413
            data = os.urandom(2 * LEAST)
            assert client.put("/", content=data).text == expected(data)


def test_a_client_that_goes_away_is_noticed(app: App, server: BackgroundServer) -> None:
    for sent in (0, 3 * LEAST):
        with socket.create_connection((server.host, server.port)) as line:
            line.sendall(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 90000000\r\n\r\n" + bytes(sent))
        assert app.gone.get(timeout=10)
    assert httpx.put(server.url, content=b"x").text == expected(b"x", False)
