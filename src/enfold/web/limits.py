"""Limits on what a request may carry."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

from enfold.errors import EnfoldError

__all__ = ["BadForm", "BodyTooLarge", "read_body", "read_form", "read_json"]

_FORM_OVERHEAD = 64 * 1024  # headers and fields of a form, beside its files


class BodyTooLarge(EnfoldError):
    """A request carries more bytes than the server accepts."""


class BadForm(EnfoldError, ValueError):
    """A request's form cannot be read."""


async def _counted(request: Any, limit: int, what: str) -> AsyncGenerator[bytes, None]:
    declared, size = request.headers.get("content-length", ""), 0
    if declared.isdigit() and int(declared) > limit:
        raise BodyTooLarge(f"the {what} has {declared} bytes; at most {limit} are accepted")
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise BodyTooLarge(f"the {what} has more than the {limit} bytes that are accepted")
        yield chunk


async def read_body(request: Any, limit: int) -> bytes:
    """Read a request's body, ``limit`` bytes at most.

    Raises:
        BodyTooLarge: the body is longer; it is refused by its declared length when it has one.
    """
    return b"".join([chunk async for chunk in _counted(request, limit, "request")])


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


async def read_form(request: Any, limit: int, *, files: int = 1, fields: int = 16) -> Any:
    """Read a form with uploads (``multipart/form-data``), ``limit`` bytes at most and a little for what is around it.

    Args:
        request: a Starlette request.
        limit: bytes.
        files, fields: how many of either at most.

    Returns:
        Starlette's form; ``await form.close()`` frees the files.

    Raises:
        BodyTooLarge: it is longer.
        BadForm: it is no such form, or has more files or fields.
    """
    from starlette.formparsers import MultiPartException, MultiPartParser

    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise BadForm("files are uploaded as multipart/form-data")
    body = _counted(request, limit + _FORM_OVERHEAD, "upload")
    try:
        return await MultiPartParser(request.headers, body, max_files=files, max_fields=fields).parse()
    except MultiPartException as error:
        raise BadForm(str(error)) from None
    except (KeyError, UnicodeDecodeError):
        raise BadForm("the form cannot be read") from None
