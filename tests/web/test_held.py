"""Connections that are held without a request or a task behind them."""

from __future__ import annotations

import asyncio
import http.client
import socket
import threading
from typing import Any

import pytest

from enfold.web.held import Beats, Held
from enfold.web.server import BackgroundServer

START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}


class App:
    """Holds every connection; ``/wrapped`` asks through a ``send`` that is not the server's."""

    def __init__(self, interval: float) -> None:
        self.beats = Beats(b"beat;", interval)
        self.gone, self.took, self.tasks = threading.Semaphore(0), list[bool](), list[int]()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return

        async def wrapped(message: Any) -> None:
            await send(message)

        app = self

        class One(Held):
            def lost(self) -> None:
                app.beats.drop(self)
                app.gone.release()

        held = One()
        mine = wrapped if scope["path"] == "/wrapped" else send
        await mine(START)
        self.tasks.append(len(asyncio.all_tasks()))
        self.took.append(await Held.take(mine, held))
        if self.took[-1]:
            self.beats.add(held)
        else:
            await send({"type": "http.response.body", "body": b"as usual"})


def opened(server: BackgroundServer, path: str = "/") -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    connection.request("GET", path)
    return connection.getresponse()


def test_signs_come_again_and_again_and_stop_with_the_reader() -> None:
    app = App(0.01)
    with BackgroundServer(app) as server:
        first, second = opened(server), opened(server)
        assert first.read(25) == second.read(25) == b"beat;" * 5
        first.close()
        assert app.gone.acquire(timeout=5) and second.read(10) == b"beat;beat;" and len(app.beats) == 1
        second.close()
        assert app.gone.acquire(timeout=5) and len(app.beats) == 0
        third = opened(server)  # the task, which had ended, begins anew
        assert third.read(10) == b"beat;beat;"


def test_a_held_connection_has_no_task() -> None:
    app = App(60)
    with BackgroundServer(app) as server:
        answers = [opened(server) for _ in range(30)]
        assert all(answer.read(5) == b"beat;" for answer in answers)
    assert app.took == [True] * 30 and max(app.tasks) - app.tasks[0] <= 2


def test_a_server_that_stops_ends_the_answers() -> None:
    app = App(60)
    server = BackgroundServer(app)
    answer = opened(server)
    assert answer.read(5) == b"beat;"
    server.stop()
    assert answer.read() == b"" and not server.running


def test_asking_again_on_a_held_connection_closes_it() -> None:
    app = App(60)
    with BackgroundServer(app) as server, socket.create_connection(("127.0.0.1", server.port), 5) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        seen = b""
        while b"beat;" not in seen:
            seen += client.recv(1000)
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert app.gone.acquire(timeout=5)


def test_whoever_stands_between_keeps_the_connection() -> None:
    app = App(60)
    with BackgroundServer(app) as server:
        assert opened(server, "/wrapped").read() == b"as usual" and app.took == [False]


def test_a_connection_is_taken_over_only_in_the_middle_of_an_answer() -> None:
    raised = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            with pytest.raises(RuntimeError, match="between the head of an answer and its end") as error:
                await Held.take(send, Held())
            raised.append(error)
            await send(START)
            await send({"type": "http.response.body", "body": b"whole"})

    with BackgroundServer(app) as server:
        assert opened(server).read() == b"whole" and raised
