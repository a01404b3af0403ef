"""Weights out of ONNX graphs that registry packages carry: a reader of the few messages that hold them.

Not product code: real checkpoints do not come this way. Field numbers are those of ``onnx.proto``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

__all__ = ["Node", "read"]

TYPES = {1: "<f4", 2: "u1", 3: "i1", 6: "<i4", 7: "<i8", 10: "<f2"}


class Node(NamedTuple):
    """One operation."""

    name: str
    kind: str
    inputs: list[str]
    outputs: list[str]


def _number(data: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place


def _fields(data: memoryview) -> Iterator[tuple[int, Any]]:
    place = 0
    while place < len(data):
        key, place = _number(data, place)
        if key & 7 == 0:
            value, place = _number(data, place)
        else:
            size, place = (8, place) if key & 7 == 1 else (4, place) if key & 7 == 5 else _number(data, place)
            value, place = data[place : place + size], place + size
        yield key >> 3, value


def _tensor(data: memoryview) -> tuple[str, torch.Tensor]:
    parts: dict[int, list[Any]] = {}
    for number, value in _fields(data):
        parts.setdefault(number, []).append(value)
    kind, shape = TYPES[parts[2][0]], [int(size) for size in parts.get(1, [])]
    if 9 in parts:
        values = np.frombuffer(parts[9][0], kind)
    elif 4 in parts:  # single-precision numbers, packed
        values = np.frombuffer(b"".join(map(bytes, parts[4])), "<f4")
    else:  # whole numbers, packed or not
        numbers: list[int] = []
        for value in parts.get(5, []) + parts.get(7, []):
            if isinstance(value, int):
                numbers.append(value)
                continue
            place = 0
            while place < len(value):
                one, place = _number(value, place)
                numbers.append(one)
        values = np.array(numbers, "<u8").astype("<i8").astype(kind)
    return bytes(parts[8][0]).decode(), torch.from_numpy(values.reshape(shape).copy())


def read(path: Path) -> tuple[dict[str, torch.Tensor], list[Node]]:
    """Return a graph's tensors by name, those of whole numbers as the numbers they stand for, and its operations.

    A quantised ``x`` lies in the file as ``x_quantized`` with ``x_scale`` and ``x_zero_point``.
    """
    graph = next(value for number, value in _fields(memoryview(path.read_bytes())) if number == 7)
    tensors, nodes = {}, []
    for number, value in _fields(graph):
        if number == 5:
            name, tensor = _tensor(value)
            tensors[name] = tensor
        elif number == 1:
            parts: dict[int, list[str]] = {}
            for field, text in _fields(value):
                if field in (1, 2, 3, 4):
                    parts.setdefault(field, []).append(bytes(text).decode())
            nodes.append(Node(parts.get(3, [""])[0], parts[4][0], parts.get(1, []), parts.get(2, [])))
    for name in [name.removesuffix("_quantized") for name in tensors if name.endswith("_quantized")]:
        whole, zero = tensors.pop(f"{name}_quantized"), tensors.pop(f"{name}_zero_point")
        tensors[name] = (whole.float() - zero.float()) * tensors.pop(f"{name}_scale")
    return tensors, nodes
