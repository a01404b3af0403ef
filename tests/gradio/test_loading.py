"""Pages made of what runs elsewhere."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
from starlette.testclient import TestClient

import enfold.gradio as gr


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a page that another server shows."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))

    def count(n: float) -> Iterator[str]:
        for end in range(int(n)):
            yield "x" * (end + 1)

    def fails(text: str) -> str:
        raise gr.Error("not today", print_exception=False)

    with gr.Blocks(title="Other", js="() => { window.bad = 1 }") as demo:
        with gr.Row():
            text, number = gr.Textbox("Ada", label="Name"), gr.Number(label="N")
        image, out, total = gr.Image(), gr.Textbox(label="Out"), gr.State(0)
        button = gr.Button("Go")
        button.click(lambda text: f"Hello {text}", text, out, api_name="greet")
        button.click(count, number, out)
        button.click(fails, text, out)
        button.click(lambda n, total: (n + total, n + total), [number, total], [number, total], api_name="add")
        button.click(lambda image: image[:, ::-1], image, image, api_name="flip")
        button.click(None, text, out, js="() => { window.worse = 1 }")
    _, url, _ = demo.launch(prevent_thread_lock=True, server_port=0, quiet=True)
    yield url
    demo.close()


def test_a_page_elsewhere_is_shown_and_its_functions_called_there(other: str) -> None:
    from starlette.testclient import TestClient

    page = gr.load(other)
    assert page.title == "Other"
    config = page.get_config_file()
    assert [each["props"]["label"] for each in config["components"] if each["type"] == "textbox"] == ["Name", "Out"]
    assert next(each for each in config["components"] if each["type"] == "textbox")["props"]["value"] == "Ada"
    assert not any(each["js"] for each in config["dependencies"]), "scripts of the other page do not run here"
    client = TestClient(gr.App.create_app(page, show_error=True), base_url="http://127.0.0.1")

    def run(name: str, *data: Any, session: str = "s") -> Any:
        body = {"data": list(data), "session_hash": session}
        return client.post(f"/gradio_api/run/{name}", json=body).json()

    assert run("greet", "Bob")["data"] == ["Hello Bob"]
    assert run("count", 3)["data"] == ["xxx"]
    assert run("fails", "x")["error"] == "not today"
    assert [run("add", n, None)["data"][0] for n in (2, 3)] == [2, 5]
    assert run("add", 4, None, session="t")["data"][0] == 4, "another visitor has a session of their own there"
    (path,) = client.post("/gradio_api/upload", files={"files": ("a.png", _png())}).json()
    (shown,) = run("flip", {"path": path, "orig_name": "a.png", "meta": {"_type": "gradio.FileData"}})["data"]
    assert shown["path"].startswith(f"{other}gradio_api/file=") and httpx.get(shown["url"]).status_code == 200
    outside = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}
    assert "only files that were uploaded" in run("flip", outside)["error"].lower()


def test_a_stream_elsewhere_is_heard_piece_by_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))

    def speak(n: float) -> Iterator[Any]:
        for number in range(int(n)):
            yield f"part {number}", (8000, np.full(800, number, np.int16))

    with gr.Blocks() as there:
        number, text, sound, go = gr.Number(), gr.Textbox(), gr.Audio(streaming=True), gr.Button()
        go.click(speak, number, [text, sound], api_name="speak")
    _, url, _ = there.launch(prevent_thread_lock=True, server_port=0, quiet=True)
    page = gr.load(url)
    (fn,) = page.fns.values()
    app = gr.App.create_app(page, show_error=True)
    try:
        with TestClient(app, base_url="http://127.0.0.1") as client:
            body = {"data": [3], "session_hash": "s", "fn_index": fn.id}
            assert client.post("/gradio_api/queue/join", json=body).status_code == 200
            frames = client.get("/gradio_api/queue/data", params={"session_hash": "s"}).text
        pieces = re.findall(r'"(http[^"]*/stream/[^"]*[.]wav)"', frames)
        names = list(dict.fromkeys(pieces))
        assert len(names) == 3 and all(name.startswith(f"{url}gradio_api/stream/") for name in names)
        assert [httpx.get(name).content[-2:] for name in names] == [bytes([number, 0]) for number in range(3)]
        assert '"part 2"' in frames and "m3u8" not in frames
    finally:
        there.close()


def _png() -> bytes:
    import io

    import PIL.Image

    buffer = io.BytesIO()
    PIL.Image.fromarray(np.zeros((2, 3, 3), np.uint8)).save(buffer, "png")
    return buffer.getvalue()


def test_what_cannot_be_loaded_is_said() -> None:
    with pytest.raises(gr.Error.__bases__[0], match="must begin with"):
        gr.load("owner/name")
    with pytest.raises(Exception, match="accept_token=True is not offered"):
        gr.load("models/x", accept_token=True)
    made = gr.load("x", src=lambda name, token: gr.Interface(lambda t: name + t, "text", "text", api_name="f"))
    assert made("y") == "xy"


def test_a_conversation_with_a_service_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = SimpleNamespace(bodies=[])

    class Service(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.end_headers()
            for word in ("Hel", "lo"):
                chunk = {"choices": [{"index": 0, "delta": {"content": word}}]}
                self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
            self.wfile.write(b"data: [DONE]\n\n")

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        page = gr.load_chat(f"http://127.0.0.1:{server.server_port}/v1", model="m", token="k", system_message="Be kind")
        history = [{"role": "user", "content": [{"type": "text", "text": "before"}]}]
        assert list(page.fn("hi", history)) == ["Hel", "Hello"]
        said = [(each["role"], each["content"]) for each in seen.bodies[0]["messages"]]
        assert said == [("system", "Be kind"), ("user", "before"), ("user", "hi")]
    finally:
        server.shutdown()


def test_pages_and_hinted_functions_elsewhere_are_here_too() -> None:
    with gr.Blocks(title="Two") as there:
        name = gr.Textbox(label="Name")
        name.submit(str.upper, name, name, api_name="shout")

        @gr.api
        def add(a: int, b: int) -> int:
            return a + b

    with there.route("Second one", show_in_navbar=False):
        year = gr.Number(label="Year")
        year.submit(lambda year: year + 1, year, year, api_name="next")
    _, url, _ = there.launch(prevent_thread_lock=True, server_port=0, quiet=True)
    try:
        here = gr.load(url)
        assert here.pages == there.pages
        config = here.get_config_file()
        assert [len(config["page"][path]["dependencies"]) for path in ("", "second-one")] == [2, 1]
        client = TestClient(gr.App.create_app(here), base_url="http://127.0.0.1")
        for call, data, answer in (("shout", ["a"], "A"), ("add", [1, 2], 3), ("next", [2026], 2027)):
            assert client.post(f"/gradio_api/run/{call}", json={"data": data}).json()["data"] == [answer]
    finally:
        there.close()
