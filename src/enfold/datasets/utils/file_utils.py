"""Paths and addresses alike: told apart, joined, listed and opened, or fetched to this machine."""

from __future__ import annotations

import hashlib
import os
import posixpath
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from ..data_files import LocalTree, resolve, sanitize
from ..download import DownloadConfig, DownloadManager

__all__ = [
    "NonStreamableDatasetError",
    "cached_path",
    "estimate_dataset_size",
    "get_datasets_user_agent",
    "hash_url_to_filename",
    "is_local_path",
    "is_relative_path",
    "is_remote_url",
    "readline",
    "relative_to_absolute_path",
    "url_or_path_join",
    "url_or_path_parent",
    "xbasename",
    "xdirname",
    "xexists",
    "xgetsize",
    "xglob",
    "xisdir",
    "xisfile",
    "xjoin",
    "xlistdir",
    "xopen",
    "xrelpath",
    "xsplit",
    "xsplitext",
    "xwalk",
]


class NonStreamableDatasetError(Exception):
    """A dataset's files can only be read once they are on this machine."""


def is_remote_url(url_or_filename: str) -> bool:
    """Return whether a text is an address and no path of this machine.

    Example:
        >>> is_remote_url("hf://datasets/squad/train.json"), is_remote_url("data/train.json")
        (True, False)
    """
    scheme = urlsplit(str(url_or_filename)).scheme
    return scheme != "" and not os.path.ismount(f"{scheme}:/")


def is_local_path(url_or_filename: str) -> bool:
    """Return whether a text is a path of this machine."""
    return not is_remote_url(url_or_filename)


def is_relative_path(url_or_filename: str) -> bool:
    """Return whether a text is a path that depends on the folder one is in."""
    return not is_remote_url(url_or_filename) and not os.path.isabs(url_or_filename)


def relative_to_absolute_path(path: str) -> str:
    """Return a path from the root on; an address as it is."""
    return os.path.abspath(os.path.expanduser(path)) if is_local_path(path) else path


def url_or_path_join(base_name: str, *pathnames: str) -> str:
    """Return a path or an address with more behind it."""
    if is_remote_url(base_name):
        return posixpath.join(base_name, *(str(name).replace(os.sep, "/").lstrip("/") for name in pathnames))
    return os.path.join(base_name, *pathnames)


def url_or_path_parent(url_or_path: str) -> str:
    """Return the folder of a path or an address."""
    return url_or_path.rpartition("/")[0] if is_remote_url(url_or_path) else os.path.dirname(url_or_path)


def hash_url_to_filename(url: str, etag: str | None = None) -> str:
    """Return a file's name for an address, another one for every content."""
    parts = [hashlib.sha256(part.encode()).hexdigest() for part in (url, *([etag] if etag else []))]
    return ".".join(parts) + (".py" if url.endswith(".py") else "")


def cached_path(url_or_filename: str, download_config: DownloadConfig | None = None, **options: Any) -> str:
    """Return the path of a file, fetched where it is behind an address, unpacked where the configuration says so.

    Args:
        url_or_filename: the path or the address.
        download_config: how to fetch.
        options: fields of the configuration, in its place.

    Raises:
        FileNotFoundError: there is no such file.
    """
    config = download_config or DownloadConfig(**options)
    manager = DownloadManager(download_config=config)
    path: str = manager.download(str(url_or_filename))
    return str(manager.extract(path)) if config.extract_compressed_file else path


def get_datasets_user_agent(user_agent: str | dict[str, str] | None = None) -> str:
    """Return how this library names itself to servers."""
    from .. import __version__

    more = user_agent if isinstance(user_agent, dict) else {}
    said = [f"datasets/{__version__}", *(f"{key}/{value}" for key, value in more.items())]
    return "; ".join(said + ([user_agent] if isinstance(user_agent, str) else []))


def estimate_dataset_size(paths: list[Any]) -> int:
    """Return the bytes of files together."""
    return sum(os.stat(path).st_size for path in paths)


def readline(f: Any) -> bytes:
    """Return the next line of an open file that has only ``read``."""
    line = bytearray()
    while piece := f.read(1):
        line += piece
        if piece == b"\n":
            break
    return bytes(line)


# ---- the functions of os.path, for addresses too ---------------------------------------------------------------------


def _parts(address: str) -> tuple[str, str]:
    """Return what changes of a path or an address, and the archive behind it: ``a/b::zip`` → ``a/b``, ``::zip``."""
    head, mark, rest = str(address).partition("::")
    return head, mark + rest


def _system(address: Any, config: DownloadConfig | None = None) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    options = getattr(config, "storage_options", None) or {}
    protocol = str(address).partition("://")[0]
    found: tuple[Any, str] = url_to_fs(str(address), **options.get(protocol, {}))
    return found


def _named(address: Any, names: list[str]) -> list[str]:
    """Return what a file system lists as addresses that name it."""
    _, behind = _parts(address)
    scheme = str(address).partition("://")[0]
    return [f"{scheme}://{name.removeprefix(f'{scheme}://')}{behind}" for name in names]


def xjoin(path: Any, *more: str) -> str:
    """Join as ``os.path.join`` does; of a member of an archive, its path in there."""
    head, behind = _parts(path)
    return (os.path.join if is_local_path(head) else posixpath.join)(head, *map(str, more)) + behind


def xdirname(path: Any) -> str:
    """Return the folder of a path or an address."""
    head, behind = _parts(path)
    made = os.path.dirname(head) if is_local_path(head) else head.rpartition("/")[0]
    return (made + "/" if made.endswith(":/") else made) + behind


def xbasename(path: Any) -> str:
    """Return the last part of a path or an address."""
    return _parts(path)[0].rpartition("/")[2] if is_remote_url(path) else os.path.basename(path)


def xsplit(path: Any) -> tuple[str, str]:
    """Return the folder and the last part of a path or an address."""
    return xdirname(path), xbasename(path)


def xsplitext(path: Any) -> tuple[str, str]:
    """Return a path or an address without its ending, and the ending."""
    head, behind = _parts(path)
    root, ending = posixpath.splitext(head)
    return root + behind, ending


def xrelpath(path: Any, start: Any = None) -> str:
    """Return a path or an address as it is called from a folder."""
    if is_local_path(path):
        return os.path.relpath(path, start) if start else os.path.relpath(path)
    return posixpath.relpath(_parts(path)[0], _parts(start)[0] if start else None)


def xopen(
    file: Any, mode: str = "r", *accepted: Any, download_config: DownloadConfig | None = None, **options: Any
) -> Any:
    """Return a file opened as ``open`` does, also behind an address, where it is read as it is asked for."""
    if is_local_path(file):
        return open(os.path.expanduser(file), mode, *accepted, **options)
    import io

    from ..streaming.opening import open_file

    if "r" not in mode:
        system, path = _system(file, download_config)
        return system.open(path, mode, **options)
    found = resolve(sanitize([str(file)]), LocalTree(os.getcwd()), "", getattr(download_config, "token", None))
    opened = open_file(next(iter(found.values()))[0], getattr(download_config, "token", None))
    buffered = io.BufferedReader(opened) if isinstance(opened, io.RawIOBase) else opened
    return buffered if "b" in mode else io.TextIOWrapper(buffered, **options)


def xexists(path: Any, download_config: DownloadConfig | None = None) -> bool:
    """Return whether there is a file or folder."""
    if is_local_path(path):
        return os.path.exists(path)
    system, name = _system(path, download_config)
    return bool(system.exists(name))


def xisfile(path: Any, download_config: DownloadConfig | None = None) -> bool:
    """Return whether a path or an address is a file's."""
    if is_local_path(path):
        return os.path.isfile(path)
    system, name = _system(path, download_config)
    return bool(system.isfile(name))


def xisdir(path: Any, download_config: DownloadConfig | None = None) -> bool:
    """Return whether a path or an address is a folder's."""
    if is_local_path(path):
        return os.path.isdir(path)
    system, name = _system(path, download_config)
    return bool(system.isdir(name))


def xgetsize(path: Any, download_config: DownloadConfig | None = None) -> int:
    """Return a file's bytes."""
    if is_local_path(path):
        return os.path.getsize(path)
    system, name = _system(path, download_config)
    return int(system.size(name))


def xlistdir(path: Any, download_config: DownloadConfig | None = None) -> list[str]:
    """Return the names in a folder.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    if is_local_path(path):
        return os.listdir(path)
    system, name = _system(path, download_config)
    if name and not system.isdir(name):
        raise FileNotFoundError(f"there is no folder {path!r}")
    return [posixpath.basename(entry.rstrip("/")) for entry in system.ls(name, detail=False)]


def xglob(pattern: Any, *, recursive: bool = False, download_config: DownloadConfig | None = None) -> list[str]:
    """Return the paths or addresses that a pattern stands for."""
    if is_local_path(pattern):
        import glob

        return glob.glob(pattern, recursive=recursive)
    system, name = _system(pattern, download_config)
    return _named(pattern, sorted(system.glob(name)))


def xwalk(path: Any, download_config: DownloadConfig | None = None, **options: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield the folders in a folder, each with the names of the folders and files in it."""
    if is_local_path(path):
        yield from os.walk(path, **options)
        return
    system, name = _system(path, download_config)
    for place, folders, files in system.walk(name, **options):
        yield _named(path, [place])[0], folders, files
