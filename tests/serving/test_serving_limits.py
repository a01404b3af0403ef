"""What a server does when much is asked of it, or something is wrong: each has an answer, and memory has bounds."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from enfold.serving import Keys, Limits, Service, create_app
from enfold.serving.loading import add_text_model
from enfold.web.server import BackgroundServer
from serving.conftest import KEY

QUESTION = [{"role": "user", "content": "hi"}]


@contextmanager
def running(folder: Path, limits: Limits | None = None, keys: tuple[str, ...] = (), **engine: Any) -> Iterator[Any]:
    """A server in this process; yields (address, service, engine)."""
    limits = limits or Limits()
    service = Service(keys=Keys(keys, limits.per_key), limits=limits, page=False)
    model = add_text_model(service, f"tiny={folder}", **engine)
    with BackgroundServer(create_app(service)) as server:
        yield server.url, service, model.writer.engine


def until(ready: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)


def empty(engine: Any) -> bool:
    told = engine.statistics
    return not told.running and not told.waiting and told.blocks_free + told.blocks_kept == told.blocks


def test_64_streams_at_once_are_the_answers_of_each_alone(server: Any) -> None:
    async def one(client: httpx.AsyncClient, number: int) -> str:
        body = {"messages": [{"role": "user", "content": f"{number % 8}"}], "max_tokens": 16, "temperature": 0}
        text = ""
        async with client.stream("POST", "/v1/chat/completions", json={**body, "stream": True}) as answer:
            assert answer.status_code == 200
            async for line in answer.aiter_lines():
                if line.startswith("data: {"):
                    text += json.loads(line[6:])["choices"][0]["delta"].get("content", "")
        return text

    async def all_of_them() -> tuple[list[str], list[str]]:
        limits = httpx.Limits(max_connections=80)
        async with httpx.AsyncClient(base_url=server.url, timeout=300, limits=limits) as client:
            alone = [await one(client, number) for number in range(8)]
            return alone, await asyncio.gather(*(one(client, number) for number in range(64)))

    alone, together = asyncio.run(all_of_them())
    assert together == alone * 8 and len(set(alone)) > 1


def test_a_client_that_hangs_up_gives_its_pages_back(folder: Path) -> None:
    with running(folder, max_running=4) as (url, service, engine):
        body = {"messages": QUESTION, "max_tokens": 450, "ignore_eos": True, "temperature": 0}
        with httpx.stream("POST", f"{url}/v1/chat/completions", json={**body, "stream": True}) as answer:
            lines = answer.iter_lines()  # held, for httpx hangs up when it is collected
            next(lines)
            assert engine.statistics.running == 1
        until(lambda: empty(engine))
        # and one that waits for a whole answer
        parts = urlsplit(url)
        with socket.create_connection((parts.hostname, parts.port)) as sock:
            text = json.dumps({**body, "n": 3}).encode()
            sock.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(text) + text
            )
            until(lambda: engine.statistics.running == 3)
        until(lambda: empty(engine))
        assert service.models["tiny"].writer.open == 0
        assert 'reason="cancelled"} 4' in httpx.get(f"{url}/metrics").text
        assert engine.statistics.new_tokens < 4 * 450


def test_a_prompt_that_is_too_long_is_refused_with_both_numbers(folder: Path) -> None:
    with running(folder, Limits(prompt_tokens=40)) as (url, _, engine):
        long = [{"role": "user", "content": "x" * 100}]
        found = httpx.post(f"{url}/v1/chat/completions", json={"messages": long})
        assert found.status_code == 400 and found.json()["error"]["code"] == "context_length_exceeded"
        assert "119 tokens" in found.json()["error"]["message"] and "at most 40" in found.json()["error"]["message"]
        found = httpx.post(f"{url}/generate", json={"inputs": "x" * 100})
        assert found.status_code == 422 and found.json()["error_type"] == "validation"
        assert "100 tokens" in found.json()["error"] and "at most 40" in found.json()["error"]
        assert engine.statistics.requests == 0


def test_a_burst_past_the_queue_is_told_when_to_come_again(folder: Path) -> None:
    with running(folder, Limits(queue=3), max_running=2) as (url, service, engine):
        body = {"messages": QUESTION, "max_tokens": 60, "temperature": 0, "ignore_eos": True}

        async def burst() -> list[httpx.Response]:
            async with httpx.AsyncClient(base_url=url, timeout=300) as client:
                asked = (client.post("/v1/chat/completions", json=body) for _ in range(20))
                return list(await asyncio.gather(*asked))

        found = asyncio.run(burst())
        refused = [answer for answer in found if answer.status_code == 429]
        served = [answer for answer in found if answer.status_code == 200]
        assert len(refused) + len(served) == 20 and len(served) >= 5 and refused
        assert len({answer.json()["choices"][0]["message"]["content"] for answer in served}) == 1
        for answer in refused:
            assert 1 <= int(answer.headers["retry-after"]) <= 60
            assert answer.json()["error"]["type"] == "rate_limit_error" and "at most 5 may" in answer.text
        assert service.metrics.refused.values[("tiny",)] == len(refused)
        assert httpx.post(f"{url}/v1/chat/completions", json=body, timeout=60).status_code == 200
        much = httpx.post(f"{url}/generate", json={"inputs": "a", "parameters": {"best_of": 9}})
        assert much.status_code == 429 and much.json()["error_type"] == "overloaded"
        until(lambda: empty(engine))


def test_a_reader_who_is_too_slow_is_given_up(folder: Path) -> None:
    """Tokens pile up for a reader who takes none; they have a bound, and so has the time."""
    with running(folder, Limits(unread=20), max_running=4) as (_, service, engine):
        answers = []
        body = {"messages": QUESTION, "max_tokens": 450, "ignore_eos": True, "temperature": 0}
        from enfold.serving.chat import conversation_of

        async def without_reading() -> None:
            asked = await conversation_of(dict(body), service)
            group = await asked.answers()
            answers.extend(group.all)
            while not answers[0].is_over:
                await asyncio.sleep(0.01)
            with pytest.raises(Exception, match="21 tokens wait to be read; at most 20"):
                await group.whole()

        asyncio.run(without_reading())
        assert answers[0].error is not None and answers[0].error.code == "slow_reader" and not answers[0]._waiting
        until(lambda: empty(engine))
        assert len(answers[0].request.new_tokens) < 450


def test_a_reader_who_takes_nothing_is_hung_up_on(folder: Path) -> None:
    """The socket's buffers are full: a frame is sent and never taken."""
    with running(folder, Limits(send_seconds=0.2), max_running=4) as (_, service, engine):
        app = create_app(service)
        body = {"messages": QUESTION, "max_tokens": 450, "ignore_eos": True, "stream": True}
        sent: list[Any] = []

        async def drive() -> None:
            never = asyncio.Event()
            given = [{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}]

            async def receive() -> Any:
                if not given:
                    await never.wait()
                return given.pop()

            async def send(message: Any) -> None:
                sent.append(message)
                if len(sent) > 2:
                    await never.wait()

            path = "/v1/chat/completions"
            scope = {"type": "http", "method": "POST", "path": path, "headers": [], "query_string": b""}
            await asyncio.wait_for(app(scope, receive, send), 60)

        asyncio.run(drive())
        assert [message["type"] for message in sent] == ["http.response.start"] + ["http.response.body"] * 2
        until(lambda: empty(engine))


def test_keys_are_asked_for_and_told_to_nobody(serve: Callable[..., Any]) -> None:
    server = serve(ENFOLD_API_KEYS=KEY)
    body = {"messages": QUESTION, "max_tokens": 2}
    for headers in ({}, {"Authorization": "Bearer wrong-wrong-wrong-wrong"}, {"Authorization": f"Basic {KEY}"}):
        found = httpx.post(f"{server.url}/v1/chat/completions", json=body, headers=headers)
        assert found.status_code == 401 and found.json()["error"]["code"] == "invalid_api_key"
        assert found.headers["www-authenticate"] == "Bearer"
    assert httpx.post(f"{server.url}/generate", json={"inputs": "a"}).json()["error_type"] == "authentication"
    assert httpx.get(f"{server.url}/metrics").status_code == 401
    assert httpx.get(f"{server.url}/health").status_code == 200
    allowed = {"Authorization": f"Bearer {KEY}"}
    assert httpx.post(f"{server.url}/v1/chat/completions", json=body, headers=allowed).status_code == 200
    metrics = httpx.get(f"{server.url}/metrics", headers=allowed).text
    # it stops when it is told to, after the answer that has begun
    answer: list[str] = []
    long = {**body, "max_tokens": 200, "ignore_eos": True, "stream": True}
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=long, headers=allowed, timeout=60) as stream:
        lines = stream.iter_lines()
        answer.append(next(lines))
        server.interrupt(signal.SIGTERM)
        answer += lines
    assert "data: [DONE]" in answer
    assert server.process.wait(60) == 0
    server.stop()
    assert KEY not in server.said + "".join(server.log) + metrics


def test_one_caller_may_have_so_many_requests_open(folder: Path) -> None:
    with running(folder, Limits(per_key=2), (KEY, KEY[::-1])) as (url, _, engine):
        body = {"messages": QUESTION, "max_tokens": 450, "ignore_eos": True, "stream": True}
        mine, other = ({"Authorization": f"Bearer {key}"} for key in (KEY, KEY[::-1]))
        path = f"{url}/v1/chat/completions"
        with (
            httpx.stream("POST", path, json=body, headers=mine),
            httpx.stream("POST", path, json=body, headers=mine),
        ):
            refused = httpx.post(path, json=body, headers=mine)
            assert refused.status_code == 429 and refused.headers["retry-after"] == "1"
            assert httpx.post(path, json={**body, "max_tokens": 2}, headers=other).status_code == 200
        until(lambda: empty(engine))
        until(lambda: httpx.post(path, json={**body, "max_tokens": 2}, headers=mine).status_code == 200)


def test_bodies_have_a_bound_and_are_json(folder: Path) -> None:
    with running(folder, Limits(body=2000)) as (url, *_):
        path = f"{url}/v1/chat/completions"
        assert httpx.post(path, json={"messages": [{"role": "user", "content": "x" * 3000}]}).status_code == 413
        assert httpx.post(path, content=iter([b"x" * 3000])).status_code == 413  # without a length
        assert httpx.post(path, content=b"{").json()["error"]["message"].startswith("the body is not JSON")
        assert httpx.post(path, content=b"[1]").status_code == 400
        assert httpx.post(path, content=b"[" * 1900).status_code == 400
        assert httpx.get(path).status_code == 405
        assert httpx.get(f"{url}/v1/nothing").json()["error"]["message"] == "nothing is served under this path"


def test_an_engine_that_fails_answers_500_and_goes_on(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with running(folder) as (url, _, engine):
        read, failing = engine.runner.read, [True]

        def breaking(pieces: Any) -> Any:
            if failing and failing.pop():
                raise RuntimeError("a secret of the server's inside")
            return read(pieces)

        engine.runner.read = breaking
        body = {"messages": QUESTION, "max_tokens": 3}
        found = httpx.post(f"{url}/v1/chat/completions", json=body)
        assert found.status_code == 500 and found.json()["error"]["type"] == "server_error"
        assert "secret" not in found.text
        failing.append(True)
        assert httpx.post(f"{url}/v1/chat/completions", json={**body, "stream": True}).status_code == 500
        assert httpx.post(f"{url}/v1/chat/completions", json=body).status_code == 200


def test_numbers_tell_what_happened(server: Any, ask: Callable[..., Any]) -> None:
    ask("/v1/chat/completions", messages=QUESTION, max_tokens=4)
    text = httpx.get(f"{server.url}/metrics").text
    for line in text.splitlines():
        assert line.startswith("#") or float(line.rpartition(" ")[2]) >= 0
    for name in (
        'enfold_requests_total{method="POST",route="/v1/chat/completions",status="200"}',
        'enfold_first_token_seconds_bucket{model="tiny",le="+Inf"}',
        'enfold_new_tokens_total{model="tiny"}',
        'enfold_cache_blocks_free{model="tiny"}',
    ):
        assert name in text
