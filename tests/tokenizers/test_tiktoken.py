"""Rank files of tiktoken and tekken files."""

from __future__ import annotations

import base64
import json

import pytest

from enfold.tokenizers.tiktoken import PATTERNS, BadRanks, from_tekken, from_tiktoken, merges_of, read_ranks

RANKS = {bytes([byte]): byte for byte in range(256)} | {b"ab": 256, b"abc": 257, b"bc": 258, b" a": 259}


def lines(ranks: dict[bytes, int]) -> bytes:
    return b"".join(base64.b64encode(token) + b" %d\n" % rank for token, rank in ranks.items())


def test_ranks_survive_the_file() -> None:
    assert read_ranks(lines(RANKS)) == RANKS


def test_every_cut_is_a_merge_in_the_order_of_ranks() -> None:
    assert merges_of(RANKS) == [(b"a", b"b"), (b"a", b"bc"), (b"ab", b"c"), (b"b", b"c"), (b" ", b"a")]


@pytest.mark.parametrize("pattern", sorted(PATTERNS))
def test_known_patterns_and_special_tokens(pattern: str) -> None:
    tokenizer = from_tiktoken(lines(RANKS), pattern, {"<|end|>": 300})
    assert tokenizer.encode("abc a<|end|>\u00e9").ids == [257, 259, 300, 0xC3, 0xA9]
    assert tokenizer.decode([257, 259, 300, 0xC3, 0xA9], skip_special_tokens=False) == "abc a<|end|>\u00e9"


def test_special_tokens_without_ids_follow_the_last_rank() -> None:
    tokenizer = from_tiktoken(RANKS, special_tokens=["<|a|>", "<|b|>"])
    assert [tokenizer.token_to_id(token) for token in ("<|a|>", "<|b|>")] == [260, 261]


def test_tekken_puts_special_tokens_first() -> None:
    vocab = [{"rank": rank, "token_bytes": base64.b64encode(token).decode()} for token, rank in RANKS.items()]
    config = {"default_vocab_size": 270, "default_num_special_tokens": 10, "pattern": PATTERNS["cl100k_base"]}
    named = [{"rank": 0, "token_str": "<unk>"}, {"rank": 1, "token_str": "<s>"}]
    tokenizer = from_tekken(json.dumps({"config": config, "vocab": vocab, "special_tokens": named}).encode())
    assert tokenizer.encode("<s>abc").ids == [1, 267]
    assert tokenizer.id_to_token(9) == "<SPECIAL_9>"


@pytest.mark.parametrize("data", [b"", b"YQ==\n", b"YQ== x\n", b"!!! 1\n", b"YQ== -1\n", b"\xff\xfe\x00"])
def test_what_is_no_rank_file_gives_one_clear_error(data: bytes) -> None:
    with pytest.raises(BadRanks):
        from_tiktoken(data)


def test_a_missing_byte_is_named() -> None:
    with pytest.raises(BadRanks, match="0x41"):
        from_tiktoken({token: rank for token, rank in RANKS.items() if token != b"A"})


@pytest.mark.parametrize("data", [b"[]", b"{}", b"not json", b'{"config": {}, "vocab": 3}'])
def test_what_is_no_tekken_file_gives_one_clear_error(data: bytes) -> None:
    with pytest.raises(BadRanks):
        from_tekken(data)


def test_an_unknown_encoding_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="cl100k_base"):
        from_tiktoken(RANKS, "cl100k_bose")
