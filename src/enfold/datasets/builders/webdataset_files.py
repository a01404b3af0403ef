"""WebDataset: tar archives in which the files of one base name, one after the other, are the fields of a row.

Format: https://github.com/webdataset/webdataset
"""

from __future__ import annotations

import bz2
import dataclasses
import gzip
import io
import json
import lzma
import re
import tarfile
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa

from ..errors import DatasetGenerationError
from ..features.audio import Audio
from ..features.features import Features
from ..features.image import Image
from ..features.video import Video
from ..reading import rows_to_table
from . import kinds
from .archives import tar_members
from .base import DatasetBuilder

__all__ = ["Builder"]

# Rows of a table, and those that tell the columns' kinds.
_ROWS = 100
_LOOKED_AT = 5
_NAME = re.compile(r"^((?:.*/|)[^.]+)[.]([^/]*)$")


def _zstd(data: bytes) -> bytes:
    return pa.input_stream(io.BytesIO(data), compression="zstd").read()


def _lz4(data: bytes) -> bytes:
    return pa.input_stream(io.BytesIO(data), compression="lz4").read()


def _array(data: bytes) -> np.ndarray:
    return np.load(io.BytesIO(data), allow_pickle=False)


def _arrays(data: bytes) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(data), allow_pickle=False) as loaded:
        return {name: loaded[name] for name in loaded.files}


def _tensors(data: bytes) -> Any:
    import torch

    return torch.load(io.BytesIO(data), weights_only=True)


def _message(data: bytes) -> Any:
    try:
        import msgpack  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        raise ImportError("fields ending in .mp or .msg need msgpack: pip install msgpack") from None
    return msgpack.unpackb(data)


def _text(data: bytes) -> str:
    return data.decode("utf-8")


_UNPACK: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.decompress,
    "bz2": bz2.decompress,
    "xz": lzma.decompress,
    "zst": _zstd,
    "lz4": _lz4,
}
#: ending → what its bytes say; whatever would run code when it is loaded is left as bytes
_DECODERS: dict[str, Callable[[bytes], Any]] = {
    **dict.fromkeys(("txt", "text", "transcript"), _text),
    **dict.fromkeys(("cls", "cls2", "index", "inx", "id"), int),
    **dict.fromkeys(("json", "jsn"), json.loads),
    **dict.fromkeys(("mp", "msg"), _message),
    "npy": _array,
    "npz": _arrays,
    "pth": _tensors,
}
_MEDIA: dict[str, Any] = {
    **dict.fromkeys(kinds.VIDEOS, Video),
    **dict.fromkeys(kinds.AUDIO, Audio),
    **dict.fromkeys(kinds.IMAGES, Image),
    **dict.fromkeys(kinds.VIDEOS, Video),
}


class Builder(DatasetBuilder):
    """Reads WebDataset archives; the fields ``__key__`` and ``__url__`` tell where a row came from."""

    name = "webdataset"

    @dataclasses.dataclass
    class Options:
        """Archives say everything themselves."""

    def tables(self, path: str, name: str) -> Iterator[pa.Table]:
        rows = self._rows(path, name)
        features = self.info.features
        if features is None:
            file = next(file for files in self.data_files.values() for file in files)
            features = self.info.features = self._look(file.fetch(), file.name)
        files = [column for column, feature in features.items() if isinstance(feature, (Image, Audio, Video))]
        while chunk := list(islice(rows, _ROWS)):
            for row in chunk:
                for column in files:
                    if row.get(column) is not None:
                        row[column] = {"bytes": row[column], "path": f"{row['__key__']}.{column}"}
                other = [column for column in row if column not in features]
                if other:
                    raise DatasetGenerationError(
                        f"{name}, {row['__key__']!r}: it has the fields {other}, which the first rows do not have "
                        f"({list(features)})"
                    )
            yield rows_to_table(chunk, features)

    def _look(self, path: str, name: str) -> Features:
        """Return the columns' kinds, as the first rows of the first archive show them."""
        rows = list(islice(self._rows(path, name), _LOOKED_AT))
        if not rows:
            raise DatasetGenerationError(f"{name}: the archive holds no file with an ending")
        if any(row.keys() != rows[0].keys() for row in rows):
            shown = [list(row) for row in rows]
            raise DatasetGenerationError(
                f"{name}: no WebDataset: the files of its rows do not share a base name and endings: {shown}"
            )
        features = Features.from_arrow_schema(rows_to_table(rows, None).schema)
        for column in features:
            kind = _MEDIA.get(column.rsplit(".", 1)[-1].lower())
            if kind is not None:
                features[column] = kind()
        return features

    def _rows(self, path: str, name: str) -> Iterator[dict[str, Any]]:
        row: dict[str, Any] = {}
        key = None
        try:
            for member, _, file in tar_members(path):
                found = _NAME.match(member)
                if not found:
                    continue
                base, field = found.groups()
                if key is not None and base != key:
                    yield {**row, "__key__": key, "__url__": name}
                    row = {}
                key = base
                if field in row:
                    raise DatasetGenerationError(f"{name}: the field {field!r} of {base!r} is there twice")
                row[field] = self._value(file.read(), field, f"{name}, {member}")
        except tarfile.TarError as error:
            raise DatasetGenerationError(f"{name}: a broken archive: {error}") from error
        if key is not None:
            yield {**row, "__key__": key, "__url__": name}

    @staticmethod
    def _value(data: bytes, field: str, place: str) -> Any:
        *_, ending = field.lower().split(".")
        try:
            if ending in _UNPACK:
                data = _UNPACK[ending](data)
                ending = field.lower().split(".")[-2] if "." in field else ""
            return _DECODERS[ending](data) if ending in _DECODERS else data
        except (ValueError, OSError, EOFError, lzma.LZMAError) as error:
            raise DatasetGenerationError(f"{place}: it cannot be read: {error}") from error
