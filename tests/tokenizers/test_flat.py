"""Words cut 64 bytes at a time and looked up many at once are the words, and give the tokens, of the plain way."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enfold import _native
from enfold.tokenizers import Regex, Tokenizer
from enfold.tokenizers.decoders import ByteLevel as ByteLevelDecoder
from enfold.tokenizers.models import BPE, WordLevel
from enfold.tokenizers.normalizers import NFC
from enfold.tokenizers.pre_tokenizers import ByteLevel, Sequence, Split, WhitespaceSplit

_SHORT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_SLASH = _REST.replace(r"[\r\n]*", r"[\r\n/]*", 1)
_SMALL = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
_LARGE = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
PATTERNS = {
    "gpt2": r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    "cl100k": _SHORT + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|" + _REST,
    "qwen2": _SHORT + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|" + _REST,
    "o200k": f"{_SMALL}{_SHORT}?|{_LARGE}{_SHORT}?|" + r"\p{N}{1,3}|" + _SLASH,
    "tekken": f"{_SMALL}|{_LARGE}|" + r"\p{N}|" + _SLASH,
    "digits": "digits",
}
ALPHABET = "aabestmdvrlLSTxXYZ''''    \n\n\r\t//..,(0123456789" + "\u00e9\u4e2d\u3000\u017f\u0301\u00b2\u01c5\x1c\x85"
ALPHABET += "\u4e2d\u6587\u306e\u30ab\u30fb\ud55c\u4dc0\u3001\u300c\uff0c\uff11\uff21\u2019\u2014\u2028"
RUNS = [
    "    ",
    "\n\n",
    "\n    ",
    " \n",
    "'s",
    "'ll",
    "'RE",
    "//",
    ".\n/",
    "1234567",
    "Word",
    "HTTPServer",
    " (",
    "\u4e2d\u6587",
]


def texts(count: int, seed: int) -> list[str]:
    """Strings of what the patterns care about, from nothing to some hundred bytes, ASCII alone every other time."""
    random.seed(seed)
    made = []
    for index in range(count):
        parts = [random.choice(ALPHABET) if random.random() < 0.7 else random.choice(RUNS) for _ in range(index % 200)]
        if index % 2:
            parts = [part for part in parts if part.isascii()]
        made.append("".join(parts))
    return made


def differences(count: int, seed: int) -> list[tuple[str, str]]:
    """The patterns and texts for which both ways give different words."""
    given = texts(count, seed)
    pairs = [(name, text) for name in PATTERNS for text in given]
    return [
        (name, text)
        for name, text in pairs
        if _native.word_ends(PATTERNS[name], text, True) != _native.word_ends(PATTERNS[name], text, False)
    ]


@pytest.mark.parametrize("instructions", ["portable", "avx2", "avx512"])
def test_windows_give_the_words_of_the_scanners(instructions: str) -> None:
    script = "import sys; sys.path.insert(0, sys.argv[1]); import test_flat; print(test_flat.differences(4000, 1)[:3])"
    command = [sys.executable, "-c", script, str(Path(__file__).parent)]
    done = subprocess.run(command, env={**os.environ, "ENFOLD_SIMD": instructions}, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.parametrize("name", PATTERNS)
@settings(max_examples=300, deadline=None)
@given(text=st.text(st.one_of(st.sampled_from(ALPHABET), st.characters(codec="utf-8")), max_size=200))
def test_no_text_tells_windows_from_scanners(name: str, text: str) -> None:
    ends = _native.word_ends(PATTERNS[name], text, True)
    assert ends == _native.word_ends(PATTERNS[name], text, False)
    assert text == "" or ends[-1] == len(text.encode())


def test_words_longer_than_a_window_are_one() -> None:
    for name, pattern in PATTERNS.items():
        for run in ("a" * 1000, " " * 1000, "." * 1000, "\n" * 1000, "\u4e2d" * 300):
            assert _native.word_ends(pattern, run, True) == _native.word_ends(pattern, run, False), (name, run[0])
            assert _native.word_ends(pattern, f"x {run} y", True) == _native.word_ends(pattern, f"x {run} y", False)


@pytest.mark.parametrize("context", ["a{}a", " {}\u4e2d", "\uff0c{}B"])
def test_every_character_is_cut_as_the_scanners_cut_it(context: str) -> None:
    text = "\n0,\n".join(context.format(chr(code)) for code in range(0x80, 0x1_1000) if not 0xD800 <= code < 0xE000)
    for name, pattern in PATTERNS.items():
        assert _native.word_ends(pattern, text, True) == _native.word_ends(pattern, text, False), name


def composing() -> Tokenizer:
    """A tokenizer of single bytes behind NFC and Qwen's pattern."""
    tokenizer = Tokenizer(
        BPE(vocab={token: index for index, token in enumerate(sorted(ByteLevel.alphabet()))}, merges=[])
    )
    tokenizer.normalizer = NFC()
    cut = Split(Regex(PATTERNS["qwen2"]), "isolated")
    tokenizer.pre_tokenizer = Sequence([cut, ByteLevel(add_prefix_space=False, use_regex=False)])
    return tokenizer


def test_every_character_is_composed_where_it_stands() -> None:
    tokenizer = composing()
    tokenizer.decoder = ByteLevelDecoder()
    words = [f"e{chr(code)}\u0301 a" for code in range(0x80, 0x1_1000) if not 0xD800 <= code < 0xE000]
    made = tokenizer.decode_batch(tokenizer.encode_arrow(words)["input_ids"])
    assert made == [tokenizer.normalizer.normalize_str(word) for word in words]


@settings(max_examples=300, deadline=None)
@given(
    text=st.text(
        st.sampled_from("ae \u00e9\u0301\u0323\u0344\u1112\u1161\u11ab\ud558\u09c7\u09be\u212b\u4e2d"), max_size=20
    )
)
def test_parts_are_composed_as_the_whole_is(text: str) -> None:
    tokenizer = composing()
    assert tokenizer.encode_arrow([text])["input_ids"].tolist() == [tokenizer.encode(text).ids]


def naive_pack(rows: list[list[int]], length: int, separator: int | None, keep: bool) -> tuple[list[Any], list[Any]]:
    """Packing by its definition."""
    joined = [(i, id_) for row in rows for i, id_ in enumerate([*row, *([] if separator is None else [separator])])]
    packed, positions = [], []
    for begin in range(0, len(joined), length):
        piece = joined[begin : begin + length]
        if len(piece) < length and not keep:
            break
        packed.append([id_ for _, id_ in piece])
        starts: list[int] = []
        for i, _ in piece:
            starts.append(0 if i == 0 or not starts else starts[-1] + 1)
        positions.append(starts)
    return packed, positions


@settings(max_examples=100, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 9), max_size=9),
    length=st.integers(1, 12),
    separator=st.none() | st.just(3),
    keep=st.booleans(),
)
def test_packing_joins_documents_and_restarts_positions(
    lengths: list[int], length: int, separator: int | None, keep: bool
) -> None:
    tokenizer = Tokenizer(WordLevel({"a": 0, "b": 1, "?": 2}, unk_token="?"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    column = tokenizer.encode_arrow([" ".join("ab"[i % 2] for i in range(n)) for n in lengths])["input_ids"]
    made = column.pack(length, separator=separator, keep_remainder=keep)
    expected = naive_pack(column.tolist(), length, separator, keep)
    assert (made["input_ids"].tolist(), made["position_ids"].tolist()) == expected
    assert list(tokenizer.count_tokens([" ".join("a" * n) for n in lengths])) == lengths


def test_rows_of_no_length_are_refused() -> None:
    with pytest.raises(ValueError, match="length must be at least 1"):
        Tokenizer(WordLevel({"a": 0}, unk_token="a")).encode_arrow(["a"])["input_ids"].pack(0)


def test_bytes_without_a_token_are_passed_over() -> None:
    visible = sorted(set(ByteLevel.alphabet()) - {"b"})
    vocab = {token: index for index, token in enumerate([*visible, "ac"])}
    tokenizer = Tokenizer(BPE(vocab=vocab, merges=[("a", "c")]))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    ids = tokenizer.encode_arrow(["abc", "b", "ab" * 30 + "c"])["input_ids"].tolist()
    assert ids == [tokenizer.encode(text).ids for text in ("abc", "b", "ab" * 30 + "c")]
    assert ids[:2] == [[vocab["ac"]], []]
