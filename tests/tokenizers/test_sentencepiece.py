"""SentencePiece model files: reading them, and what damaged ones say."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import real_vocabularies
from enfold.tokenizers.sentencepiece import BYTE, CONTROL, UNKNOWN, BadModel, from_sentencepiece, merges_of, read_model


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def field(number: int, value: int | bytes | float) -> bytes:
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    return varint(number << 3) + varint(value)


def file(pieces: list[tuple[str, float, int]], trainer: bytes = b"", normalizer: bytes = b"") -> bytes:
    made = b"".join(
        field(1, field(1, text.encode()) + field(2, score) + field(3, kind)) for text, score, kind in pieces
    )
    return made + field(2, trainer) + field(3, normalizer)


WORDS = [("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL), ("▁", -3.0, 1), ("a", -2.0, 1), ("b", -2.5, 1)]
WORDS += [("▁a", -1.0, 1), ("ab", -1.5, 1)]


@pytest.mark.parametrize("algorithm", [1, 2, 3, 4])
def test_every_algorithm_makes_a_tokenizer(algorithm: int) -> None:
    tokenizer = from_sentencepiece(file(WORDS, field(3, algorithm)))
    tokens = {1: ["▁a", "b", "▁", "b"], 2: ["▁a", "b", "▁", "b"], 3: ["<unk>", "<unk>"], 4: ["▁", "a", "b", "▁", "b"]}
    assert tokenizer.encode("  ab   b ").tokens == tokens[algorithm]
    assert tokenizer.token_to_id("<s>") == 1


def test_blanks_are_kept_where_the_model_says_so() -> None:
    keep = field(3, 0) + field(4, 0)
    tokenizer = from_sentencepiece(file(WORDS, field(3, 2), keep))
    assert tokenizer.encode(" a  b").tokens == ["▁a", "▁", "▁", "b"]
    assert tokenizer.decode(tokenizer.encode(" a  b").ids) == " a  b"


def test_unknown_characters_fall_back_to_bytes() -> None:
    pieces = [*WORDS, *((f"<0x{byte:02X}>", 0.0, BYTE) for byte in range(256))]
    for algorithm in (1, 2):
        tokenizer = from_sentencepiece(file(pieces, field(3, algorithm) + field(35, 1)))
        assert tokenizer.encode("aé").tokens == ["▁a", "<0xC3>", "<0xA9>"]
        assert tokenizer.decode(tokenizer.encode("aé").ids) == "aé"


def test_the_best_score_is_joined_first_then_the_longest_left_part() -> None:
    pieces = [("a", -9.0), ("b", -9.0), ("ab", -2.0), ("aba", -1.0), ("ba", -2.0)]
    assert merges_of(pieces) == [("ab", "a"), ("a", "ba"), ("a", "b"), ("b", "a")]
    assert merges_of(pieces, frozenset(["ab"])) == [("a", "ba"), ("b", "a")]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",
        b"\xff" * 40,
        b"{}",
        field(1, b"\xff\xff\xff"),
        field(1, field(1, b"\xff")),
        field(1, 7),
        b"\x0a" + varint(1 << 62) + b"a",
        file([("a", float("nan"), 1)]),
        file([("a", 0.0, 99)]),
        file(WORDS, field(3, 77)),
        file(WORDS)[:-1] + b"\x7f",
    ],
)
def test_what_is_no_model_gives_one_clear_error(data: bytes) -> None:
    with pytest.raises(BadModel, match="is not a SentencePiece model"):
        read_model(data)


@given(st.data())
def test_damage_never_does_more_than_raise(data: st.DataObject) -> None:
    whole = bytearray(file(WORDS, field(3, 1), field(2, struct.pack("<I", 1024) + bytes(1024) + b"x\0")))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    try:
        from_sentencepiece(cut).encode("a ab é")
    except (BadModel, ValueError, RuntimeError):
        pass


def test_the_ready_made_class_reads_a_model_file(tmp_path: Path) -> None:
    from enfold.tokenizers import SentencePieceUnigramTokenizer

    file = real_vocabularies.folder("deberta-v3") / "spm.model"
    made = SentencePieceUnigramTokenizer.from_spm(file)
    assert made.encode("Hello  world").tokens == ["▁Hello", "▁world"]
    assert made.decode(made.encode("Hello world").ids) == "Hello world"
    (tmp_path / "broken.model").write_bytes(b"\x00" * 9)
    with pytest.raises(ValueError, match=r"broken\.model"):
        SentencePieceUnigramTokenizer.from_spm(tmp_path / "broken.model")
