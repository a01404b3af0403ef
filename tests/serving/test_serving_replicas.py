"""Copies of the server, run by Ray Serve on this machine."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

pytestmark = [pytest.mark.slow]

QUESTION = [{"role": "user", "content": "hi"}]


def test_replicas_answer_behind_one_address(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve: Any = pytest.importorskip("ray.serve", exc_type=ImportError)  # needs what ray[serve] brings
    import ray

    from enfold.serving.replicas import deployment

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ray.init(num_cpus=3, include_dashboard=False, object_store_memory=100 * 2**20)
    try:
        serve.start(http_options={"host": "127.0.0.1", "port": port})
        serve.run(deployment({"models": [f"tiny={folder}"], "page": False}, 2))
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as client:
            body = {"messages": QUESTION, "max_tokens": 6, "temperature": 0}
            texts = {
                client.post("/v1/chat/completions", json=body).json()["choices"][0]["message"]["content"]
                for _ in range(6)
            }
            assert len(texts) == 1
            assert client.post("/v1/chat/completions", json={**body, "stream": True}).text.endswith("data: [DONE]\n\n")
            assert client.post("/v1/chat/completions", json={**body, "n": 0}).status_code == 400
            assert client.get("/v1/models").json()["data"][0]["id"] == "tiny"
    finally:
        serve.shutdown()
        ray.shutdown()
