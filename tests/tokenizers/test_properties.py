"""What holds for every text."""

from __future__ import annotations

import json
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers_builders import ALL, bert, byte_level, sentencepiece

from enfold.tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from enfold.tokenizers.component import build, spec_text

# Characters that mean something to some rule, between those that hypothesis thinks of.
TEXT = st.text(
    st.one_of(st.sampled_from("hello the wor '▁Ġ\n\t\u0301\u200d[]<>|é中1.,"), st.characters(exclude_categories=["Cs"]))
)
TOKENIZERS = {name: make() for name, make in ALL.items()}


@given(TEXT)
@settings(max_examples=300, deadline=None)
def test_byte_level_decoding_undoes_encoding(text: str) -> None:
    tokenizer = TOKENIZERS["byte_level"]
    ids = tokenizer.encode(text).ids
    assert tokenizer.decode(ids, skip_special_tokens=False) == text


@given(TEXT)
@settings(max_examples=200, deadline=None)
def test_byte_fallback_decoding_undoes_encoding(text: str) -> None:
    tokenizer = TOKENIZERS["sentencepiece"]
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    assert tokenizer.decode(ids, skip_special_tokens=False) == text.replace("▁", " ")


@pytest.mark.parametrize("name", ALL)
@given(rows=st.lists(TEXT, max_size=6))
@settings(max_examples=100, deadline=None)
def test_the_flat_path_agrees_and_offsets_lie_in_the_text(name: str, rows: list[str]) -> None:
    tokenizer = TOKENIZERS[name]
    encodings = tokenizer.encode_batch(rows)
    assert tokenizer.encode_arrow(rows)["input_ids"].tolist() == [encoding.ids for encoding in encodings]
    for text, encoding in zip(rows, encodings, strict=True):
        assert all(0 <= begin <= end <= len(text) for begin, end in encoding.offsets)
        words = [word for word in encoding.word_ids if word is not None]
        assert words == sorted(words)


@given(TEXT, st.integers(1, 8), st.integers(0, 3), st.booleans())
@settings(max_examples=200, deadline=None)
def test_truncated_windows_cover_the_whole(text: str, length: int, stride: int, left: bool) -> None:
    if stride >= length:
        return
    tokenizer = byte_level()
    whole = tokenizer.encode(text).ids
    tokenizer.enable_truncation(length, stride=stride, direction="left" if left else "right")
    encoding = tokenizer.encode(text)
    parts = [encoding.ids, *[part.ids for part in encoding.overflowing]]
    assert all(len(part) <= length for part in parts)
    if left:
        parts = [part[::-1] for part in parts]
    joined = parts[0] + [id for part in parts[1:] for id in part[stride:]]
    assert joined == (whole[::-1] if left else whole)


@given(st.dictionaries(st.text(min_size=1, max_size=8), st.integers(0, 500), max_size=12), st.text(max_size=5))
@settings(max_examples=200, deadline=None)
def test_any_vocabulary_survives_the_file(vocab: dict[str, int], unk: str) -> None:
    vocab = {token: id for id, token in enumerate(vocab) if not any(0xD800 <= ord(c) < 0xE000 for c in token)}
    if any(0xD800 <= ord(c) < 0xE000 for c in unk):
        return
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token=unk))
    again = Tokenizer.from_str(tokenizer.to_str(pretty=True))
    assert again.get_vocab() == vocab == json.loads(tokenizer.to_str())["model"]["vocab"]
    assert all(again.encode(token).ids == [id] for token, id in vocab.items())


@given(
    TEXT,
    st.sampled_from(["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]),
    st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_splitting_loses_nothing_but_what_is_removed(text: str, behavior: str, invert: bool) -> None:
    words = pre_tokenizers.Split("e", behavior, invert).pre_tokenize_str(text)
    assert all(text[begin:end] == word for word, (begin, end) in words)
    if behavior != "removed":
        assert "".join(word for word, _ in words) == text


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
@given(TEXT)
@settings(max_examples=100, deadline=None)
def test_normal_forms_are_stable(form: str, text: str) -> None:
    normalizer = getattr(normalizers, form)()
    once = normalizer.normalize_str(text)
    assert normalizer.normalize_str(once) == once


@pytest.mark.parametrize("make", [bert, byte_level, sentencepiece])
def test_components_survive_pickle_and_their_spec(make: type) -> None:
    tokenizer = make()
    for component in filter(
        None, [tokenizer.normalizer, tokenizer.pre_tokenizer, tokenizer.post_processor, tokenizer.decoder]
    ):
        again = pickle.loads(pickle.dumps(component))
        assert again == component and repr(again) == repr(component)
        base = type(component).__mro__[1]
        assert spec_text(build(base, json.loads(spec_text(component)))) == spec_text(component)
