"""A bundle's parts by name, in a tar file or in a folder; what was written before is not written again."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol

from enfold.hubserver.errors import HubServerError
from enfold.hubserver.files import Reader

__all__ = ["BundleReader", "BundleWriter", "open_reader", "open_writer"]

_PIECE = 1 << 20


class BundleWriter(Protocol):
    """Takes parts in order."""

    def put(self, name: str, size: int, source: Reader) -> bool:
        """Add a part; return whether it was written now, and not by an earlier run that was interrupted."""

    def finish(self) -> None:
        """Give the bundle its name."""

    def close(self) -> None:
        """Close what is open; without :meth:`finish` the next run goes on from here."""


class BundleReader(Protocol):
    """Gives parts in order."""

    def parts(self) -> Iterator[tuple[str, int, BinaryIO]]:
        """Yield each part's name, size, and a file to read it from before the next one is asked for."""

    def close(self) -> None:
        """Close what is open."""


def open_writer(path: Path) -> BundleWriter:
    """Return what writes a bundle: a tar file where the name ends in ``.tar``, else a folder."""
    return _TarWriter(path) if path.suffix == ".tar" else _FolderWriter(path)


def open_reader(path: Path) -> BundleReader:
    """Return what reads a bundle; a 400 where there is none."""
    if path.is_dir():
        return _FolderReader(path)
    try:
        return _TarReader(path)
    except (OSError, tarfile.TarError) as error:
        raise HubServerError(400, f"{str(path)!r} is no bundle: {error}") from None


def _copy(source: Reader, target: BinaryIO, name: str, size: int) -> None:
    left = size
    while left > 0:
        piece = source.read(min(_PIECE, left))
        if not piece:
            raise HubServerError(500, f"{name} is shorter than the {size} bytes it should have")
        target.write(piece)
        left -= len(piece)


class _TarWriter:
    """Writes ``name.tar.partial``; parts that are whole there from an earlier run are kept."""

    def __init__(self, path: Path) -> None:
        self._path, self._partial = path, path.with_name(path.name + ".partial")
        self._kept = self._whole()
        self._file = self._partial.open("r+b" if self._partial.exists() else "w+b")

    def _whole(self) -> dict[str, tuple[int, int, bytes]]:
        """Return the whole parts of an earlier run: where each begins and ends, and its header."""
        found: dict[str, tuple[int, int, bytes]] = {}
        if not self._partial.exists():
            return found
        length = self._partial.stat().st_size
        with self._partial.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
            try:
                for member in tar:
                    stop = member.offset_data + -(-member.size // 512) * 512
                    if stop > length:
                        break
                    found[member.name] = member.offset, stop, member.tobuf()
            except tarfile.TarError:
                pass
        return found

    def put(self, name: str, size: int, source: Reader) -> bool:
        entry = tarfile.TarInfo(name)
        entry.size = size
        header, at = entry.tobuf(tarfile.GNU_FORMAT), self._file.tell()
        known = self._kept.get(name)
        if known is not None and known[0] == at and known[1] - at == len(header) + -(-size // 512) * 512:
            # The first parts say what the bundle holds: they are compared, the others are named by their hash.
            if name.startswith(("xorbs/", "blobs/")) or self._same(at + len(header), size, source):
                self._file.seek(known[1])
                return False
            source.seek(0)
            self._file.seek(at)
        self._kept.clear()
        self._file.truncate()
        self._file.write(header)
        _copy(source, self._file, name, size)
        self._file.write(bytes(-size % 512))
        return True

    def _same(self, at: int, size: int, source: Reader) -> bool:
        self._file.seek(at)
        left = size
        while left > 0:
            piece = source.read(min(_PIECE, left))
            if not piece or piece != self._file.read(len(piece)):
                return False
            left -= len(piece)
        return True

    def finish(self) -> None:
        self._file.truncate()
        self._file.write(bytes(tarfile.RECORDSIZE))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        os.replace(self._partial, self._path)

    def close(self) -> None:
        self._file.close()


class _FolderWriter:
    def __init__(self, path: Path) -> None:
        self._path = path
        path.mkdir(parents=True, exist_ok=True)

    def put(self, name: str, size: int, source: Reader) -> bool:
        target = self._path / name
        if name.startswith(("xorbs/", "blobs/")) and target.is_file() and target.stat().st_size == size:
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(target.name + ".partial")
        with partial.open("wb") as file:
            _copy(source, file, name, size)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, target)
        return True

    def finish(self) -> None:
        pass

    def close(self) -> None:
        pass


class _TarReader:
    def __init__(self, path: Path) -> None:
        self._tar = tarfile.open(path, "r:")  # noqa: SIM115 - closed by close()

    def parts(self) -> Iterator[tuple[str, int, BinaryIO]]:
        try:
            for member in self._tar:
                file = self._tar.extractfile(member) if member.isreg() else None
                if file is None:
                    raise HubServerError(400, f"the bundle has {member.name!r}, which is no file")
                yield member.name, member.size, file  # type: ignore[misc]
        except tarfile.TarError as error:
            raise HubServerError(400, f"the bundle is cut off or damaged: {error}") from None

    def close(self) -> None:
        self._tar.close()


class _FolderReader:
    def __init__(self, path: Path) -> None:
        self._path = path

    def parts(self) -> Iterator[tuple[str, int, BinaryIO]]:
        first = ["bundle.json", "bundle.sig"]
        rest = sorted(path.relative_to(self._path).as_posix() for path in self._path.rglob("*") if path.is_file())
        # Contents before what names them, as in a tar file.
        ordered = [name for name in first if name in rest]
        ordered += sorted((name for name in rest if name not in first), key=lambda name: name.startswith("repos/"))
        for name in ordered:
            if not name.endswith(".partial"):
                with (self._path / name).open("rb") as file:
                    yield name, os.fstat(file.fileno()).st_size, file

    def close(self) -> None:
        pass


class Bytes(io.BytesIO):
    """Bytes as a reader."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
