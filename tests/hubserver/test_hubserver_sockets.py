"""Web sockets to a Space's program: opened by the rules of its other requests, then passed on as they are."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import socket
import struct
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from hubserver_raw import file, lines
from socket_program import PROGRAM

from enfold.hubserver import EmbeddedHub
from enfold.hubserver.routes import passing


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedHub]:
    spaces = "separate" if os.geteuid() == 0 else "trusted"
    with EmbeddedHub(tmp_path_factory.mktemp("sockets"), durable=False, spaces=spaces) as hub:
        hub.hub.accounts.create_user("ann", password="a long pass phrase")
        hub.create_organisation("demo", {"ann": "write"})
        yield hub


@pytest.fixture(scope="module")
def http(hub: EmbeddedHub) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=hub.endpoint, headers={"Authorization": f"Bearer {hub.token}"}, timeout=60) as client:
        yield client


def running(http: httpx.Client, name: str, *, private: bool = False) -> str:
    what = {"name": name, "organization": "demo", "type": "space", "sdk": "gradio", "private": private}
    http.post("/api/repos/create", json=what).raise_for_status()
    body = lines(file("app.py", PROGRAM.encode()))
    headers = {"content-type": "application/x-ndjson"}
    http.post(f"/api/spaces/demo/{name}/commit/main", content=body, headers=headers).raise_for_status()
    deadline = time.monotonic() + 60
    while http.get(f"/spaces/demo/{name}/run/").status_code == 503:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return f"demo/{name}"


@pytest.fixture(scope="module")
def echo(http: httpx.Client) -> str:
    return running(http, "echo")


class Visitor:
    """The other end of a web socket, at the level of bytes."""

    def __init__(self, hub: EmbeddedHub, path: str, **headers: str) -> None:
        parts = urlsplit(hub.endpoint)
        self.line = socket.create_connection((str(parts.hostname), parts.port or 80), timeout=20)
        self.stream = self.line.makefile("rb")
        key = base64.b64encode(os.urandom(16)).decode()
        asked = {"Host": parts.netloc, "Connection": "keep-alive, Upgrade", "Upgrade": "WebSocket"}
        asked |= {"Sec-WebSocket-Key": key, "Sec-WebSocket-Version": "13"}
        asked |= {name.replace("_", "-"): value for name, value in headers.items()}
        head = "".join(f"{name}: {value}\r\n" for name, value in asked.items())
        self.line.sendall(f"GET {path} HTTP/1.1\r\n{head}\r\n".encode())
        self.status = int(self.stream.readline().split()[1])
        self.headers: dict[str, str] = {}
        while (text := self.stream.readline().decode().strip()) != "":
            name, _, value = text.partition(": ")
            self.headers[name.lower()] = value
        accept = hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
        assert self.status != 101 or self.headers["sec-websocket-accept"] == base64.b64encode(accept).decode()

    def send(self, kind: int, data: bytes) -> None:
        size = bytes([128 | len(data)]) if len(data) < 126 else b"\xff" + struct.pack("!Q", len(data))
        self.line.sendall(bytes([128 | kind]) + size + bytes(4) + data)  # masked with zeros

    def receive(self) -> tuple[int, bytes] | None:
        head = self.stream.read(2)
        if not head:
            return None
        size = head[1] if head[1] < 126 else int.from_bytes(self.stream.read(2 if head[1] == 126 else 8), "big")
        return head[0] & 15, self.stream.read(size)

    def __enter__(self) -> Visitor:
        return self

    def __exit__(self, *error: object) -> None:
        self.stream.close()
        self.line.close()


def test_a_socket_is_opened_without_the_visitors_secrets_and_passed_on(hub: EmbeddedHub, echo: str) -> None:
    secrets = {"Cookie": "enfold-hub=hs_secret", "Authorization": f"Bearer {hub.token}", "Origin": "null"}
    with Visitor(hub, f"/spaces/{echo}/run/a%2Fb?x=1", **secrets, X_Own="1") as visitor:
        assert visitor.status == 101 and visitor.headers["upgrade"] == "websocket"
        assert not {"set-cookie", "transfer-encoding", "content-length"} & visitor.headers.keys()
        assert visitor.headers["connection"] == "Upgrade" and "x-request-id" in visitor.headers
        kind, data = visitor.receive() or (0, b"{}")
        said = json.loads(data)
        sent = {name.lower(): value for name, value in said["headers"].items()}
        assert kind == 1 and said["path"] == "/a%2Fb?x=1" and sent["x-own"] == "1"
        assert not {"cookie", "authorization", "origin"} & sent.keys() and hub.token not in data.decode()
        assert sent["x-forwarded-host"] == hub.endpoint.partition("://")[2]
        assert os.geteuid() != 0 or said["uid"] >= 200_000
        for size in (1, 125, 70_000, 3_000_000):
            data = os.urandom(size)
            visitor.send(2, data)
            assert visitor.receive() == (2, data)
        visitor.send(8, struct.pack("!H", 1000))
        assert visitor.receive() == (8, struct.pack("!H", 1000)) and visitor.receive() is None


def space_of(hub: EmbeddedHub, name: str) -> Any:
    return next(space for space in hub.hub.spaces.all() if space.name == name)


def until(what: Any) -> None:
    deadline = time.monotonic() + 10
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_whichever_side_ends_it_nothing_is_left(hub: EmbeddedHub, echo: str) -> None:
    space = space_of(hub, echo)
    with Visitor(hub, f"/spaces/{echo}/run/") as visitor:
        visitor.receive()
        assert (space.open, space.sockets) == (1, 1)
    until(lambda: (space.open, space.sockets) == (0, 0))
    with Visitor(hub, f"/spaces/{echo}/run/away") as visitor:
        assert visitor.receive() is not None and visitor.receive() is None
    until(lambda: (space.open, space.sockets) == (0, 0))


def test_a_visitor_who_does_not_read_stops_the_program_and_not_the_hub(hub: EmbeddedHub, echo: str) -> None:
    with Visitor(hub, f"/spaces/{echo}/run/flood") as visitor:
        visitor.receive()
        assert httpx.get(f"{hub.endpoint}/spaces/{echo}/run/").text == "no socket"
        received = [visitor.receive() for _ in range(200)]
        assert [frame and (frame[0], frame[1][:1], len(frame[1])) for frame in received] == [
            (2, bytes([number]), 50_000) for number in range(200)
        ]


def test_a_program_that_refuses_is_heard(hub: EmbeddedHub, echo: str) -> None:
    with Visitor(hub, f"/spaces/{echo}/run/no") as visitor:
        assert visitor.status == 403 and visitor.headers["connection"] == "close"
        assert visitor.headers["content-security-policy"].startswith("sandbox")
        assert b"no socket" in visitor.stream.read()
    with Visitor(hub, "/spaces/demo/none/run/") as visitor:
        assert visitor.status == 401
    with Visitor(hub, "/api/models") as visitor:  # what is no Space answers as ever
        assert visitor.status == 200 and visitor.headers["connection"] == "close"


def test_a_private_spaces_socket_needs_its_address_or_a_token_and_no_cookie(
    hub: EmbeddedHub, http: httpx.Client
) -> None:
    name = running(http, "hidden", private=True)
    with httpx.Client(base_url=hub.endpoint) as browser:
        assert browser.post("/login", data={"name": "ann", "password": "a long pass phrase"}).status_code == 303
        cookie = "; ".join(f"{key}={value}" for key, value in browser.cookies.items())
        page = browser.get(f"/spaces/{name}/app", headers={"accept": "text/html"}).text
        assert browser.get(f"/spaces/{name}/run/").status_code == 200
    address = page.split("<iframe")[1].split('src="')[1].split('"')[0]
    assert f"/spaces/{name}/run/~" in address
    for path, headers, status in [
        (f"/spaces/{name}/run/", {}, 401),
        (f"/spaces/{name}/run/", {"Cookie": cookie, "Origin": "https://elsewhere.example"}, 401),
        (f"/spaces/{name}/run/", {"Cookie": cookie, "Origin": hub.endpoint}, 401),
        (f"/spaces/{name}/run/", {"Authorization": f"Bearer {hub.token}"}, 101),
        (urlsplit(address).path, {"Origin": "null"}, 101),
        (urlsplit(address).path[:-3] + "xx/", {}, 401),
    ]:
        with Visitor(hub, path, **headers) as visitor:
            assert (path, headers, visitor.status) == (path, headers, status)
            if status == 101:
                assert json.loads((visitor.receive() or (0, b""))[1])["path"] == "/"


def test_a_program_has_only_so_many_sockets(hub: EmbeddedHub, echo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passing, "_SOCKETS", 2)
    until(lambda: space_of(hub, echo).sockets == 0)
    with contextlib.ExitStack() as stack:
        visitors = [stack.enter_context(Visitor(hub, f"/spaces/{echo}/run/")) for _ in range(3)]
        assert [visitor.status for visitor in visitors] == [101, 101, 503]
        assert "retry-after" in visitors[2].headers


def test_a_program_that_is_stopped_ends_its_sockets(hub: EmbeddedHub, http: httpx.Client) -> None:
    name = running(http, "paused")
    with Visitor(hub, f"/spaces/{name}/run/") as visitor:
        visitor.receive()
        http.post(f"/api/spaces/{name}/pause").raise_for_status()
        assert visitor.receive() is None


def test_a_hub_that_stops_ends_sockets(http: httpx.Client, tmp_path: Any) -> None:
    with EmbeddedHub(tmp_path, durable=False, spaces="separate" if os.geteuid() == 0 else "trusted") as other:
        headers = {"Authorization": f"Bearer {other.token}"}
        other.create_organisation("demo", {"owner": "write"})
        with httpx.Client(base_url=other.endpoint, headers=headers, timeout=60) as client:
            name = running(client, "ending")
        with Visitor(other, f"/spaces/{name}/run/") as visitor:
            visitor.receive()
            other.stop()
            assert visitor.receive() is None
