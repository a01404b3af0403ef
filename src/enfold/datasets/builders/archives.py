"""Archives: their files laid out in the cache; links, huge files and paths out of the folder are refused."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from typing import IO, Any

from ..config import datasets_cache
from ..errors import DatasetGenerationError

__all__ = ["extract", "is_archive", "is_zip", "tar_members"]

_TAR = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst")
# A file that packs better than this, and is larger than that, is a trap rather than data.
_RATIO = 2000
_SIZE = 1 << 30


def is_archive(name: str) -> bool:
    """Return whether a file's name is that of a zip or tar archive; of an address in an archive, its member's name."""
    member = name.split("::")[0]
    name = member if "://" in member else name
    return name.lower().endswith((".zip", *_TAR))


def is_zip(source: Any) -> bool:
    """Return whether a path or an open file is a zip archive, and no tar archive that ends with one."""
    if not zipfile.is_zipfile(source):
        return False
    with contextlib.ExitStack() as stack:
        file: Any = stack.enter_context(open(source, "rb")) if isinstance(source, str) else source
        file.seek(257)
        tar = file.read(5) == b"ustar"
        file.seek(0)
    return not tar


def extract(path: str) -> list[str]:
    """Return the paths of an archive's files, laid out in the cache; an archive is unpacked once.

    Args:
        path: a zip or tar archive, also packed with gzip, bzip2, xz or zstd.

    Raises:
        DatasetGenerationError: the archive is broken, or holds a link, a path out of its folder, or more than fits.
    """
    found = os.stat(path)
    key = hashlib.sha256(f"{os.path.realpath(path)}:{found.st_size}:{found.st_mtime_ns}".encode()).hexdigest()
    folder = os.path.join(datasets_cache(), "downloads", "extracted", key)
    if not os.path.isdir(folder):
        temporary = f"{folder}.{os.getpid()}.tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        os.makedirs(temporary)
        try:
            (_unzip if is_zip(path) else _untar)(path, temporary)
            try:
                os.replace(temporary, folder)
            except OSError:  # another process was quicker
                if not os.path.isdir(folder):
                    raise
        except (zipfile.BadZipFile, tarfile.TarError, EOFError, RuntimeError) as error:
            raise DatasetGenerationError(f"{path}: a broken archive: {error}") from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    out = []
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__")))
        out += [os.path.join(place, name) for name in sorted(files) if not name.startswith((".", "__"))]
    return sorted(out)


def _target(folder: str, name: str, path: str) -> str:
    """Return where a member goes.

    Raises:
        DatasetGenerationError: that is not in the folder.
    """
    clean = name.replace("\\", "/")
    if clean.startswith("/") or ":" in clean.split("/")[0] or ".." in clean.split("/") or "\0" in clean:
        raise DatasetGenerationError(f"{path}: the member {name!r} would be written out of its folder")
    return os.path.join(folder, *clean.split("/"))


def _room(folder: str, size: int, path: str) -> None:
    free = shutil.disk_usage(folder).free
    if size > free:
        raise DatasetGenerationError(f"{path}: its files take {size} bytes, and there is room for {free}")


def _put(source: IO[bytes], target: str, size: int, path: str) -> None:
    os.makedirs(os.path.dirname(target), exist_ok=True)
    left = size
    with open(target, "wb") as file:
        while piece := source.read(1 << 20):
            left -= len(piece)
            if left < 0:  # the header lied about the size that was checked
                raise DatasetGenerationError(f"{path}: {os.path.basename(target)} is larger than its {size} bytes")
            file.write(piece)


def _unzip(path: str, folder: str) -> None:
    with zipfile.ZipFile(path) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        _room(folder, sum(member.file_size for member in members), path)
        for member in members:
            if stat.S_ISLNK(member.external_attr >> 16):
                raise DatasetGenerationError(f"{path}: the member {member.filename!r} is a link, not a file")
            if member.file_size > _SIZE and member.file_size > _RATIO * max(member.compress_size, 1):
                raise DatasetGenerationError(
                    f"{path}: the member {member.filename!r} unpacks to {member.file_size} bytes"
                )
            target = _target(folder, member.filename, path)
            with archive.open(member) as source:
                _put(source, target, member.file_size, path)


def _untar(path: str, folder: str) -> None:
    packed = os.path.getsize(path)
    total = 0
    for name, size, source in tar_members(path):
        total += size
        if total > _SIZE and total > _RATIO * max(packed, 1):
            raise DatasetGenerationError(f"{path}: it unpacks to more than {total} bytes")
        _room(folder, size, path)
        _put(source, _target(folder, name, path), size, path)


class _Member(tarfile.TarInfo):
    """A header; one that is cut off or damaged is an error, where tarfile takes it for the archive's end."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Any:
        try:
            return super().fromtarfile(archive)
        except tarfile.HeaderError as error:
            if type(error).__name__ in ("TruncatedHeaderError", "InvalidHeaderError"):
                raise tarfile.ReadError(f"it ends in the middle of a file, or is damaged there: {error}") from error
            raise


def tar_members(path: str | IO[bytes]) -> Iterator[tuple[str, int, IO[bytes]]]:
    """Yield the files of a tar archive in order: name, size, and a file to read before the next one is asked for.

    Args:
        path: the archive's path, or the archive as a file that can be read from its beginning again.

    Raises:
        DatasetGenerationError: a member is a link or a device.
        tarfile.TarError: the archive is broken.
    """
    with contextlib.ExitStack() as stack:
        raw: Any = stack.enter_context(open(path, "rb")) if isinstance(path, str) else path
        stream: Any = raw
        mode = "r|*"
        if raw.read(4) == b"\x28\xb5\x2f\xfd":  # zstd, RFC 8878
            import pyarrow as pa

            stream, mode = pa.input_stream(path, compression="zstd"), "r|"
        raw.seek(0)
        with tarfile.open(fileobj=stream, mode=mode, tarinfo=_Member) as archive:  # type: ignore[call-overload]
            for member in archive:
                if member.isdir():
                    continue
                source = archive.extractfile(member) if member.isfile() else None
                if source is None:
                    raise DatasetGenerationError(f"{path}: the member {member.name!r} is a link or a device")
                yield member.name, member.size, source
