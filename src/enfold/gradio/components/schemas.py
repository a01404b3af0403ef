"""The JSON Schemas that describe files and records to clients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["ANY_JSON", "FILE", "FILE_MODEL", "IMAGE", "IMAGE_MODEL", "array", "optional", "record", "ref", "text"]


def optional(title: str, kind: str, description: str | None = None) -> dict[str, Any]:
    """A field that may be null."""
    more = {"description": description} if description else {}
    return {"anyOf": [{"type": kind}, {"type": "null"}], "default": None, **more, "title": title}


def text(title: str) -> dict[str, Any]:
    """A field that holds a text."""
    return {"title": title, "type": "string"}


def ref(name: str) -> dict[str, str]:
    """A reference to a definition."""
    return {"$ref": f"#/$defs/{name}"}


def array(title: str, items: Any) -> dict[str, Any]:
    """A field that holds a list."""
    return {"items": items, "title": title, "type": "array"}


def record(title: str, properties: Mapping[str, Any], required: tuple[str, ...] = ()) -> dict[str, Any]:
    """An object with these properties."""
    made = {"properties": dict(properties), "title": title, "type": "object"}
    return {**made, "required": list(required)} if required else made


_META = {
    "properties": {"_type": {"const": "gradio.FileData", "title": "Type", "type": "string"}},
    "required": ["_type"],
    "title": "FileDataMeta",
    "type": "object",
}
_STREAM = {"default": False, "title": "Is Stream", "type": "boolean"}
FILE_MODEL = record(
    "FileData",
    {
        "path": text("Path"),
        "url": optional("Url", "string"),
        "size": optional("Size", "integer"),
        "orig_name": optional("Orig Name", "string"),
        "mime_type": optional("Mime Type", "string"),
        "is_stream": _STREAM,
        "meta": ref("FileDataMeta"),
    },
    ("path",),
)
IMAGE_MODEL = record(
    "ImageData",
    {
        "path": optional("Path", "string", "Path to a local file"),
        "url": optional("Url", "string", "Publicly available url or base64 encoded image"),
        "size": optional("Size", "integer", "Size of image in bytes"),
        "orig_name": optional("Orig Name", "string", "Original filename"),
        "mime_type": optional("Mime Type", "string", "mime type of image"),
        "is_stream": {**_STREAM, "description": "Can always be set to False"},
        "meta": {
            "additionalProperties": True,
            "default": {"_type": "gradio.FileData"},
            "title": "Meta",
            "type": "object",
        },
    },
)


def defined(schema: Mapping[str, Any], *names: str, **more: Any) -> dict[str, Any]:
    """A schema with its definitions: "file" and "image" by name, others as they are given."""
    defs: dict[str, Any] = dict(more)
    if "file" in names:
        defs |= {"FileData": FILE_MODEL, "FileDataMeta": _META}
    if "image" in names:
        defs["ImageData"] = IMAGE_MODEL
    made = {**schema, "additional_description": None}
    return {"$defs": defs, **made} if defs else made


FILE = {"$defs": {"FileDataMeta": _META}, **FILE_MODEL, "additional_description": "A file on the server, or its URL."}
IMAGE = {**IMAGE_MODEL, "additional_description": "A picture on the server, or its URL."}
FILES = defined({"items": ref("FileData"), "title": "ListFiles", "type": "array"}, "file")
ANY_JSON = {"type": {}, "description": "any valid json"}


def sample(name: str) -> dict[str, Any]:
    """A file payload for documentation."""
    url = f"https://example.org/{name}"
    return {"path": url, "meta": {"_type": "gradio.FileData"}, "orig_name": name, "url": url}
