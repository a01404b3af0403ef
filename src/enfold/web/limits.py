"""Limits on what a request may carry."""

from __future__ import annotations

import json
from typing import Any

from enfold.errors import EnfoldError

__all__ = ["BodyTooLarge", "read_body", "read_json"]


class BodyTooLarge(EnfoldError):
    """A request carries more bytes than the server accepts."""


async def read_body(request: Any, limit: int) -> bytes:
    """Read a request's body, ``limit`` bytes at most.

    Raises:
        BodyTooLarge: the body is longer; it is refused by its declared length when it has one.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise BodyTooLarge(f"the request has {declared} bytes; at most {limit} are accepted")
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise BodyTooLarge(f"the request has more than the {limit} bytes that are accepted")
        chunks.append(chunk)
    return b"".join(chunks)


async def read_json(request: Any, limit: int) -> Any:
    """Read a JSON body of at most ``limit`` bytes.

    Raises:
        BodyTooLarge: it is longer.
        ValueError: it is not JSON, or nested too deeply.
    """
    body = await read_body(request, limit)
    try:
        return json.loads(body)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None
