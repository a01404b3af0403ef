"""A page that does everything, served once, and a way to read its streams."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

import enfold.gradio as gr


def build() -> tuple[gr.Blocks, SimpleNamespace]:
    """The page, and what its functions leave behind for tests to see."""
    seen = SimpleNamespace(closed=threading.Event(), gate=threading.Event(), running=0, most=0, lock=threading.Lock())

    def count(n: float) -> Iterator[str]:
        try:
            for i in range(int(n)):
                yield "x" * (i + 1)
        finally:
            seen.closed.set()

    def forever(n: float) -> Iterator[float]:
        try:
            while True:
                n += 1
                time.sleep(0.01)
                yield n
        finally:
            seen.closed.set()

    def shown_error(text: str) -> str:
        raise gr.Error("No good", duration=3, print_exception=False)

    def hidden_error(text: str) -> str:
        raise RuntimeError("a secret path")

    def add(n: float, total: float) -> tuple[float, float]:
        return total + n, total + n

    def held(text: str) -> str:
        with seen.lock:
            seen.running += 1
            seen.most = max(seen.most, seen.running)
        seen.gate.wait(5)
        with seen.lock:
            seen.running -= 1
        return text

    def doubled(batch: list[str]) -> list[list[str]]:
        return [[text * 2 + f"/{len(batch)}" for text in batch]]

    def work(text: str, progress: gr.Progress = gr.Progress()) -> str:  # noqa: B008
        progress(0.5, desc="Half")
        gr.Info("Nearly there")
        return text

    def hurries(text: str) -> Iterator[Any]:
        yield gr.update(label="Now")
        yield gr.update(info="later")
        yield "mid"
        yield "end"

    async def later(text: str) -> str:
        return text[::-1]

    async def letters(text: str) -> Any:
        for index in range(len(text)):
            yield text[: index + 1]

    with gr.Blocks(title="All") as demo:
        text, number, out, label = gr.Textbox(label="Text"), gr.Number(), gr.Textbox(), gr.Label(num_top_classes=1)
        total, button = gr.State(0), gr.Button()
        button.click(lambda text: {"yes": 0.9, "no": 0.1}, text, label, api_name="classify")
        button.click(str.upper, text, out, api_name="shout", concurrency_limit=None)
        button.click(count, number, out)
        button.click(forever, number, number)
        button.click(shown_error, text, out)
        button.click(hidden_error, text, out)
        button.click(add, [number, total], [number, total])
        button.click(held, text, out)
        button.click(doubled, text, out, batch=True, max_batch_size=3)
        button.click(work, text, out)
        button.click(later, text, out)
        button.click(hurries, text, out)
        button.click(letters, text, out)
        button.click(lambda text: text, text, out, api_name="secret", api_visibility="private")
        button.click(lambda text: text + "!", text, out, api_name="direct", queue=False)
        button.click(lambda text: (text, text), text, out, api_name="wrong_number")
        button.click(lambda text: gr.Dropdown(["p"], label=text), text, gr.Dropdown(["q"]), api_name="changes")
    return demo, seen


@pytest.fixture
def served() -> Iterator[SimpleNamespace]:
    """The page, its address, a client, and ``stream(session)`` which reads frames until the stream closes."""
    demo, seen = build()
    _, url, _ = demo.launch(prevent_thread_lock=True, server_port=0, quiet=True)
    ids = {fn.api_name: fn.id for fn in demo.fns.values()}
    with httpx.Client(base_url=url + "gradio_api/", timeout=10) as client:

        def stream(session: str, after: int | None = None) -> list[dict[str, Any]]:
            query = {"session_hash": session} | ({"after": str(after)} if after is not None else {})
            text = client.get("queue/data", params=query).text
            frames = [frame for frame in text.split("\n\n") if frame]
            assert all(frame.startswith("data: {") and "\n" not in frame for frame in frames)
            return [json.loads(frame[6:]) for frame in frames]

        def join(name: str, data: list[Any], session: str = "s1", user: str = "api", **more: Any) -> httpx.Response:
            body = {"data": data, "fn_index": ids[name], "session_hash": session, **more}
            return client.post("queue/join", json=body, headers={"x-gradio-user": user})

        yield SimpleNamespace(demo=demo, url=url, client=client, stream=stream, join=join, ids=ids, seen=seen)
    seen.gate.set()
    demo.close()
