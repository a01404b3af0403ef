"""What a safetensors file holds, by its header alone: names, types and shapes of tensors."""

from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from enfold.errors import EnfoldError
from enfold.hub import constants

__all__ = [
    "NotASafetensorsRepoError",
    "SafetensorsFileMetadata",
    "SafetensorsParsingError",
    "SafetensorsRepoMetadata",
    "TensorInfo",
    "get_local_safetensors_metadata",
    "parse_header",
    "parse_local_safetensors_file_metadata",
    "read_header",
]

_FIRST = 100_000  # bytes read at once: most headers are shorter
_LIMIT = 25_000_000


class SafetensorsParsingError(EnfoldError):
    """A file does not begin as a safetensors file does."""


class NotASafetensorsRepoError(EnfoldError):
    """A repository has neither ``model.safetensors`` nor an index of its parts."""


@dataclasses.dataclass
class TensorInfo:
    """A tensor in a file.

    Args:
        dtype: its type as the format writes it: "F32", "BF16", "I8", …
        shape: its sizes.
        data_offsets: where its bytes begin and end, behind the header.
    """

    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]
    parameter_count: int = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.parameter_count = math.prod(self.shape)


@dataclasses.dataclass
class SafetensorsFileMetadata:
    """A file's header.

    Args:
        metadata: texts that its author added.
        tensors: its tensors by name.
    """

    metadata: dict[str, str]
    tensors: dict[str, TensorInfo]
    parameter_count: dict[str, int] = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.parameter_count = _counted(self.tensors.values())


@dataclasses.dataclass
class SafetensorsRepoMetadata:
    """The headers of all files of a model.

    Args:
        metadata: the index's own, None where the model is one file.
        sharded: whether it is several.
        weight_map: tensor → file.
        files_metadata: file → its header.
    """

    metadata: dict[str, Any] | None
    sharded: bool
    weight_map: dict[str, str]
    files_metadata: dict[str, SafetensorsFileMetadata]
    parameter_count: dict[str, int] = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        count: Counter[str] = Counter()
        for file in self.files_metadata.values():
            count.update(file.parameter_count)
        self.parameter_count = dict(count)


def _counted(tensors: Any) -> dict[str, int]:
    count: Counter[str] = Counter()
    for tensor in tensors:
        count[tensor.dtype] += tensor.parameter_count
    return dict(count)


def read_header(read: Callable[[int, int], bytes], name: str) -> SafetensorsFileMetadata:
    """Read a header with ``read(start, stop)``, which returns bytes of the file, fewer at its end.

    Raises:
        SafetensorsParsingError: it is too long, cut off, or no JSON of the right form.

    Source: https://huggingface.co/docs/safetensors/index#format
    """
    first = read(0, _FIRST)
    length = int.from_bytes(first[:8], "little")
    if len(first) < 8 or not 2 <= length <= _LIMIT:
        raise SafetensorsParsingError(f"{name} is no safetensors file: its header would have {length} bytes")
    header = first[8 : 8 + length]
    if len(header) < length:
        header += read(8 + len(header), 8 + length)
    if len(header) < length:
        raise SafetensorsParsingError(f"{name} ends inside its header, after {len(header)} of {length} bytes")
    try:
        found = json.loads(header.decode())
    except ValueError as error:
        raise SafetensorsParsingError(f"the header of {name} cannot be read: {error}") from error
    return parse_header(found, name)


def parse_header(found: Any, name: str) -> SafetensorsFileMetadata:
    """Return what a header says, which is JSON that was parsed already."""
    try:
        tensors = {
            key: TensorInfo(value["dtype"], list(value["shape"]), tuple(value["data_offsets"]))
            for key, value in found.items()
            if key != "__metadata__"
        }
        return SafetensorsFileMetadata(found.get("__metadata__", {}), tensors)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SafetensorsParsingError(f"the header of {name} cannot be read: {error}") from error


def parse_local_safetensors_file_metadata(path: str | Path) -> SafetensorsFileMetadata:
    """Return the header of a file of this machine.

    Raises:
        SafetensorsParsingError: it is no safetensors file.
    """

    def read(start: int, stop: int) -> bytes:
        with open(path, "rb") as file:
            file.seek(start)
            return file.read(stop - start)

    return read_header(read, str(path))


def get_local_safetensors_metadata(path: str | Path) -> SafetensorsRepoMetadata:
    """Return the headers of a file, or of a folder's ``model.safetensors`` or shards.

    Raises:
        NotASafetensorsRepoError: there are no such files.
    """
    place = Path(path)
    index = place / constants.SAFETENSORS_INDEX_FILE
    if place.is_dir() and index.is_file():
        table = json.loads(index.read_text())
        names = sorted(set(table["weight_map"].values()))
        files = {name: parse_local_safetensors_file_metadata(place / name) for name in names}
        return SafetensorsRepoMetadata(table.get("metadata"), True, table["weight_map"], files)
    file = place / constants.SAFETENSORS_SINGLE_FILE if place.is_dir() else place
    if not file.is_file():
        raise NotASafetensorsRepoError(f"{str(path)!r} holds no safetensors file: expected {file.name} or {index.name}")
    header = parse_local_safetensors_file_metadata(file)
    return SafetensorsRepoMetadata(None, False, dict.fromkeys(header.tensors, file.name), {file.name: header})
