"""The flat path: columns in, buffers out, on threads, without growing."""

from __future__ import annotations

import copy
import os
import pickle
import resource
import subprocess
import sys
from array import array
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest
from tokenizers_builders import ALL, bert, byte_level

from enfold.tokenizers import TokenColumn, Tokenizer

TEXTS = [
    "hello world",
    "",
    "the cat's running, é 中 \u3000x",
    "unable   tokens!",
    "[SEP] you",
    "a" * 200,
    "<|endoftext|>the",
] * 3


@pytest.mark.parametrize("name", ALL)
def test_flat_ids_are_those_of_single_encodings(name: str) -> None:
    tokenizer: Tokenizer = ALL[name]()
    for special in (True, False):
        made = tokenizer.encode_arrow(TEXTS, add_special_tokens=special, fields=["input_ids", "special_tokens_mask"])
        encodings = tokenizer.encode_batch(TEXTS, add_special_tokens=special)
        assert made["input_ids"].tolist() == [encoding.ids for encoding in encodings]
        assert made["special_tokens_mask"].tolist() == [encoding.special_tokens_mask for encoding in encodings]
    for length in (0, 1, 2, 3, 5, 8):
        tokenizer.enable_truncation(length)
        one = tokenizer.encode_arrow(TEXTS, max_length=length)["input_ids"].tolist()
        assert one == [encoding.ids for encoding in tokenizer.encode_batch(TEXTS)]
        two = tokenizer.encode_arrow(TEXTS, TEXTS[::-1], max_length=length)
        encodings = tokenizer.encode_batch(list(zip(TEXTS, TEXTS[::-1], strict=True)))
        assert two["input_ids"].tolist() == [encoding.ids for encoding in encodings]
        assert two["token_type_ids"].tolist() == [encoding.type_ids for encoding in encodings]


@pytest.mark.parametrize(
    "column",
    [
        pa.array(TEXTS),
        pa.array(TEXTS, pa.large_string()),
        pa.array(TEXTS, pa.string_view()),
        pa.array(TEXTS).dictionary_encode(),
        pa.chunked_array([TEXTS[:4], [], TEXTS[4:]], pa.string()),
        pa.array(["zzz", *TEXTS, "zzz"]).slice(1, len(TEXTS)),
        tuple(TEXTS),
    ],
    ids=["utf8", "large_utf8", "string_view", "dictionary", "chunked", "slice", "tuple"],
)
def test_every_kind_of_string_column_is_read(column: object) -> None:
    assert bert().encode_arrow(column)["input_ids"].tolist() == bert().encode_arrow(TEXTS)["input_ids"].tolist()


def test_what_cannot_be_encoded_is_named() -> None:
    with pytest.raises(ValueError, match="row 2 is null"):
        bert().encode_arrow(pa.chunked_array([["a", "b"], [None]], pa.string()))
    with pytest.raises(ValueError, match='format "l"'):
        bert().encode_arrow(pa.array([1, 2]))
    with pytest.raises(TypeError, match="row 1 is not a string but int"):
        bert().encode_arrow(["a", 3])
    with pytest.raises(TypeError, match="not one string"):
        bert().encode_arrow("a")
    with pytest.raises(ValueError, match="differ in length: 1 and 2"):
        bert().encode_arrow(["a"], ["a", "b"])
    with pytest.raises(ValueError, match="unknown field"):
        bert().encode_arrow(["a"], fields=["ids"])


def test_a_column_is_a_sequence_of_rows() -> None:
    column = bert().encode_arrow(["hello", "hello world", "you"])["input_ids"]
    rows = [[2, 4, 3], [2, 4, 5, 3], [2, 8, 3]]
    assert isinstance(column, TokenColumn) and len(column) == 3
    assert list(column) == rows == column.tolist() and column == rows
    assert column[-1] == rows[-1] and column[1:].tolist() == rows[1:] and column[::-2].tolist() == rows[::-2]
    assert column[1:] == bert().encode_arrow(["hello world", "you"])["input_ids"]
    with pytest.raises(IndexError):
        column[3]
    assert array("i", column[1:].values) == array("i", rows[1] + rows[2])
    assert list(column[1:].offsets) == [0, 4, 7] and column.offsets.format == "i"


def test_a_column_survives_pickle_and_copies() -> None:
    column = bert().encode_arrow(TEXTS)["input_ids"][2:5]
    for again in (pickle.loads(pickle.dumps(column)), copy.deepcopy(column)):
        assert again == column and pa.array(again).to_pylist() == column.tolist()
    empty = pickle.loads(pickle.dumps(bert().encode_arrow([])["input_ids"]))
    assert empty.tolist() == []


def test_arrow_sees_the_buffers_themselves() -> None:
    column = bert().encode_arrow(TEXTS)["input_ids"]
    rows = column.tolist()
    out = pa.array(column)
    assert out.type == pa.list_(pa.int32()) and out.to_pylist() == rows
    assert pa.array(column[2:5]).to_pylist() == rows[2:5]
    assert pa.array(column[::2]).to_pylist() == rows[::2]
    address = out.values.buffers()[1].address
    assert address == pa.array(column).values.buffers()[1].address
    del column
    assert out.to_pylist() == rows  # the array owns what it shows
    out.validate(full=True)


def test_numpy_gets_padded_rows() -> None:
    column = bert().encode_arrow(["hello", "hello world"])["input_ids"]
    assert column.to_numpy(pad=0).tolist() == [[2, 4, 3, 0], [2, 4, 5, 3]]
    assert column.to_numpy(pad=9, length=5, side="left").tolist() == [[9, 9, 2, 4, 3], [9, 2, 4, 5, 3]]
    assert column[:1].to_numpy().tolist() == [[2, 4, 3]]
    with pytest.raises(ValueError, match="pass pad="):
        column.to_numpy()
    with pytest.raises(ValueError, match="shorter than the longest row"):
        column.to_numpy(pad=0, length=3)


def test_rows_of_one_length_are_seen_in_place() -> None:
    import numpy
    import torch

    packed = byte_level().encode_arrow(["hello world " * 9, "again"] * 3)["input_ids"].pack(16, fixed=True)
    for column in (packed["input_ids"], packed["position_ids"], packed["input_ids"][1:3], packed["input_ids"][::2]):
        rows = column.tolist()
        array = pa.array(column)
        assert array.type == pa.list_(pa.int32(), 16) and array.to_pylist() == rows
        matrix = numpy.asarray(column.matrix)
        assert matrix.shape == (len(rows), 16) and matrix.tolist() == rows
        assert matrix.ctypes.data == numpy.asarray(column.values).ctypes.data == torch.from_dlpack(column).data_ptr()
        assert pickle.loads(pickle.dumps(column)) == column
    with pytest.raises(ValueError, match="cannot keep the remainder"):
        byte_level().encode_arrow(["hello world"])["input_ids"].pack(4, fixed=True, keep_remainder=True)
    with pytest.raises(ValueError, match="the rows differ in length"):
        byte_level().encode_arrow(["hello world", "hello"])["input_ids"].matrix


def test_no_rows_are_no_trouble() -> None:
    made = bert().encode_arrow([])
    assert made["input_ids"].tolist() == [] and len(pa.array(made["attention_mask"])) == 0


def test_threads_give_what_one_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = byte_level()
    texts = [f"hello the number {i} world " * 40 for i in range(3000)]
    alone = tokenizer.encode_arrow(texts)["input_ids"].tolist()
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "true")
    monkeypatch.setenv("RAYON_NUM_THREADS", "4")
    assert tokenizer.encode_arrow(texts)["input_ids"].tolist() == alone
    with ThreadPoolExecutor(4) as pool:
        for made in pool.map(lambda _: tokenizer.encode_arrow(texts[:800])["input_ids"].tolist(), range(8)):
            assert made == alone[:800]
    assert [encoding.ids for encoding in tokenizer.encode_batch(texts[:300])] == alone[:300]


FORK = """
import os, sys
sys.path.insert(0, sys.argv[1])
from tokenizers_builders import byte_level
tokenizer = byte_level()
texts = ["hello the world " * 50] * 2000
rows = tokenizer.encode_arrow(texts)["input_ids"].tolist()
for _ in range(5):
    child = os.fork()
    if child == 0:
        os._exit(0 if tokenizer.encode_arrow(texts)["input_ids"].tolist() == rows else 3)
    assert tokenizer.encode_arrow(texts)["input_ids"].tolist() == rows
    assert os.waitpid(child, 0)[1] == 0
print("fine")
"""


def test_a_forked_child_encodes_on_threads_of_its_own() -> None:
    environment = {**os.environ, "TOKENIZERS_PARALLELISM": "true", "RAYON_NUM_THREADS": "4"}
    command = [sys.executable, "-c", FORK, os.path.dirname(__file__)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout == "fine\n", done.stderr


def test_memory_stays_where_it_is() -> None:
    tokenizer = byte_level()
    for round_ in range(40):
        # Words that never come again, so that every cache is filled many times over.
        texts = [" ".join(f"{round_}x{i}y{j}" for j in range(20)) for i in range(2000)]
        tokenizer.encode_arrow(texts)
        tokenizer.encode_batch(texts[:200])
        if round_ == 9:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 16_000, f"{grown} KiB more after thirty further rounds"


def test_neither_numpy_nor_torch_is_loaded() -> None:
    code = """
import sys
sys.path.insert(0, sys.argv[1])
from tokenizers_builders import bert
tokenizer = bert()
tokenizer.encode("hello").offsets
memoryview(tokenizer.encode_arrow(["hello"])["input_ids"].values)
print(sorted({"numpy", "torch", "pyarrow"} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code, os.path.dirname(__file__)], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
