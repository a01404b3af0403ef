"""Xorbs: up to 8,192 compressed chunks of contents, one after the other, named by the hash of them all.

A chunk begins with eight bytes: a version (0), the compressed length in three little-endian bytes, the scheme (0: as it
is, 1: an LZ4 frame, 2: an LZ4 frame of the bytes sorted by their place in words of four), and the length of the
content in three. Format: Xet protocol specification, "Xorb".
"""

from __future__ import annotations

import struct
from itertools import accumulate

import lz4.frame

from enfold.hubserver.errors import HubServerError
from enfold.hubserver.xet.hashes import Node, chunk_hash, xorb_hash

__all__ = ["CHUNK_LIMIT", "XORB_CHUNKS", "XORB_LIMIT", "Chunks", "XorbReader", "unpack"]

XORB_LIMIT = 64 << 20  # bytes of a xorb, as stored and as content
XORB_CHUNKS = 8_192
CHUNK_LIMIT = 128 << 10  # bytes of a chunk's content
HEADER = 8
_FOOTER = b"XETBLOB"  # older clients append an index, which says nothing that the chunks do not
_ROW = struct.Struct("<32sII")


class Chunks:
    """What a xorb holds: each chunk's hash, where its record ends, and how long its content is.

    It is kept packed, as the database has it: 40 bytes a chunk.
    """

    def __init__(self, packed: bytes = b"") -> None:
        self.packed = bytearray(packed)

    def add(self, digest: bytes, stop: int, size: int) -> None:
        """Note the next chunk: its hash, the end of its record in the xorb, the size of its content."""
        self.packed += _ROW.pack(digest, stop, size)

    def __len__(self) -> int:
        return len(self.packed) // _ROW.size

    def __getitem__(self, index: int) -> tuple[bytes, int, int]:
        digest, stop, size = _ROW.unpack_from(self.packed, index * _ROW.size)
        return digest, stop, size

    def nodes(self, start: int = 0, stop: int | None = None) -> list[Node]:
        """Return hash and content size of a range of chunks."""
        part = self.packed[start * _ROW.size : (len(self) if stop is None else stop) * _ROW.size]
        return [(digest, size) for digest, _, size in _ROW.iter_unpack(part)]

    def span(self, start: int, stop: int) -> tuple[int, int]:
        """Return the half-open range of bytes in which the records of a range of chunks are."""
        return (self[start - 1][1] if start else 0), self[stop - 1][1]

    def ends(self, start: int, stop: int) -> list[int]:
        """Return where the contents of a range of chunks end, counted from the beginning of the first."""
        return list(accumulate(size for _, size in self.nodes(start, stop)))


def unpack(record: bytes | memoryview) -> bytes | memoryview:
    """Return the content of a chunk's record: a part of it where it is not packed; a 400 when it is damaged."""
    length, scheme, size = _header(record)
    body = record[HEADER : HEADER + length]
    if scheme == 0:
        content = body
    else:
        try:
            # The frame says how long it is, or it is found out without trusting it: never more than a chunk may be.
            content = lz4.frame.LZ4FrameDecompressor().decompress(body, max_length=CHUNK_LIMIT + 1)
        except RuntimeError as error:
            raise HubServerError(400, f"a chunk is not a whole LZ4 frame: {error}") from None
        if scheme == 2:
            content = _from_planes(content)
    if len(content) != size:
        raise HubServerError(400, f"a chunk announces {size} bytes and has {len(content)}")
    return content


def _header(record: bytes | bytearray | memoryview) -> tuple[int, int, int]:
    version, scheme = record[0], record[4]
    length, size = int.from_bytes(record[1:4], "little"), int.from_bytes(record[5:8], "little")
    if version != 0 or scheme > 2:
        raise HubServerError(400, f"a chunk has version {version} and scheme {scheme}: expected version 0, scheme 0-2")
    if not 0 < size <= CHUNK_LIMIT or not 0 < length <= 2 * CHUNK_LIMIT:
        raise HubServerError(400, f"a chunk of {size} bytes ({length} packed): expected at most {CHUNK_LIMIT}")
    return length, scheme, size


def _from_planes(planes: bytes | memoryview) -> bytes:
    """Undo the sorting of bytes by their place in words of four."""
    content, start = bytearray(len(planes)), 0
    for place in range(4):
        count = (len(planes) - place + 3) // 4
        content[place::4] = planes[start : start + count]
        start += count
    return bytes(content)


class XorbReader:
    """Takes a xorb apart while it arrives, keeping no more than one chunk from one piece to the next.

    Example:
        >>> reader = XorbReader()
        >>> records = reader.feed(bytes([0, 2, 0, 0, 0, 2, 0, 0]) + b"hi")
        >>> [bytes(record[8:]) for record in records], len(reader.chunks), reader.size
        ([b'hi'], 1, 2)
    """

    def __init__(self) -> None:
        self.chunks = Chunks()
        self.size = 0  #: bytes of content
        self._stop = 0
        self._rest = b""
        self._footer = False

    def feed(self, data: bytes | memoryview) -> list[memoryview]:
        """Return the records that are whole with ``data``, one after the other; the contents of all were hashed.

        They are parts of ``data``, but for the first, which may have begun before.

        Raises:
            HubServerError: 400, there is something that is no record; 413, it is too much.
        """
        view, whole = memoryview(data), list[memoryview]()
        if self._rest and not self._footer:
            view = self._end_record(view, whole)
        start = 0
        while len(view) - start >= HEADER and not self._footer:
            if view[start : start + len(_FOOTER)] == _FOOTER:
                self._footer = True
                break
            stop = start + HEADER + _header(view[start : start + HEADER])[0]
            if stop > len(view):
                break
            self._take(view[start:stop])
            start = stop
        self._rest += b"" if self._footer else bytes(view[start:])
        return [*whole, view[:start]]

    def _end_record(self, view: memoryview, whole: list[memoryview]) -> memoryview:
        """Add to the record that began before, and return what is behind it."""
        if len(self._rest) < HEADER:
            count = HEADER - len(self._rest)
            self._rest, view = self._rest + bytes(view[:count]), view[count:]
        if len(self._rest) < HEADER:
            return view
        if self._rest.startswith(_FOOTER):
            self._footer, self._rest = True, b""
            return view[:0]
        count = HEADER + _header(self._rest)[0] - len(self._rest)
        self._rest, view = self._rest + bytes(view[:count]), view[count:]
        if len(self._rest) == HEADER + _header(self._rest)[0]:
            record, self._rest = memoryview(self._rest), b""
            self._take(record)
            whole.append(record)
        return view

    def _take(self, record: memoryview) -> None:
        content = unpack(record)
        self.size += len(content)
        self._stop += len(record)
        if len(self.chunks) >= XORB_CHUNKS or self.size > XORB_LIMIT or self._stop > XORB_LIMIT + XORB_CHUNKS * HEADER:
            raise HubServerError(413, f"a xorb has at most {XORB_CHUNKS} chunks and {XORB_LIMIT} bytes")
        self.chunks.add(chunk_hash(content), self._stop, len(content))

    def finish(self) -> bytes:
        """Return the xorb's hash; a 400 when it ends inside a chunk or has none."""
        if self._rest or not len(self.chunks):
            raise HubServerError(400, "the xorb ends inside a chunk" if self._rest else "the xorb has no chunks")
        return xorb_hash(self.chunks.nodes())
