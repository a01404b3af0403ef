"""One call of a model server: what is sent, and how its answer is read. Both clients, waiting and async, send these."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import mimetypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from enfold.hub import errors

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Call", "Media", "as_bytes", "as_image", "chat_address", "encoded", "given", "image_of", "read_event"]

Media = "bytes | bytearray | memoryview | BinaryIO | str | Path | Image"


@dataclasses.dataclass(frozen=True)
class Call:
    """A request to a model server.

    Args:
        task: the task's name in addresses, such as "text-classification".
        model: a model's id or a server's address; the client's own for None.
        body: what is sent as JSON; or ``content``, raw bytes.
        content: raw bytes, such as a sound.
        read: makes the answer from the response's body.
        accept: the kinds of content that the answer may have.
        read_event: makes a piece of the answer from each event of a stream; then ``read`` is not used.
    """

    task: str
    model: str | None
    body: Any = None
    content: bytes | None = None
    read: Callable[[bytes], Any] = json.loads
    accept: str = "application/json"
    read_event: Callable[[Any], Any] | None = None


def given(**parameters: Any) -> dict[str, Any]:
    """Return the parameters that are not None."""
    return {name: value for name, value in parameters.items() if value is not None}


def chat_address(address: str) -> str:
    """Return where a server takes chats.

    Example:
        >>> chat_address("http://127.0.0.1:8080")
        'http://127.0.0.1:8080/v1/chat/completions'
    """
    parts = urlsplit(address)
    path = parts.path.rstrip("/")
    if not path.endswith("/chat/completions"):
        path += "/chat/completions" if path.endswith("/v1") else "/v1/chat/completions"
    return urlunsplit(parts._replace(path=path))


def as_bytes(media: Any) -> tuple[bytes, str | None]:
    """Return the bytes of an image or a sound, and its media type where its name tells.

    Args:
        media: bytes, a binary file, a path, an address, or a Pillow image.

    Raises:
        FileNotFoundError: there is no such file.
        TypeError: it is something else.
    """
    if isinstance(media, (bytes, bytearray, memoryview)):
        return bytes(media), None
    if hasattr(media, "read"):
        data = media.read()
        if not isinstance(data, bytes):
            raise TypeError("open the file for reading bytes, with mode 'rb'")
        return data, mimetypes.guess_type(str(getattr(media, "name", "")))[0]
    if isinstance(media, str) and media.startswith(("http://", "https://")):
        from enfold.hub.http import request

        response = request("GET", media, token=False)
        return response.content, response.headers.get("content-type") or mimetypes.guess_type(media)[0]
    if isinstance(media, (str, os.PathLike)):
        path = Path(media)
        if not path.is_file():
            raise FileNotFoundError(f"there is no file {str(media)!r}; give raw content as bytes")
        return path.read_bytes(), mimetypes.guess_type(path)[0]
    if hasattr(media, "save") and hasattr(media, "getbbox"):
        buffer, kind = io.BytesIO(), media.format or "PNG"
        media.save(buffer, format=kind)
        return buffer.getvalue(), f"image/{kind.lower()}"
    raise TypeError(f"expected bytes, a binary file, a path, an address or an image, not {type(media).__name__}")


def encoded(media: Any) -> str:
    """Return an image or a sound as base64."""
    return base64.b64encode(as_bytes(media)[0]).decode()


def as_image(data: bytes) -> Image:
    """Open an image; needs Pillow."""
    from enfold.errors import MissingExtra

    try:
        from PIL import Image
    except ImportError:
        raise MissingExtra("images from a model server", "vision") from None
    return Image.open(io.BytesIO(data))


def image_of(text: str) -> Image:
    """Open an image that came as base64."""
    return as_image(base64.b64decode(text))


_ERRORS = {
    "generation": errors.GenerationError,
    "incomplete_generation": errors.IncompleteGenerationError,
    "overloaded": errors.OverloadedError,
    "validation": errors.ValidationError,
}


def raise_server_error(answer: Any) -> None:
    """Raise the error that a server of language models names in its answer, if it names one."""
    if isinstance(answer, dict) and answer.get("error") is not None and "error_type" in answer:
        raise _ERRORS.get(answer["error_type"], errors.UnknownError)(str(answer["error"]))


def read_event(line: str) -> Any:
    """Return what a line of an event stream carries: JSON, None for lines without data, ``...`` at the end.

    Raises:
        TextGenerationError: the server sent an error.
    """
    if not line.startswith("data:"):
        return None
    text = line.removeprefix("data:").strip()
    if text == "[DONE]":
        return ...
    found = json.loads(text)
    if isinstance(found, dict) and found.get("error") is not None:
        raise_server_error({"error_type": None, **found})
    return found
