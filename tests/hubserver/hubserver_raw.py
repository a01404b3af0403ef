"""Commits as raw requests."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx


def lines(*records: tuple[str, dict[str, Any]], parent: str | None = None, title: str = "test") -> bytes:
    header = {"summary": title, **({"parentCommit": parent} if parent else {})}
    return b"".join(
        json.dumps({"key": key, "value": value}).encode() + b"\n" for key, value in (("header", header), *records)
    )


def file(path: str, content: bytes) -> tuple[str, dict[str, Any]]:
    return "file", {"path": path, "encoding": "base64", "content": base64.b64encode(content).decode()}


def commit(client: httpx.Client, name: str, *records: tuple[str, dict[str, Any]], **options: Any) -> httpx.Response:
    headers = {"content-type": "application/x-ndjson"}
    return client.post(f"/api/models/{name}/commit/main", content=lines(*records, **options), headers=headers)
