"""File systems of fsspec: whether files are on this machine, and moving them."""

from __future__ import annotations

import shutil
from typing import Any

__all__ = ["is_remote_filesystem", "rename"]


def is_remote_filesystem(fs: Any) -> bool:
    """Return whether a file system's files are elsewhere than on this machine's disks.

    Example:
        >>> import fsspec
        >>> is_remote_filesystem(fsspec.filesystem("file")), is_remote_filesystem(fsspec.filesystem("memory"))
        (False, True)
    """
    from fsspec.implementations.local import LocalFileSystem

    return not isinstance(fs, LocalFileSystem)


def rename(fs: Any, src: str, dst: str) -> None:
    """Move a file or a folder to another name, as the disk does where it is a disk.

    Args:
        fs: the file system of both.
        src, dst: the present name and the new one.
    """
    if is_remote_filesystem(fs):
        fs.mv(src, dst, recursive=True)
    else:
        shutil.move(fs._strip_protocol(src), fs._strip_protocol(dst))
