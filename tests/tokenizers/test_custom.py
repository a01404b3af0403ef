"""Components written in Python, and the texts that they are given."""

from __future__ import annotations

import copy
import gc
import pickle
from typing import Any

import pytest

from enfold.tokenizers import NormalizedString, PreTokenizedString, Regex, Token, Tokenizer, decoders, normalizers
from enfold.tokenizers import pre_tokenizers as cutting
from enfold.tokenizers.models import WordLevel


class Shout:
    def normalize(self, text: NormalizedString) -> None:
        text.uppercase()


class Commas:
    def pre_tokenize(self, text: PreTokenizedString) -> None:
        text.split(lambda i, part: part.split(",", "removed"))


class Fails:
    def normalize(self, text: NormalizedString) -> None:
        raise KeyError("a normalizer's own")

    def pre_tokenize(self, text: PreTokenizedString) -> None:
        raise KeyError("a pre-tokenizer's own")

    def decode_chain(self, tokens: list[str]) -> list[str]:
        raise KeyError("a decoder's own")


@pytest.fixture
def tokenizer() -> Tokenizer:
    made = Tokenizer(WordLevel({"[UNK]": 0, "A": 1, "B": 2}, unk_token="[UNK]"))
    made.normalizer = normalizers.Normalizer.custom(Shout())
    made.pre_tokenizer = cutting.PreTokenizer.custom(Commas())
    return made


def test_a_tokenizer_runs_them_one_by_one_in_batches_and_in_columns(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "true")
    monkeypatch.setenv("RAYON_NUM_THREADS", "4")
    assert tokenizer.encode("a,b").ids == [1, 2]
    assert [one.ids for one in tokenizer.encode_batch(["a,b", "x,a"] * 200)] == [[1, 2], [0, 1]] * 200
    assert tokenizer.encode_batch(["a,b"] * 9)[8].offsets == [(0, 1), (2, 3)]
    assert tokenizer.encode_arrow(["a,b", "a"])["input_ids"].tolist() == [[1, 2], [1]]


def test_what_they_raise_comes_out_as_it_is(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "true")
    monkeypatch.setenv("RAYON_NUM_THREADS", "4")
    for name, component in (
        ("normalizer", normalizers.Normalizer.custom(Fails())),
        ("pre_tokenizer", cutting.PreTokenizer.custom(Fails())),
    ):
        failing = copy.deepcopy(tokenizer)
        setattr(failing, name, component)
        for call in (lambda: failing.encode("a"), lambda: failing.encode_batch(["a"] * 500)):  # noqa: B023
            with pytest.raises(KeyError, match="own"):
                call()
    tokenizer.decoder = decoders.Decoder.custom(Fails())
    with pytest.raises(KeyError, match="own"):
        tokenizer.decode_batch([[1]] * 9)


def test_they_cannot_be_saved_but_copied(tokenizer: Tokenizer) -> None:
    for call in (tokenizer.to_str, lambda: pickle.dumps(tokenizer)):
        with pytest.raises(TypeError, match="Custom Normalizer cannot be serialized"):
            call()
    twin = copy.deepcopy(tokenizer)
    tokenizer.normalizer = None
    assert twin.encode("a,b").ids == [1, 2]
    assert tokenizer.encode("a,b").ids == [0, 0]


def test_a_file_cannot_name_one() -> None:
    text = Tokenizer(WordLevel({"a": 0}, unk_token="a")).to_str()
    with pytest.raises(ValueError, match="Custom"):
        Tokenizer.from_str(text.replace('"normalizer":null', '"normalizer":{"type":"Custom","handle":0}'))


def test_a_text_that_was_lent_ends_with_the_call_and_what_was_cut_from_it_stays() -> None:
    kept: list[Any] = []

    class Keeps:
        def normalize(self, text: NormalizedString) -> None:
            kept.extend([text, text[1:3]])

    assert normalizers.Normalizer.custom(Keeps()).normalize_str("héllo" * 3) == "héllo" * 3
    gc.collect()
    assert kept[1].original == "él"
    with pytest.raises(RuntimeError, match="outside"):
        kept[0].lowercase()


def test_a_sequence_that_holds_one_sees_it_replaced(tokenizer: Tokenizer) -> None:
    steps = normalizers.Sequence([normalizers.NFC(), normalizers.Normalizer.custom(Shout())])
    tokenizer.normalizer = steps
    before = tokenizer.revision
    assert tokenizer.encode("a").ids == [1]
    steps[1] = normalizers.Lowercase()
    assert tokenizer.encode("A").ids == [0]
    assert tokenizer.revision > before


def test_alignments_follow_every_change() -> None:
    text = PreTokenizedString("ｆull ﬁne")
    text.split(lambda i, part: part.split(" ", "removed"))
    text.normalize(lambda part: part.nfkc())
    assert [part[:2] for part in text.get_splits()] == [("full", (0, 4)), ("fine", (5, 8))]
    text.tokenize(lambda word: [Token(1, word[:2], (0, 2)), Token(2, word[2:], (2, 4))])
    assert text.to_encoding().offsets == [(0, 2), (2, 4), (5, 6), (6, 8)]
    assert text.to_encoding(type_id=1, word_idx=7).word_ids == [7] * 4
    with pytest.raises(RuntimeError, match="has not been tokenized"):
        PreTokenizedString("a").to_encoding()


def test_a_callback_that_fails_leaves_the_text_as_it_was() -> None:
    text = PreTokenizedString("a b")
    with pytest.raises(ZeroDivisionError):
        text.split(lambda i, part: 1 // 0)
    with pytest.raises(TypeError, match="NormalizedString"):
        text.split(lambda i, part: [3])
    with pytest.raises(TypeError, match="Token"):
        text.tokenize(lambda word: [word])
    assert text.get_splits() == [("a b", (0, 3), None)]


def test_tokens_compare_by_value() -> None:
    token = Token(3, "ab", (0, 2))
    assert token == Token(3, "ab", (0, 2)) and hash(token) == hash(Token(3, "ab", (0, 2)))
    assert token.as_tuple() == (3, "ab", (0, 2)) and token != Token(4, "ab", (0, 2))
    with pytest.raises(OverflowError):
        Token(-1, "a", (0, 1))


def test_a_string_is_cut_where_nothing_matches() -> None:
    def parts(pattern: Regex | str, behavior: str) -> list[str]:
        return [part.normalized for part in NormalizedString("ab c").split(pattern, behavior)]

    assert parts(Regex(r"\b"), "isolated") == ["", "ab", "", " ", "", "c", ""]
    assert parts(Regex(r"\b"), "removed") == ["ab", " ", "c"]
    assert parts(Regex("(?=c)"), "merged_with_previous") == ["ab ", "c"]
    assert parts("", "isolated") == ["ab c"]
