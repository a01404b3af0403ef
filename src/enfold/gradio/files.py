"""Files: how they travel, where they are kept, and which of them anybody may read.

Files are typed. Only a :class:`FileData` that a component made is served, and only a payload that says it is one, and
names a file that was uploaded here, is opened: a path inside any other data is just text. Kept files lie in a folder
whose name nobody can guess, under a name that this module chose.
"""

from __future__ import annotations

import contextvars
import hashlib
import mimetypes
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from enfold.gradio.errors import Error, GradioError

__all__ = [
    "FileData",
    "FileRules",
    "FileSize",
    "ImageData",
    "InvalidPathError",
    "cached",
    "current_rules",
    "file_types_problem",
    "folder",
    "is_url",
    "keep_bytes",
    "keep_file",
    "received",
    "served",
    "set_static_paths",
    "with_address",
]

MARK = "gradio.FileData"
FETCH_LIMIT = 64 * 2**20
# What a browser may show in place; everything else is handed over as a download (stored scripts, CVE-2024-47872).
INLINE = frozenset(
    {
        *("image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/bmp", "image/x-icon"),
        *("audio/mpeg", "audio/wav", "audio/x-wav", "audio/ogg", "audio/flac", "audio/aac", "audio/webm", "audio/mp4"),
        *("video/mp4", "video/webm", "video/ogg", "video/quicktime", "text/plain", "application/pdf", "text/vtt"),
        *("model/gltf-binary", "model/gltf+json", "application/vnd.apple.mpegurl", "video/mp2t", "application/json"),
    }
)
_TYPES = {
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".m4a": "audio/mp4",
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".mov": "video/quicktime",
    ".vtt": "text/vtt",
    ".md": "text/markdown",
    ".glb": "model/gltf-binary",
    ".gltf": "model/gltf+json",
}
_static: list[str] = []
# Names of kept files are hashes of this and their contents: who knows what a file holds cannot name it.
_SALT = secrets.token_bytes(16)


class FileSize:
    """Units of sizes, in bytes: ``max_file_size=5 * FileSize.MB``."""

    B = 1
    KB = 1024 * B
    MB = 1024 * KB
    GB = 1024 * MB
    TB = 1024 * GB


class InvalidPathError(GradioError):
    """A function returned a file that may not be shown."""


class FileData(dict[str, Any]):
    """A file as it travels; its entries are attributes as well.

    Args:
        path: where it lies on the server, or its address.
        url: its address for the browser.
        size: in bytes.
        orig_name: the name it was uploaded or made under.
        mime_type: what it is.
        is_stream: whether it still grows.

    Example:
        >>> FileData(path="/tmp/a.txt", orig_name="a.txt").orig_name
        'a.txt'
    """

    def __init__(
        self,
        path: str | Path | None = None,
        url: str | None = None,
        size: int | None = None,
        orig_name: str | None = None,
        mime_type: str | None = None,
        is_stream: bool = False,
        meta: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(
            path=None if path is None else str(path),
            url=url,
            size=size,
            orig_name=orig_name,
            mime_type=mime_type,
            is_stream=is_stream,
            meta={"_type": MARK},
        )

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class ImageData(FileData):
    """A picture as it travels: a file, or a ``data:`` address without one."""


@dataclass
class FileRules:
    """Which files a page may show.

    Args:
        allowed: files and folders that anybody may read, and functions may return.
        blocked: files and folders that nobody may, whatever else holds.
        max_size: bytes of an uploaded file; any number when None.
    """

    allowed: Sequence[str | Path] = ()
    blocked: Sequence[str | Path] = ()
    max_size: int | None = None
    kept: set[str] = field(default_factory=set)

    def readable(self, path: str) -> Path | None:
        """The file a visitor asked for, or None when it is not for visitors."""
        found = _real(path)
        if found is None or _within(found, self.blocked) or not os.path.isfile(found):
            return None
        if _within(found, [folder()]) or _within(found, self.allowed) or _within(found, _static):
            return Path(found)
        return None

    def check_result(self, path: str | Path) -> None:
        """Raise unless a function may show this file: in the working or temporary folder, or allowed by name."""
        found = _real(str(path))
        if found is None or _within(found, self.blocked):
            raise InvalidPathError(f"{path} may not be shown: it is blocked")
        if _within(found, [*self.allowed, *_static, folder()]):
            return
        here = os.path.realpath(os.getcwd())
        if _within(found, [here]):
            if any(part.startswith(".") for part in Path(found).relative_to(_real(here) or here).parts):
                raise InvalidPathError(f"{path} may not be shown: its name, or a folder's, begins with a dot")
            return
        if not _within(found, [tempfile.gettempdir()]):
            raise InvalidPathError(
                f"{path} may not be shown: it lies neither in the working folder nor in the temporary one; "
                "name it in launch(allowed_paths=[...])"
            )


# The rules of the page whose function is running; None while a page is put together, by its author.
current_rules: contextvars.ContextVar[FileRules | None] = contextvars.ContextVar("current_rules", default=None)


def set_static_paths(paths: str | Path | Sequence[str | Path]) -> None:
    """Let every visitor read these files and folders where they lie; they are never copied.

    Args:
        paths: files or folders.
    """
    given = [paths] if isinstance(paths, (str, Path)) else paths
    _static.extend(os.path.realpath(path) for path in given)


def folder() -> str:
    """Where files are kept: ``GRADIO_TEMP_DIR``, or "gradio" in the temporary folder."""
    return os.path.realpath(os.environ.get("GRADIO_TEMP_DIR") or os.path.join(tempfile.gettempdir(), "gradio"))


def is_url(value: Any) -> bool:
    """Whether a text is an http(s) address."""
    return isinstance(value, str) and value.lower().startswith(("http://", "https://"))


def mime_type(path: str | Path) -> str:
    """What a file is, by the end of its name."""
    suffix = Path(path).suffix.lower()
    return _TYPES.get(suffix) or mimetypes.guess_type(str(path))[0] or "application/octet-stream"


def safe_name(name: str) -> str:
    """A file name without folders, and without what file systems or shells take for something else.

    Example:
        >>> safe_name("../../etc/pass wd;.txt")
        'pass wd.txt'
    """
    base = re.split(r"[\\/]", name)[-1]
    stem, dot, suffix = base.rpartition(".")
    stem, suffix = (stem, dot + suffix) if stem else (base, "")
    stem = re.sub(r"[^\w\-. ()]+", "", stem).strip(". ")
    suffix = re.sub(r"[^\w.]+", "", suffix)
    return (stem.encode()[:120].decode("utf-8", "ignore") or "file") + suffix[:16]


def keep_bytes(body: bytes, name: str) -> str:
    """Keep a file with these contents; returns its path."""
    home = Path(folder()) / hashlib.sha256(_SALT + body).hexdigest()
    path = home / safe_name(name)
    if not path.exists():
        home.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=home)
        with os.fdopen(handle, "wb") as file:
            file.write(body)
        os.replace(temporary, path)
    else:
        os.utime(path)
    _note(path)
    return str(path)


def keep_file(source: str | Path, name: str | None = None) -> str:
    """Keep a copy of a file; one that is kept already stays where it is. Returns the copy's path."""
    found = _real(str(source)) or str(source)
    if _within(found, [folder(), *_static]):
        return found
    digest = hashlib.sha256(_SALT)
    with open(found, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    home = Path(folder()) / digest.hexdigest()
    path = home / safe_name(name or os.path.basename(found))
    if not path.exists():
        home.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=home)
        os.close(handle)
        shutil.copyfile(found, temporary)
        os.replace(temporary, path)
    _note(path)
    return str(path)


def _note(path: Path) -> None:
    rules = current_rules.get()
    if rules is not None:
        rules.kept.add(str(path))


def sweep(kept: set[str], age: float) -> None:
    """Delete those of these kept files that nobody has touched for ``age`` seconds."""
    for path in list(kept):
        try:
            if time.time() - os.stat(path).st_mtime < age:
                continue
            os.unlink(path)
            os.rmdir(os.path.dirname(path))
        except OSError:
            pass
        kept.discard(path)


def cached(path: str | Path, kind: type[FileData] = FileData, **entries: Any) -> FileData:
    """The file a function returned, kept and ready to travel; an address travels as it is.

    Raises:
        InvalidPathError: the file may not be shown.
        FileNotFoundError: there is no such file.
    """
    if is_url(path):
        return kind(path=str(path), url=str(path), **entries)
    rules = current_rules.get()
    if rules is not None:
        rules.check_result(path)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"there is no file {path}")
    return served(keep_file(path), kind, **entries)


def served(path: str, kind: type[FileData] = FileData, **entries: Any) -> FileData:
    """A kept file, ready to travel."""
    return kind(path=path, url=f"/gradio_api/file={quote(path)}", **entries)


def with_address(value: Any, root: str) -> Any:
    """A payload whose files carry whole addresses for this visitor; lists and dicts without files are left alone."""
    if isinstance(value, FileData):
        url = value["url"]
        if isinstance(url, str) and url.startswith("/gradio_api/"):
            made = type(value)(**value)
            made["url"] = root + url
            return made
        return value
    if isinstance(value, dict):
        return {key: with_address(each, root) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [with_address(each, root) for each in value]
    return value


def received(payload: Any, refuse: Any = Error) -> str | None:
    """The path of the file a payload names, checked: it was uploaded here, or its address is public.

    Args:
        payload: what the page or a client sent; None for no file.
        refuse: makes the error for what is wrong.

    Raises:
        Error: the payload names no file, or one that was not uploaded.
    """
    if payload is None:
        return None
    if isinstance(payload, FileData):
        return str(payload["path"])  # made in this process, not sent
    if not isinstance(payload, dict) or (payload.get("meta") or {}).get("_type") != MARK:
        raise refuse("a file is expected: {'path': ..., 'meta': {'_type': 'gradio.FileData'}}")
    path = payload.get("path") or payload.get("url")
    if not isinstance(path, str) or not path:
        raise refuse("the file has no path")
    if is_url(path):
        from enfold.web.fetch import FetchError, fetch_public

        rules = current_rules.get()
        limit = rules.max_size if rules is not None and rules.max_size is not None else FETCH_LIMIT
        try:
            body, where = fetch_public(path, limit=limit)
        except FetchError as error:
            raise refuse(str(error)) from None
        return keep_bytes(body, payload.get("orig_name") or urlsplit(where).path.rsplit("/", 1)[-1] or "file")
    found = _real(path)
    if found is None or not _within(found, [folder()]):
        raise refuse("only files that were uploaded here are opened")
    if not os.path.isfile(found):
        raise refuse("the file is gone; upload it again")
    return found


def file_types_problem(path: str, types: Iterable[str] | None) -> str | None:
    """Why a file is not of one of these types ("image", "audio", "video", "text", "file", ".csv"); None when it is."""
    wanted = list(types or [])
    if not wanted or "file" in wanted:
        return None
    suffix, kind = Path(path).suffix.lower(), mime_type(path).split("/")[0]
    for each in wanted:
        if each.lower() in {suffix, kind} or (not each.startswith(".") and f".{each.lower()}" == suffix):
            return None
    return f"files of these types are expected: {', '.join(wanted)}"


def _real(path: str) -> str | None:
    # Names that mean another machine or a hidden stream on some system are refused on every one (UNC, NTFS).
    if "\0" in path or path.startswith(("\\", "//")) or is_url(path) or "://" in path:
        return None
    if os.name == "nt" and ":" in path[2:]:
        return None
    try:
        return os.path.normcase(os.path.realpath(path))
    except (OSError, ValueError):
        return None


def _within(path: str, roots: Iterable[str | Path]) -> bool:
    for root in roots:
        real = os.path.normcase(os.path.realpath(root))
        try:
            if os.path.commonpath([real, path]) == real:
                return True
        except ValueError:  # other drives have nothing in common
            continue
    return False


def parse_size(size: str | int | None) -> int | None:
    """A size such as "5mb" in bytes.

    Example:
        >>> parse_size("1.5 kb"), parse_size(3)
        (1536, 3)
    """
    if size is None or isinstance(size, int):
        return size
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?\s*", size.lower())
    if match is None:
        raise ValueError(f"max_file_size must be a number of bytes or a text such as '5mb', not {size!r}")
    return int(float(match[1]) * 1024 ** " kmgt".index(match[2] or " "))
