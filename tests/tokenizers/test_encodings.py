"""Encodings: what their fields promise each other, and ids that come back as text."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers_builders import ALL

from enfold.errors import EnfoldError
from enfold.tokenizers import AddedToken, Tokenizer
from enfold.tokenizers.decoders import DecodeStream

TEXTS = st.text(
    st.one_of(st.sampled_from("abc ABC.,'\n\té中☃️\u0301<x>"), st.characters(exclude_categories=["Cs"])), max_size=60
)


@pytest.fixture(scope="module", params=sorted(ALL))
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    made: Tokenizer = ALL[request.param]()
    made.add_tokens([AddedToken("<x>", lstrip=True, normalized=False)])
    return made


def fields(encoding: Any) -> list[Any]:
    return [
        encoding.ids,
        encoding.offsets,
        encoding.word_ids,
        encoding.tokens,
        encoding.type_ids,
        encoding.special_tokens_mask,
        encoding.attention_mask,
        encoding.sequence_ids,
        [fields(part) for part in encoding.overflowing],
    ]


@settings(max_examples=60, deadline=None)
@given(text=TEXTS)
def test_offsets_are_in_order_and_inside_the_text(tokenizer: Tokenizer, text: str) -> None:
    encoding = tokenizer.encode(text)
    assert len(encoding.ids) == len(encoding.offsets) == len(encoding.word_ids) == len(encoding)
    last = 0
    for (begin, end), special in zip(encoding.offsets, encoding.special_tokens_mask, strict=True):
        if special:
            continue
        assert last <= begin <= end <= len(text)
        last = begin


@settings(max_examples=60, deadline=None)
@given(text=TEXTS, other=TEXTS)
def test_fields_do_not_depend_on_the_order_of_reading(tokenizer: Tokenizer, text: str, other: str) -> None:
    first, second = tokenizer.encode(text, other), tokenizer.encode(text, other)
    second.char_to_token(0)  # fills every field in
    assert fields(first) == fields(second)
    assert fields(first) == fields(tokenizer.encode_batch([(text, other), text])[0])
    assert fields(pickle.loads(pickle.dumps(first))) == fields(first)


@settings(max_examples=40, deadline=None)
@given(text=TEXTS)
def test_arrays_hold_what_lists_hold(tokenizer: Tokenizer, text: str) -> None:
    encoding = tokenizer.encode(text)
    assert encoding.ids_array.tolist() == encoding.ids
    assert [tuple(pair) for pair in encoding.offsets_array.tolist()] == encoding.offsets


def test_an_encoding_outlives_its_tokenizer_and_its_text() -> None:
    name = sorted(ALL)[0]
    encodings = ALL[name]().encode_batch([f"a b c {i}" for i in range(50)])
    expected = [fields(encoding) for encoding in ALL[name]().encode_batch([f"a b c {i}" for i in range(50)])]
    assert [fields(encoding) for encoding in encodings] == expected


def test_a_tokenizer_that_is_changed_leaves_encodings_as_they_are() -> None:
    made = ALL[sorted(ALL)[0]]()
    encoding, again = made.encode("a b c"), made.encode("a b c")
    made.add_tokens(["b"])
    made.enable_padding(length=40)
    assert fields(encoding) == fields(again) and len(encoding.offsets) == len(encoding.ids)


@pytest.mark.parametrize("bad", [-1, 2**70])
def test_impossible_indices_are_refused(bad: int) -> None:
    encoding = ALL[sorted(ALL)[0]]().encode("a b c")
    for name in ("char_to_token", "char_to_word", "token_to_chars", "token_to_word", "word_to_chars", "word_to_tokens"):
        with pytest.raises(OverflowError):
            getattr(encoding, name)(bad)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_steps_of_a_stream_make_the_text(tokenizer: Tokenizer, data: st.DataObject) -> None:
    ids = data.draw(st.lists(st.integers(0, tokenizer.get_vocab_size() - 1), max_size=20))
    stream = DecodeStream(skip_special_tokens=False)
    try:
        parts = [stream.step(tokenizer, id) or "" for id in ids]
    except EnfoldError:
        return  # ids that no text gives may change what was given out
    whole = tokenizer.decode(ids, skip_special_tokens=False)
    assert whole.startswith("".join(parts)) or "\ufffd" in whole


def test_ids_come_from_arrays_and_columns_as_from_lists() -> None:
    numpy = pytest.importorskip("numpy")
    pyarrow = pytest.importorskip("pyarrow")
    made = ALL[sorted(ALL)[0]]()
    column = made.encode_arrow(["a b", "c", "", "b b a"])["input_ids"]
    rows = column.tolist()
    expected = made.decode_batch(rows)
    assert made.decode_batch(column) == expected
    assert made.decode_batch(pyarrow.array(column)) == expected
    assert made.decode_batch(pyarrow.array(rows, pyarrow.large_list(pyarrow.int64()))) == expected
    assert made.decode_batch(pyarrow.chunked_array([rows[:2], rows[2:]])) == expected
    assert made.decode_batch(numpy.array([rows[0], rows[0]], dtype=numpy.uint16)) == [expected[0]] * 2
    for kind in ("int32", "int64", "uint8"):
        assert made.decode(numpy.array(rows[3], dtype=kind)) == expected[3]
        assert made.decode(numpy.array(rows[3] * 2, dtype=kind)[::2]) == made.decode((rows[3] * 2)[::2])
    with pytest.raises(OverflowError):
        made.decode([-1])
    with pytest.raises(TypeError):
        made.decode([0.5])
    with pytest.raises(ValueError, match="null"):
        made.decode_batch(pyarrow.array([[1], None]))
