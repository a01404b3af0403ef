"""Our InferenceClient asks a model server exactly what the official one asks, and returns what that one returns."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import inference_cases
import pytest

from enfold import hub
from enfold.hub.errors import InferenceTimeoutError, OverloadedError

pytestmark = pytest.mark.peer

PNG64 = base64.b64encode(inference_cases.PNG).decode()
TOKEN = {"id": 1, "logprob": -0.5, "special": False, "text": " upon"}
LABELS = [{"label": "a", "score": 0.75}, {"label": "b", "score": 0.25}]
DETAILS = {"finish_reason": "length", "generated_tokens": 1, "prefill": [], "tokens": [TOKEN], "seed": None}
CHAT = {
    "id": "1",
    "created": 2,
    "model": "m",
    "system_fingerprint": "s",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi"}}],
    "more": 1,
    "usage": {"completion_tokens": 1, "prompt_tokens": 2, "total_tokens": 3},
}
PIECE = {**CHAT, "usage": None, "choices": [{"index": 0, "delta": {"role": "assistant", "content": "H"}}]}
# what is in the request → the answer
ANSWERS: list[tuple[str, Any]] = [
    ("parameters.details", [{"generated_text": "Once upon", "details": DETAILS}]),
    ("max_new_tokens", [{"generated_text": "Once upon"}]),
    ('"normalize"', [[0.5, 0.25]]),
    ('"source_sentence"', [0.5, 0.75]),
    ('"candidate_labels"', LABELS),
    ("aggregation_strategy", [{"entity_group": "PER", "score": 0.5, "word": "Ann", "start": 0, "end": 3}]),
    ("<mask>", [{"score": 0.5, "sequence": "a b", "token": 3, "token_str": "b"}]),
    ('"context"', {"answer": "Ann", "start": 0, "end": 3, "score": 0.5}),
    ('"query"', {"answer": "1", "cells": ["1"], "coordinates": [[0, 0]], "aggregator": "NONE"}),
    ('"table"', ["x"]),
    ("max_length", [{"summary_text": "short"}]),
    ("src_lang", [{"translation_text": "Salut"}]),
    ('"question"', [{"answer": "a cat", "score": 0.5, "start": 0, "end": 1}]),
    ('"good"', [LABELS]),
    ('"threshold"', [{"label": "cat", "mask": PNG64, "score": 0.5}]),
    ('"top_k"', LABELS),
]


class Server(BaseHTTPRequestHandler):
    """Answers every task, and writes down what it was asked."""

    seen: list[Any]
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: Any) -> None: ...

    def do_GET(self) -> None:
        self.answer({"model_id": "m"} if self.path == "/info" else "ok")

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["content-length"]))
        text = data.decode("latin-1")
        body = json.loads(data) if data[:1] == b"{" else data.hex()
        self.seen.append([self.path, self.headers["authorization"], body])
        stream = isinstance(body, dict) and body.get("stream")
        if '"FAIL"' in text:
            error = {"error": "too much", "error_type": "overloaded"}
            self.events([error]) if stream else self.answer(error, status=424)
        elif self.path.endswith("/chat/completions"):
            self.events([PIECE, PIECE]) if stream else self.answer(CHAT)
        elif stream:
            end = {"generated_text": "Once upon", "details": {"finish_reason": "length", "generated_tokens": 1}}
            self.events([{"index": 0, "token": TOKEN}, {"index": 1, "token": TOKEN, **end}])
        elif isinstance(body, str):
            self.media(data)
        else:
            self.known(body, text)

    def known(self, body: Any, text: str) -> None:
        if (body.get("parameters") or {}).get("details"):
            self.answer(ANSWERS[0][1])
            return
        if body["inputs" if "inputs" in body else "table"] in ("hi", "a cat") or body.get("parameters") == {
            "prompt": "blue"
        }:
            self.answer(inference_cases.PNG)
            return
        self.answer(next(answer for part, answer in ANSWERS[1:] if part in text))

    def media(self, data: bytes) -> None:
        if data == b"RIFFspeech":
            self.answer({"text": "hello"})
            return
        if data == b"RIFFsound":
            self.answer([{"blob": "AAEC", "content-type": "audio/flac", "label": "one", "score": 0.5}])
            return
        corner = {"xmin": 0, "ymin": 0, "xmax": 1, "ymax": 1}
        self.answer([{"generated_text": "a cat", "label": "cat", "score": 0.5, "box": corner}])

    def answer(self, value: Any, status: int = 200) -> None:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.send_header("content-type", "image/png" if isinstance(value, bytes) else "application/json")
        self.end_headers()
        self.wfile.write(data)

    def events(self, values: list[Any]) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        for value in values:
            self.wfile.write(b"data:" + json.dumps(value).encode() + b"\n\n")
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    Server.seen = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture(scope="module")
def both(server: Any, peer: Callable[..., Any]) -> Any:
    """What each client was answered, and what the server was asked by each."""
    address = f"http://127.0.0.1:{server.server_address[1]}"
    theirs = peer(
        Path(__file__).with_name("inference_cases.py"), "huggingface_hub", address, variables={"HF_HUB_OFFLINE": "0"}
    )
    asked, Server.seen = Server.seen, []
    ours = inference_cases.run("enfold.hub", address)
    mine, Server.seen = Server.seen, []
    return theirs, asked, json.loads(json.dumps(ours)), mine, address


def _same(body: Any) -> Any:
    """Return a body without what says nothing: empty parameters, and the name of a model that an address stands for."""
    path, token, found = body
    if isinstance(found, dict):
        kept = {k: v for k, v in found.items() if k != "model" and v not in (None, {}, False)}
        if isinstance(kept.get("parameters"), dict):
            kept["parameters"] = {k: v for k, v in kept["parameters"].items() if v not in (None, False)}
        found = {k: v for k, v in kept.items() if v != {}}
    return [path, token, found]


def test_every_call_returns_what_the_official_client_returns(both: Any) -> None:
    theirs, _, ours, _, _ = both
    assert {name: ours[name] for name in theirs} == theirs
    assert theirs["chat"]["choices"][0]["message"]["content"] == "Hi"
    assert theirs["text stream"] == [" upon", " upon"] and theirs["features"] == ["float32", [[0.5, 0.25]]]
    assert theirs["overloaded"] == theirs["broken stream"] == "OverloadedError"
    failed = [name for name, value in theirs.items() if isinstance(value, str) and value.endswith("Error")]
    assert failed == ["overloaded", "broken stream", "no image"]


def test_every_call_asks_what_the_official_client_asks(both: Any) -> None:
    _, asked, _, mine, _ = both
    assert [_same(item) for item in mine] == [_same(item) for item in asked]


def test_the_async_client_answers_the_same(both: Any) -> None:
    theirs, _, _, _, address = both

    async def main() -> dict[str, Any]:
        said = {}
        async with hub.AsyncInferenceClient(address, token="hf_x") as client:
            said["classify"] = await client.text_classification("good", top_k=2)
            said["text stream"] = [piece async for piece in await client.text_generation("Once", stream=True)]
            said["chat"] = await client.chat.completions.create(messages=inference_cases.MESSAGES)
            said["info"] = await client.get_endpoint_info()
            said["health"] = await client.health_check()
            with pytest.raises(OverloadedError):
                await client.text_generation("FAIL")
        return {name: inference_cases.plain(value) for name, value in said.items()}

    found = asyncio.run(main())
    assert found == {name: theirs[name] for name in found}


def test_a_server_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr("enfold.hub.http._ATTEMPTS", 1)
        client = hub.InferenceClient(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.1)
        with pytest.raises(InferenceTimeoutError, match=r"did not answer in 0\.1 s"):
            list(client.text_generation("Once", stream=True))


def test_a_client_without_a_model_teaches() -> None:
    with pytest.raises(ValueError, match="which model"):
        hub.InferenceClient().text_classification("good")
    with pytest.raises(ValueError, match="two names"):
        hub.InferenceClient("m", base_url="http://x")
    with pytest.raises(ValueError, match="both languages"):
        hub.InferenceClient("m").translation("Hi", src_lang="en")


def test_the_saved_token_goes_to_no_other_address(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    Server.seen = []
    hub.InferenceClient(f"http://127.0.0.1:{server.server_address[1]}").text_classification("good")
    assert Server.seen[0][1] is None


def test_a_question_about_an_image_is_sent_as_the_tasks_own_description_says(server: Any) -> None:
    client = hub.InferenceClient(f"http://127.0.0.1:{server.server_address[1]}")
    Server.seen = []
    assert client.visual_question_answering(inference_cases.PNG, "What?", top_k=1)[0].answer == "a cat"
    # The official client sends the image where the question belongs, and the question beside it.
    assert Server.seen[0][2] == {"inputs": {"question": "What?", "image": PNG64}, "parameters": {"top_k": 1}}
    for call in (client.tabular_regression, client.tabular_classification):
        assert call({"a": ["1"]}) == ["x"]
    assert client.text_to_video("hi", num_frames=3) == inference_cases.PNG
