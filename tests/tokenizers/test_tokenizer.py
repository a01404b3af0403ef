"""Encoding and decoding, one behaviour a test."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
from pathlib import Path

import pytest
from tokenizers_builders import ALL, bert, byte_level, sentencepiece

from enfold.tokenizers import (
    AddedToken,
    Encoding,
    Regex,
    Tokenizer,
    TokenizerError,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)


def test_an_encoding_says_where_its_tokens_come_from() -> None:
    encoding = bert().encode("Hello,  RUNNING cats!")
    assert encoding.tokens == ["[CLS]", "hello", ",", "run", "##n", "##ing", "cat", "##s", "!", "[SEP]"]
    assert encoding.offsets == [
        (0, 0),
        (0, 5),
        (5, 6),
        (8, 11),
        (11, 12),
        (12, 15),
        (16, 19),
        (19, 20),
        (20, 21),
        (0, 0),
    ]
    assert encoding.word_ids == [None, 0, 1, 2, 2, 2, 3, 3, 4, None]
    assert encoding.special_tokens_mask == [1, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    assert encoding.sequence_ids == [None, 0, 0, 0, 0, 0, 0, 0, 0, None]
    assert encoding.attention_mask == [1] * len(encoding)
    assert encoding.char_to_token(9) == 3 and encoding.char_to_word(19) == 3 and encoding.char_to_token(6) is None
    assert encoding.token_to_chars(3) == (8, 11) and encoding.token_to_word(4) == 2
    assert encoding.word_to_tokens(2) == (3, 6) and encoding.word_to_chars(2) == (8, 15)
    assert encoding.token_to_sequence(1) == 0 and encoding.token_to_sequence(0) is None


def test_accents_and_ideographs_keep_their_offsets() -> None:
    encoding = bert().encode("É 中a", add_special_tokens=False)
    assert encoding.tokens == ["[UNK]", "[UNK]", "a"]  # "e" alone is not in the vocabulary
    assert encoding.offsets == [(0, 1), (2, 3), (3, 4)]


def test_a_pair_has_two_sequences() -> None:
    encoding = bert().encode("hello", "world you")
    assert encoding.type_ids == [0, 0, 0, 1, 1, 1]
    assert encoding.sequence_ids == [None, 0, None, 1, 1, None]
    assert encoding.n_sequences == 2
    assert encoding.char_to_token(0, sequence_index=1) == 3
    assert encoding.word_to_tokens(1, 1) == (4, 5)


def test_pretokenized_words_are_numbered_by_their_place() -> None:
    encoding = bert().encode(["hello", "running !", "you"], is_pretokenized=True, add_special_tokens=False)
    assert encoding.word_ids == [0, 1, 1, 1, 1, 2]
    assert encoding.offsets[1:5] == [(0, 3), (3, 4), (4, 7), (8, 9)]
    with pytest.raises(TypeError, match="PreTokenizedInputSequence"):
        bert().encode("hello", is_pretokenized=True)
    with pytest.raises(TypeError, match="TextInputSequence must be str"):
        bert().encode(["hello"])


def test_truncation_gives_the_rest_in_windows() -> None:
    tokenizer = bert()
    tokenizer.enable_truncation(5, stride=1)
    assert tokenizer.truncation == {"max_length": 5, "stride": 1, "strategy": "longest_first", "direction": "right"}
    encoding = tokenizer.encode("hello world how are you")
    assert encoding.tokens == ["[CLS]", "hello", "world", "how", "[SEP]"]
    assert [part.tokens for part in encoding.overflowing] == [["[CLS]", "how", "are", "you", "[SEP]"]]
    tokenizer.enable_truncation(5, direction="left")
    assert tokenizer.encode("hello world how are you").tokens == ["[CLS]", "how", "are", "you", "[SEP]"]
    tokenizer.enable_truncation(6, strategy="only_second")
    assert tokenizer.encode("hello world", "how are you").tokens == ["[CLS]", "hello", "world", "[SEP]", "how", "[SEP]"]
    with pytest.raises(RuntimeError, match="Second sequence not provided"):
        tokenizer.encode("hello world how are you the cat")
    with pytest.raises(ValueError, match="stride"):
        tokenizer.enable_truncation(4, stride=3)
    with pytest.raises(ValueError, match="Unknown `strategy`"):
        tokenizer.enable_truncation(4, strategy="shortest")
    tokenizer.no_truncation()
    assert tokenizer.truncation is None


def test_padding_fills_the_batch() -> None:
    tokenizer = bert()
    tokenizer.enable_padding(pad_to_multiple_of=4, direction="left", pad_token="[PAD]")
    first, second = tokenizer.encode_batch(["hello", "hello world how are you"])
    assert len(first) == len(second) == 8
    assert first.attention_mask == [0, 0, 0, 0, 0, 1, 1, 1]
    assert first.tokens[:6] == ["[PAD]"] * 5 + ["[CLS]"]
    assert first.char_to_token(0) == 6
    tokenizer.no_padding()
    assert tokenizer.padding is None and len(tokenizer.encode("hello")) == 3


def test_added_tokens_are_found_before_the_model_sees_the_text() -> None:
    tokenizer = bert()
    size = tokenizer.get_vocab_size()
    assert tokenizer.add_tokens(["<new>", AddedToken("ing", single_word=True), "hello"]) == 3
    assert tokenizer.get_vocab_size() == size + 2 and tokenizer.token_to_id("<new>") == size
    assert tokenizer.add_tokens(["<new>"]) == 0
    assert tokenizer.encode("<new>running ing", add_special_tokens=False).tokens == [
        "<new>",
        "run",
        "##n",
        "##ing",
        "ing",
    ]
    tokenizer.add_special_tokens([AddedToken("<m>", lstrip=True, rstrip=True)])
    encoding = tokenizer.encode("you <m> you", add_special_tokens=False)
    assert encoding.tokens == ["you", " <m> ", "you"] and encoding.offsets == [(0, 3), (3, 8), (8, 11)]
    assert tokenizer.decode(encoding.ids) == "you you"
    assert tokenizer.decode(encoding.ids, skip_special_tokens=False) == "you <m> you"
    tokenizer.encode_special_tokens = True
    assert "<m>" not in tokenizer.encode("you <m> you").tokens
    assert tokenizer.get_added_tokens_decoder()[size].content == "<new>"


def test_an_added_token_may_be_matched_in_the_normalized_text() -> None:
    tokenizer = bert()
    tokenizer.add_tokens([AddedToken("Yesterday", normalized=True), AddedToken("Today", normalized=False)])
    tokens = tokenizer.encode("yésterday today Today", add_special_tokens=False).tokens
    assert tokens[0] == "yesterday" and tokens[-1] == "Today" and tokens[1] == "[UNK]"


def test_bytes_survive_the_byte_level() -> None:
    tokenizer = byte_level()
    text = "hello world\n\n  the café 中文 \u200d🤗\x00"
    encoding = tokenizer.encode(text)
    assert tokenizer.decode(encoding.ids) == text
    assert encoding.tokens[:3] == ["hello", "Ġw", "or"]
    assert byte_level(add_prefix_space=True).encode("the").tokens == ["Ġthe"]


def test_bytes_stand_in_for_unknown_characters() -> None:
    tokenizer = sentencepiece()
    encoding = tokenizer.encode("hello the 中", add_special_tokens=False)
    assert encoding.tokens == ["▁hello", "▁the", "▁", "<0xE4>", "<0xB8>", "<0xAD>"]
    assert encoding.offsets[-3:] == [(10, 11)] * 3
    assert tokenizer.decode(encoding.ids) == "hello the 中"
    assert tokenizer.decode(encoding.ids[:-1]) == "hello the \ufffd\ufffd"


def test_a_stream_holds_text_back_until_it_is_whole() -> None:
    tokenizer = sentencepiece()
    stream = decoders.DecodeStream(skip_special_tokens=True)
    steps = [stream.step(tokenizer, id) for id in tokenizer.encode("hello 中").ids]
    assert steps == [None, "hello", " ", None, None, "中"]
    fresh = copy.deepcopy(stream)
    assert fresh.step(tokenizer, tokenizer.encode("the", add_special_tokens=False).ids) == " the"


@pytest.mark.parametrize("name", ALL)
def test_a_tokenizer_survives_its_file_and_pickle(name: str, tmp_path: Path) -> None:
    tokenizer = ALL[name]()
    tokenizer.enable_truncation(9, strategy="only_first")
    tokenizer.enable_padding(length=7, pad_id=1)
    text = "hello the cat's running, é 中"
    ids = tokenizer.encode(text).ids
    for pretty in (True, False):
        tokenizer.save(tmp_path / "tokenizer.json", pretty=pretty)
        assert [path.name for path in tmp_path.iterdir()] == ["tokenizer.json"]
        again = Tokenizer.from_file(tmp_path / "tokenizer.json")
        assert again.encode(text).ids == ids and again.to_str() == tokenizer.to_str()
        assert again.truncation == tokenizer.truncation and again.padding == tokenizer.padding
    for again in (
        pickle.loads(pickle.dumps(tokenizer)),
        copy.deepcopy(tokenizer),
        Tokenizer.from_str(tokenizer.to_str(True)),
    ):
        assert again.encode(text).ids == ids
        assert again.__fingerprint__() == tokenizer.__fingerprint__()
    again.add_tokens(["zzz"])
    assert again.__fingerprint__() != tokenizer.__fingerprint__()


def test_an_encoding_can_be_pickled_padded_cut_and_merged() -> None:
    encoding = bert().encode("hello world", "you")
    again = pickle.loads(pickle.dumps(encoding))
    assert (again.ids, again.tokens, again.offsets, again.sequence_ids) == (
        encoding.ids,
        encoding.tokens,
        encoding.offsets,
        encoding.sequence_ids,
    )
    again.truncate(2)
    assert again.tokens == ["[CLS]", "hello"] and again.overflowing[0].tokens == ["world", "[SEP]"]
    again.pad(3, pad_id=9, pad_token="<p>")
    assert again.ids[-1] == 9 and again.tokens[-1] == "<p>"
    merged = Encoding.merge([bert().encode("hello", add_special_tokens=False)] * 2)
    assert merged.offsets == [(0, 5), (5, 10)]


def test_components_changed_in_place_take_effect() -> None:
    tokenizer = byte_level()
    assert tokenizer.encode("the").tokens == ["t", "he"]
    tokenizer.pre_tokenizer.add_prefix_space = True
    assert tokenizer.encode("the").tokens == ["Ġthe"]
    assert json.loads(tokenizer.to_str())["pre_tokenizer"]["add_prefix_space"] is True
    tokenizer.model.unk_token = "h"
    assert json.loads(tokenizer.to_str())["model"]["unk_token"] == "h"
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.normalizer[1] = normalizers.Replace("t", "l")
    assert tokenizer.encode("tt").tokens == ["Ġ", "ll"]
    tokenizer.normalizer = None
    assert tokenizer.normalizer is None


def test_a_model_set_later_is_used() -> None:
    tokenizer = bert()
    tokenizer.model = models.WordLevel({"hello": 7, "?": 8}, unk_token="?")
    assert tokenizer.encode("hello there", add_special_tokens=False).ids == [7, 8]


def test_models_save_their_own_files(tmp_path: Path) -> None:
    (path,) = bert().model.save(str(tmp_path))
    assert models.WordPiece.from_file(path).token_to_id("cat") == bert().token_to_id("cat")
    vocab, merges = byte_level().model.save(str(tmp_path), "mine")
    assert Path(merges).name == "mine-merges.txt"
    assert [t.value for t in models.BPE.from_file(vocab, merges).tokenize("hello")] == ["hello"]


def test_async_calls_give_the_same() -> None:
    async def both() -> tuple[list[int], list[str]]:
        tokenizer = bert()
        encodings = await tokenizer.async_encode_batch(["hello"])
        return encodings[0].ids, await tokenizer.async_decode_batch([encodings[0].ids])

    assert asyncio.run(both()) == (bert().encode("hello").ids, ["hello"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "Model missing"),
        ("{", "unexpected end of JSON at line 1"),
        ('{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a b"]}}', "`b` out of vocabulary"),
        ('{"model": {"type": "Magic"}}', 'unknown model type "Magic"'),
        (
            '{"model": {"type": "WordLevel", "vocab": {}, "unk_token": "?"}, "normalizer": {"type": "Nope"}}',
            'unknown normalizer type "Nope"',
        ),
        ('{"model": {"type": "WordLevel", "vocab": {"\\ud800": 1}}}', "lone surrogate"),
    ],
)
def test_a_file_that_cannot_be_read_is_explained(text: str, message: str) -> None:
    with pytest.raises(TokenizerError, match="cannot read this tokenizer") as caught:
        Tokenizer.from_str(text)
    assert message in str(caught.value)


def test_what_is_not_known_is_named() -> None:
    with pytest.raises(ValueError, match="without its \\) at character 3"):
        pre_tokenizers.Split(Regex("abc(d"), "removed")
    with pytest.raises(TypeError, match="did you mean 'unk_token'"):
        models.WordPiece({}, unk_tokn="x")
    with pytest.raises(RuntimeError, match=r"Missing \[UNK\]"):
        Tokenizer(models.WordPiece({"a": 0})).encode("b")


def test_older_names_of_arguments_are_understood() -> None:
    for processing in (processors.BertProcessing, processors.RobertaProcessing):
        assert repr(processing(("s", 1), cls=("c", 2))) == repr(processing(("s", 1), cls_token=("c", 2)))
        with pytest.raises(TypeError, match="'cls' is its older name"):
            processing(("s", 1), cls_token=("c", 2), cls=("c", 2))
    tokenizer = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    tokenizer.enable_padding(max_length=3)
    assert tokenizer.encode("a").ids == [0, 0, 0]


def test_words_are_forgotten_and_counted_when_the_model_is_told_to() -> None:
    vocab = {character: id for id, character in enumerate("abcdefghijklmnopqrstuvwxyz")} | {"ab": 26, "cd": 27}
    tokenizer = Tokenizer(models.BPE(vocab, [("a", "b"), ("c", "d")], cache_capacity=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    texts = ["abcd xyz abcd", "q" * 40, "ab " * 30]
    expected = tokenizer.encode_arrow(texts)["input_ids"].tolist()
    for capacity in (1, 3, 1000, 10**9, 0):
        tokenizer.model._resize_cache(capacity)
        assert [tokenizer.encode_arrow(texts)["input_ids"].tolist() for _ in range(2)] == [expected] * 2
    tokenizer.model._clear_cache()
    assert tokenizer.encode_arrow(texts)["input_ids"].tolist() == expected
    with pytest.raises(TypeError):
        tokenizer.model._resize_cache(-1)
