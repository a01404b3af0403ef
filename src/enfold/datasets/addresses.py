"""Files behind addresses, ``https://…`` and those that fsspec knows: listed, told apart by content, and copied here."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from urllib.parse import unquote, urlsplit

from .data_files import DataFile
from .errors import FileNotFoundDatasetsError

__all__ = ["file_path", "fsspec_files", "is_web", "storage_of", "web_files"]


def is_web(address: str) -> bool:
    """Return whether an address is one of the web, such as ``https://example.org/rows.csv``."""
    return urlsplit(address).scheme in ("http", "https") and "::" not in address


def file_path(address: str) -> str:
    """Return the path of a ``file://`` address."""
    return unquote(urlsplit(address).path)


def storage_of(address: str, options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the arguments of an address's file system.

    Args:
        address: the address.
        options: the arguments, or a dict of them by protocol.
    """
    protocol = address.split("://")[0]
    inside = (options or {}).get(protocol)
    return dict(inside) if isinstance(inside, Mapping) else dict(options or {})


def fsspec_files(pattern: str, options: Mapping[str, Any] | None = None) -> list[DataFile]:
    """Return the files behind an address that fsspec knows: ``s3://…``, ``memory://…``, ``zip://member::archive``.

    Args:
        pattern: the address; its first part may hold ``*``, ``**``, ``?`` and ``[…]``.
        options: arguments of the file system, also by protocol.

    Raises:
        FileNotFoundError: there is no such file.
    """
    from fsspec.core import url_to_fs

    storage = storage_of(pattern, options)
    try:
        system, path = url_to_fs(pattern, **storage)
        names = sorted(system.glob(path)) if re.search(r"[*?\[]", path) else [path]
        # what ukey would say of a member of an archive is its name alone
        infos = [(name, system.info(name)) for name in names]
    except FileNotFoundError as error:
        raise FileNotFoundDatasetsError(f"Unable to find {pattern!r}") from error
    found = [(name, repr(sorted(info.items(), key=str))) for name, info in infos if info.get("type") != "directory"]
    if not found:
        raise FileNotFoundDatasetsError(f"Unable to find {pattern!r}")
    first, *behind = pattern.split("::")
    protocol = first.split("://")[0]
    files = []
    for name, mark in found:
        address = "::".join([f"{protocol}://{name.lstrip('/')}", *behind])
        identity = f"{address} {mark}"
        files.append(DataFile(address, identity, partial(_copied, address, identity, storage), storage=storage or None))
    return files


def web_files(addresses: Iterable[str]) -> dict[str, DataFile]:
    """Return the files behind addresses of the web; what they hold is asked for, in several threads."""
    wanted = list(dict.fromkeys(addresses))
    with ThreadPoolExecutor(16) as threads:
        marks = list(threads.map(_mark, wanted)) if wanted else []
    return {
        address: DataFile(address, identity, partial(_downloaded, address, identity))
        for address, identity in zip(wanted, marks, strict=True)
    }


def _mark(address: str) -> str:
    """Return what changes when the content of an address does; what it was last time where nobody answers."""
    import httpx

    from enfold.hub import constants

    if not constants.is_offline_mode():
        try:
            answer = httpx.head(address, follow_redirects=True, timeout=10)
            answer.raise_for_status()
            marks = [answer.headers.get(name) for name in ("etag", "last-modified", "content-length")]
            if marks[0] or marks[1]:
                return f"{address} {marks}"
        except (httpx.HTTPError, httpx.InvalidURL):
            pass
    try:
        with open(f"{_place(address, address)}.json", encoding="utf-8") as file:
            return str(json.load(file)["identity"])
    except (OSError, ValueError, KeyError):
        return address


def _place(address: str, identity: str) -> str:
    """Return the path of a copy; its name ends as the address does, which says what it holds."""
    from .config import datasets_cache

    path = address.split("::")[0] if "://" in address.split("::")[0] else address
    suffix = "".join(re.findall(r"\.\w+", urlsplit(path).path.rsplit("/", 1)[-1])[-2:])
    return os.path.join(datasets_cache(), "downloads", hashlib.sha256(identity.encode()).hexdigest() + suffix)


def _kept(path: str, write: Callable[[Any], None]) -> str:
    """Return a path after ``write`` has filled it, where it was not there; it has its name when it is whole."""
    if not os.path.exists(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        temporary = f"{path}.{os.getpid()}.tmp"
        try:
            with open(temporary, "wb") as file:
                write(file)
            os.replace(temporary, path)
        finally:
            if os.path.exists(temporary):
                os.unlink(temporary)
    return path


def _copied(address: str, identity: str, storage: dict[str, Any]) -> str:
    import fsspec

    def write(file: Any) -> None:
        with fsspec.open(address, "rb", **storage) as source:
            shutil.copyfileobj(source, file)

    return _kept(_place(address, identity), write)


def _downloaded(address: str, identity: str) -> str:
    import httpx

    def write(file: Any) -> None:
        try:
            with httpx.stream("GET", address, follow_redirects=True, timeout=30) as answer:
                answer.raise_for_status()
                for piece in answer.iter_bytes():
                    file.write(piece)
        except httpx.HTTPError as error:
            raise FileNotFoundDatasetsError(f"{address} cannot be read: {error}") from error

    path = _kept(_place(address, identity), write)
    note = f"{_place(address, address)}.json"
    if identity != address:
        temporary = f"{note}.{os.getpid()}.tmp"
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump({"identity": identity}, file)
        os.replace(temporary, note)
    return path
