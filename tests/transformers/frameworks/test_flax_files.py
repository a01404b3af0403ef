"""Flax's files: the bytes that Flax writes, and what is refused."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from enfold.errors import EnfoldError
from enfold.transformers.frameworks.flax_files import flax_state_dict, save_flax
from enfold.transformers.frameworks.flax_names import flat, flax_places, nested, to_flax, to_torch, torch_names
from enfold.transformers.frameworks.msgpack import pack, unpack

TREE: dict[str, Any] = {
    "a": {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3), "scale": np.ones(3, np.float16)},
    "long name " * 5: {"empty": np.zeros((0, 2), np.int32), "one": np.array(7, np.int64)},
    **{str(at): {"bias": np.full(at, at, np.uint8)} for at in range(20)},
}


def _bytes(tree: Any) -> bytes:
    return b"".join(pack(tree))


def test_the_bytes_are_those_that_flax_writes() -> None:
    msgpack = pytest.importorskip("msgpack")

    def theirs(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: theirs(part) for name, part in value.items()}
        inner = msgpack.packb((value.shape, value.dtype.name, value.tobytes()), use_bin_type=True)
        return msgpack.ExtType(1, inner)

    assert _bytes(TREE) == msgpack.packb(theirs(TREE), strict_types=True)


def test_arrays_come_back() -> None:
    read = unpack(_bytes(TREE))
    for path, value in flat(TREE).items():
        found = flat(read)[path]
        assert tuple(found.shape) == value.shape
        assert np.array_equal(found.numpy(), value)


def test_an_array_in_chunks_is_joined() -> None:
    parts = {"0": np.arange(4, dtype=np.float32), "1": np.arange(4, 6, dtype=np.float32)}
    chunked = {"__msgpack_chunked_array__": True, "shape": {"0": 2, "1": 3}, "chunks": parts}
    assert unpack(_bytes({"w": chunked}))["w"].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_half_precision_of_brains_is_read() -> None:
    inner = b"\x93\x91\x02\xa8bfloat16\xc4\x04" + struct.pack("<HH", 0x3F80, 0x4000)
    read = unpack(b"\x81\xa1w\xc7" + bytes([len(inner)]) + b"\x01" + inner)
    assert read["w"].dtype == torch.bfloat16
    assert read["w"].tolist() == [1.0, 2.0]


@pytest.mark.parametrize("at", range(1, len(_bytes({"a": {"kernel": TREE["a"]["kernel"]}}))))
def test_a_file_that_is_cut_off_is_refused(at: int) -> None:
    with pytest.raises(EnfoldError):
        unpack(_bytes({"a": {"kernel": TREE["a"]["kernel"]}})[:at])


@pytest.mark.parametrize(
    "data",
    [
        b"\xc1",
        b"\x01",
        b"\x81\xa1a\xdd\xff\xff\xff\xff",
        b"\x81\xa1a\xd4\x05\x00",
        b"\x81\xa1w\xc7\x0c\x01\x93\x91\x09\xa5int32\xc4\x01\x00",
        b"\x91" * 100,
    ],
    ids=["no type", "no dictionary", "endless", "unknown extension", "too few bytes", "deep"],
)
def test_what_no_flax_file_holds_is_refused(data: bytes) -> None:
    with pytest.raises(EnfoldError):
        unpack(data)


def test_every_layer_has_a_place_and_finds_back() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(2, 3), nn.Embedding(4, 5), nn.LayerNorm(3), nn.Conv2d(2, 3, (4, 5)), nn.Conv1d(2, 3, 4)
    )
    tensors = dict(model.named_parameters())
    places = flax_places(model)
    tree = nested({place.path: to_flax(tensors[name], place.turned) for name, place in places.items()})
    assert tree["0"]["kernel"].shape == (2, 3)
    assert tree["1"]["embedding"].shape == (4, 5)
    assert tree["2"]["scale"].shape == (3,)
    assert tree["3"]["kernel"].shape == (4, 5, 2, 3)
    assert tree["4"]["kernel"].shape == (4, 2, 3)
    values = flat(tree)
    back = {name: to_torch(values[path], turned) for path, (name, turned) in torch_names(tree).items()}
    assert back.keys() == tensors.keys()
    assert all(torch.equal(back[name], tensor) for name, tensor in tensors.items())


def test_running_numbers_have_a_tree_of_their_own(tmp_path: Any) -> None:
    model = nn.Sequential(nn.BatchNorm2d(2))
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    tree = nested({place.path: tensors[name].detach().numpy() for name, place in flax_places(model).items()})
    assert set(tree) == {"params", "batch_stats"}
    found = flax_state_dict([save_flax(tree, tmp_path)])
    assert set(found) == {"0.weight", "0.bias", "0.running_mean", "0.running_var"}


def test_an_empty_file_says_so(tmp_path: Any) -> None:
    (tmp_path / "flax_model.msgpack").write_bytes(b"")
    with pytest.raises(EnfoldError, match="empty"):
        flax_state_dict([tmp_path / "flax_model.msgpack"])
