"""Fields of every wrong kind: each request is answered, none by an error from inside."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import httpx
import pytest

from enfold.serving import chat, completions, responses, tgi
from serving.test_serving_limits import running

VALUES: list[Any] = [
    True, -1, 0, 1, 2.5, 1e308, 10**30, "", "x", "auto", [], [1], ["x"], [[]], [{}], [None], {}, {"type": "x"},
    {"a": {}}, {"type": "json_schema"}, {"type": "json_schema", "json_schema": []}, {"name": "f"},
    [{"type": "function"}], [{"role": "user", "content": {}}], [{"role": "assistant", "tool_calls": 1}],
    [{"type": "function_call"}], [{"type": "message", "content": [1]}],
]  # fmt: skip
MESSAGES = [{"role": "user", "content": "hi"}]
ROUTES: dict[str, tuple[Any, dict[str, Any]]] = {
    "/v1/chat/completions": (chat.FIELDS, {"messages": MESSAGES, "max_tokens": 2}),
    "/v1/completions": (completions.FIELDS, {"prompt": "hi", "max_tokens": 2}),
    "/v1/responses": (responses.FIELDS, {"input": "hi", "max_output_tokens": 2}),
}


@pytest.mark.parametrize("path", [*ROUTES, "/generate"])
def test_no_field_breaks_the_server(folder: Path, path: str) -> None:
    draw = random.Random(path)
    with running(folder) as (url, _, _), httpx.Client(base_url=url, timeout=60) as client:
        for name in tgi.PARAMETERS if path == "/generate" else ROUTES[path][0]:
            value = draw.choice(VALUES)
            if path == "/generate":
                body: Any = {"inputs": "hi", "parameters": {"max_new_tokens": 2, name: value}}
            else:
                body = {**ROUTES[path][1], name: value, "stream": draw.random() < 0.3} | {name: value}
            found = client.post(path, json=body)
            assert found.status_code < 500, f"{name}={value!r}: {found.text}"
        for body in ({}, {"inputs": 1}, {"inputs": "a", "parameters": [1]}, {"inputs": "a", "stream": 1}, {"model": 1}):
            for route in (path, "/", "/tokenize"):
                found = client.post(route, json=body)
                assert found.status_code < 500, f"{route} {body}: {found.text}"
