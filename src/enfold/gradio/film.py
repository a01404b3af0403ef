"""How long a film is, read from its file's own words, without decoding a picture.

MP4 and QuickTime say it in their movie header (ISO/IEC 14496-12 8.2.2, 8.8.2), Matroska and WebM in their segment
information (RFC 9559), or, where a browser recorded it, in the time of the last block.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO

from enfold.errors import EnfoldError, required

__all__ = ["film_length"]

_INSIDE = {0x18538067, 0x1549A966, 0x1F43B675, 0xA0}  # Segment, Info, Cluster, BlockGroup: what is read is in them


def film_length(path: str | Path) -> float:
    """The length of a film in seconds.

    Args:
        path: an MP4, QuickTime, WebM or Matroska file; others are read with PyAV.

    Raises:
        EnfoldError: it is no film.
        MissingExtra: it is another kind of file, and PyAV is not installed.
    """
    with open(path, "rb") as file:
        head = file.read(12)
        size = os.fstat(file.fileno()).st_size
        found = None
        if head[4:8] in {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"}:
            found = _movie(file, 0, size)
        elif head[:4] == b"\x1a\x45\xdf\xa3":
            found = _matroska(file, size)
    return found if found is not None else _decoded(path)


def _decoded(path: str | Path) -> float:
    av = required("av", "the length of this kind of film", "video")
    try:
        with av.open(str(path)) as container:
            if container.duration is not None:
                return float(container.duration / 1_000_000)
            times = [float(frame.time) for frame in container.decode(video=0) if frame.time is not None]
    except (OSError, IndexError, ValueError) as error:
        raise EnfoldError(f"{Path(path).name} is no film that can be read: {error}") from None
    if not times:
        raise EnfoldError(f"{Path(path).name} has no pictures")
    return times[-1]


def _movie(file: BinaryIO, begin: int, end: int) -> float | None:
    """The length that the boxes between two places tell."""
    scale = 0
    at = begin
    while at + 8 <= end:
        file.seek(at)
        size, kind = struct.unpack(">I4s", file.read(8))
        inside = 8
        if size == 1:
            size, inside = struct.unpack(">Q", file.read(8))[0], 16
        elif size == 0:
            size = end - at
        if size < inside:
            return None
        if kind in {b"moov", b"mvex"}:
            found = _movie(file, at + inside, min(at + size, end))
            if found is not None:
                return found if kind == b"moov" else found / scale if scale else None
        elif kind == b"mvhd":
            whole = file.read(32)
            if len(whole) < 32:
                return None
            scale, duration = struct.unpack_from(">IQ", whole, 20) if whole[0] else struct.unpack_from(">II", whole, 12)
            if scale and 0 < duration < 2**32 - 1:
                return float(duration / scale)
        elif kind == b"mehd":  # the length of a file in fragments, in the movie header's units
            whole = file.read(12)
            return float(struct.unpack_from(">Q" if whole[0] else ">I", whole, 4)[0])
        at += size
    return None


def _matroska(file: BinaryIO, end: int) -> float | None:
    """The length of a film in elements: as told, or the time of its last block."""
    scale, at, cluster, last = 1_000_000, 0, 0, 0
    while at < end:
        file.seek(at)
        number = _number(file, keep=True)
        size = _number(file)
        if number is None or size is None:
            break
        inside = file.tell()
        if number in _INSIDE:
            at = inside
            continue
        if number == 0x2AD7B1 and 0 < size <= 8:
            scale = int.from_bytes(file.read(size), "big")
        elif number == 0x4489 and size in {4, 8}:
            return float(struct.unpack(">f" if size == 4 else ">d", file.read(size))[0] * scale / 1e9)
        elif number == 0xE7 and 0 < size <= 8:
            cluster = int.from_bytes(file.read(size), "big")
        elif number in {0xA3, 0xA1}:
            _number(file)
            moment = file.read(2)
            if len(moment) == 2:
                last = max(last, cluster + struct.unpack(">h", moment)[0])
        at = inside + size
    return last * scale / 1e9 if last else None


def _number(file: BinaryIO, keep: bool = False) -> int | None:
    """A number of one to eight bytes, whose first one says how many there are; with that mark when ``keep``."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    length = 9 - first[0].bit_length()
    rest = file.read(length - 1)
    if len(rest) < length - 1:
        return None
    value = first[0] if keep else first[0] & (0xFF >> length)
    return int.from_bytes(bytes([value]) + rest, "big")
