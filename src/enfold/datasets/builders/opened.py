"""Opening data files: packed ones are unpacked on the way, and small files and large ones look the same."""

from __future__ import annotations

import codecs
import io
import lzma
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from ..errors import DatasetGenerationError

__all__ = ["CODECS", "read_blocks", "read_bytes", "read_lines", "read_texts", "whole_lines"]

# Bytes that are looked at for a line end at a time.
_NEAR = 1 << 16

CODECS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".lz4": "lz4"}


def read_bytes(path: str | pa.Buffer) -> pa.Buffer:
    """Return a file's content: mapped where it is plain, unpacked where it ends in .gz, .bz2, .zst, .lz4 or .xz.

    A stream's block of a file is content already.
    """
    if isinstance(path, pa.Buffer):
        return path
    if _codec(path) is None:
        with pa.memory_map(path) as mapped:
            return mapped.read_buffer() if mapped.size() else pa.py_buffer(b"")
    return pa.py_buffer(b"".join(read_blocks(path)))


def read_blocks(path: str | pa.Buffer, size: int = 1 << 20) -> Iterator[bytes]:
    """Yield a file's content in blocks of ``size`` bytes, the last one smaller; see :func:`read_bytes`.

    Raises:
        DatasetGenerationError: packed data is damaged or cut off.
    """
    if isinstance(path, pa.Buffer):
        view = memoryview(path)
        for start in range(0, len(view), size):
            yield bytes(view[start : start + size])
        return
    codec = _codec(path)
    with _stream(path, codec) as stream:
        while True:
            try:
                block = stream.read(size)
            except (EOFError, lzma.LZMAError, OSError) as error:
                if isinstance(error, OSError) and error.errno is not None:  # the file itself cannot be read
                    raise
                raise DatasetGenerationError(f"{path}: the {codec} data is damaged or cut off: {error}") from error
            if not block:
                return
            yield block


def read_lines(path: str, size: int) -> Iterator[pa.Buffer]:
    """Yield a file's content in parts of about ``size`` bytes that end where a line does; a plain file's are mapped."""
    if _codec(path) is None:
        data = read_bytes(path)
        view, start = memoryview(data), 0
        while start < len(view):
            stop = min(start + size, len(view))
            if stop < len(view):
                stop = _line_end(view, start, stop)
            yield data.slice(start, stop - start)
            start = stop
        return
    yield from whole_lines(read_blocks(path, size))


def _line_end(view: memoryview, start: int, stop: int) -> int:
    """Return where a line ends: the last one before ``stop``, or, of a long line, the first one behind it."""
    high = stop
    while high > start:
        low = max(high - _NEAR, start)
        found = view[low:high].tobytes().rfind(b"\n")
        if found >= 0:
            return low + found + 1
        high = low
    while stop < len(view):
        found = view[stop : stop + _NEAR].tobytes().find(b"\n")
        if found >= 0:
            return stop + found + 1
        stop += _NEAR
    return len(view)


def whole_lines(blocks: Iterable[bytes]) -> Iterator[pa.Buffer]:
    """Yield what blocks hold, cut where lines end; a last line without an end is not alone."""
    part = b""
    rest: list[bytes] = []
    for block in blocks:
        end = block.rfind(b"\n") + 1
        if end:
            if part:
                yield pa.py_buffer(part)
            part = b"".join([*rest, memoryview(block)[:end]])
            rest = []
        rest.append(block[end:])
    yield pa.py_buffer(b"".join([part, *rest]))


def read_texts(path: str | pa.Buffer, encoding: str, errors: str | None, size: int = 1 << 20) -> Iterator[str]:
    """Yield a file's text in pieces, with every line end as ``\\n``.

    Args:
        path: the file.
        encoding: how the text is coded.
        errors: what to do with bytes that are not text: ``"strict"``, ``"ignore"`` or ``"replace"``.
        size: bytes that are read at a time.

    Raises:
        UnicodeDecodeError: bytes that are not text.
    """
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(encoding)(errors or "strict"), True)
    for block in read_blocks(path, size):
        text = decoder.decode(block)  # type: ignore[arg-type,unused-ignore]
        if text:
            yield text
    text = decoder.decode(b"", final=True)  # type: ignore[arg-type,unused-ignore]
    if text:
        yield text


def _stream(path: str, codec: str | None) -> Any:
    if codec is None:
        return open(path, "rb")
    return lzma.open(path) if codec == "xz" else pa.input_stream(path, compression=codec)


def _codec(path: str) -> str | None:
    """Return what a file is packed with: by its name, and by its first bytes where the name says nothing."""
    if path.endswith(".xz"):
        return "xz"
    named = next((codec for end, codec in CODECS.items() if path.endswith(end)), None)
    if named is not None:
        return named
    with open(path, "rb") as file:  # hf_hub_download keeps names; others may not
        return "gzip" if file.read(2) == b"\x1f\x8b" else None
