"""Opening data files: packed ones are unpacked on the way, and small files and large ones look the same."""

from __future__ import annotations

import io
import lzma
from typing import Any

import pyarrow as pa

from ..errors import DatasetGenerationError

__all__ = ["CODECS", "read_bytes", "read_text"]


def read_bytes(path: str | pa.Buffer) -> pa.Buffer:
    """Return a file's content: mapped where it is plain, unpacked where it ends in .gz, .bz2, .zst, .lz4 or .xz.

    A stream's block of a file is content already.
    """
    if isinstance(path, pa.Buffer):
        return path
    if path.endswith(".xz"):
        try:
            with lzma.open(path) as file:
                return pa.py_buffer(file.read())
        except (EOFError, lzma.LZMAError) as error:
            raise DatasetGenerationError(f"{path}: the xz data is damaged or cut off: {error}") from error
    packed: Any = next((name for end, name in CODECS.items() if path.endswith(end)), None)
    if packed is None:
        # hf_hub_download keeps names, so the ending tells; the first bytes are asked for files that have none
        with open(path, "rb") as file:
            packed = "gzip" if file.read(2) == b"\x1f\x8b" else None
    if packed is None:
        with pa.memory_map(path) as mapped:
            return mapped.read_buffer() if mapped.size() else pa.py_buffer(b"")
    try:
        with pa.input_stream(path, compression=packed) as stream:
            return pa.py_buffer(stream.read())
    except OSError as error:
        if error.errno is not None:  # the file itself cannot be read
            raise
        raise DatasetGenerationError(f"{path}: the {packed} data is damaged or cut off: {error}") from error


CODECS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".lz4": "lz4"}


def read_text(path: str, encoding: str, errors: str | None) -> str:
    """Return a file's text with every line end as ``\\n``."""
    raw = read_bytes(path).to_pybytes()
    return io.TextIOWrapper(io.BytesIO(raw), encoding, errors or "strict").read()
