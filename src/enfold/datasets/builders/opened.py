"""Opening data files: packed ones are unpacked on the way, and small files and large ones look the same."""

from __future__ import annotations

import codecs
import io
import lzma
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from ..errors import DatasetGenerationError

__all__ = ["CODECS", "read_blocks", "read_bytes", "read_texts"]

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
