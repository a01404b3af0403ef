"""Where results are written to: a buffer, a path, a folder, or an address that fsspec knows; whole, or not at all."""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

__all__ = ["is_address", "nearby_folder", "replace_folder", "target_file", "target_folder"]

# compression → the end of a file's name; the standard library's module that is not called so
_ENDS = {"gzip": ".gz", "bz2": ".bz2", "xz": ".xz"}
_MODULES = {"xz": "lzma"}


def is_address(path: Any) -> bool:
    """Return whether a path is an address that fsspec opens, such as ``s3://bucket/rows.csv``."""
    return isinstance(path, (str, os.PathLike)) and "://" in os.fspath(path)


@contextlib.contextmanager
def target_file(
    path_or_buf: Any, storage_options: dict[str, Any] | None = None, compression: str | None = None
) -> Iterator[Any]:
    """Give a file to write bytes into; a path has its name only once the body of the ``with`` statement is done.

    Args:
        path_or_buf: a buffer, a path, or an address.
        storage_options: arguments of the file system behind an address.
        compression: ``"gzip"``, ``"bz2"``, ``"xz"``, None, or ``"infer"``: what the end of a path says.

    Raises:
        ValueError: another compression, or one of a buffer, which has no name to say so.
    """
    kind = compression
    if compression == "infer":
        name = "" if hasattr(path_or_buf, "write") else os.fspath(path_or_buf)
        kind = next((kind for kind, end in _ENDS.items() if name.endswith(end)), None)
    elif compression is not None and (hasattr(path_or_buf, "write") or compression not in _ENDS):
        where = ", with a path" if compression in _ENDS else ""
        raise ValueError(f"compression must be 'infer', None or one of {list(_ENDS)}{where}, not {compression!r}")
    if kind is not None:
        with (
            target_file(path_or_buf, storage_options) as raw,
            importlib.import_module(_MODULES.get(kind, kind)).open(raw, "wb") as packed,
        ):
            yield packed
        return
    if hasattr(path_or_buf, "write"):
        yield path_or_buf
        return
    if is_address(path_or_buf):
        import fsspec

        with fsspec.open(os.fspath(path_or_buf), "wb", **(storage_options or {})) as remote:
            yield remote
        return
    path = os.path.abspath(os.fspath(path_or_buf))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    number, temporary = tempfile.mkstemp(prefix=".tmp-", dir=os.path.dirname(path))
    try:
        with os.fdopen(number, "wb") as file:
            yield file
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)


@contextlib.contextmanager
def target_folder(path: str | os.PathLike[str], storage_options: dict[str, Any] | None = None) -> Iterator[str]:
    """Give a folder to write into, which takes the place of another once the body of the ``with`` statement is done.

    Args:
        path: the folder, or an address; files there are replaced one by one.
        storage_options: arguments of the file system behind an address.
    """
    if is_address(path):
        from fsspec.core import url_to_fs

        system, root = url_to_fs(os.fspath(path), **(storage_options or {}))
        with tempfile.TemporaryDirectory(prefix="enfold-save-") as temporary:
            yield temporary
            for folder, _, names in os.walk(temporary):
                inside = os.path.relpath(folder, temporary).replace(os.sep, "/")
                place = root.rstrip("/") if inside == "." else f"{root.rstrip('/')}/{inside}"
                system.makedirs(place, exist_ok=True)
                for name in names:
                    system.put_file(os.path.join(folder, name), f"{place}/{name}")
        return
    folder = os.path.abspath(os.fspath(path))
    temporary = f"{folder}.{os.getpid()}.tmp"
    os.makedirs(temporary)
    try:
        yield temporary
        replace_folder(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def replace_folder(temporary: str, folder: str) -> None:
    """Put a finished folder in the place of another; the other is there, whole, until the moment of the exchange."""
    old = f"{folder}.{os.getpid()}.old"
    if os.path.exists(folder):
        os.replace(folder, old)
    os.replace(temporary, folder)
    shutil.rmtree(old, ignore_errors=True)


def nearby_folder(path: str | os.PathLike[str], storage_options: dict[str, Any] | None = None) -> str:
    """Return a folder's path; of one behind an address, that of a copy that lasts as long as the process.

    Args:
        path: the folder, or an address.
        storage_options: arguments of the file system behind an address.
    """
    if not is_address(path):
        return os.fspath(path)
    from fsspec.core import url_to_fs

    from .writer import session_folder

    system, root = url_to_fs(os.fspath(path), **(storage_options or {}))
    copy = tempfile.mkdtemp(dir=session_folder())
    start = len(system._strip_protocol(root).rstrip("/")) + 1
    for name in system.find(root):
        target = os.path.abspath(os.path.join(copy, name[start:]))
        if not target.startswith(copy + os.sep):
            raise ValueError(f"{name!r} is not inside {os.fspath(path)!r}")
        os.makedirs(os.path.dirname(target), exist_ok=True)
        system.get_file(name, target)
    return copy
