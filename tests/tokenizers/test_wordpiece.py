"""WordPiece to flat ids: the fast way gives what the plain one gives, whatever the text and the options."""

from __future__ import annotations

import itertools
import os
import random
import subprocess
import sys

import pytest

import real_vocabularies
from enfold.tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from parity.wordpiece_cases import PARTS

OPTIONS = list(itertools.product([True, False], repeat=4))


def bert(cased: bool = False) -> Tokenizer:
    tokenizer = Tokenizer.from_file(real_vocabularies.folder("bert") / "tokenizer.json")
    tokenizer.no_truncation()
    tokenizer.no_padding()
    if cased:
        vocab = tokenizer.get_vocab()
        for word in [word for word in vocab if word.isalpha() and word.isascii()]:
            vocab.setdefault(word.capitalize(), len(vocab))
        for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZÉéÜü":
            vocab.setdefault(letter, len(vocab))
            vocab.setdefault("##" + letter, len(vocab))
        tokenizer.model = models.WordPiece(vocab, unk_token="[UNK]")
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    return tokenizer


def same(tokenizer: Tokenizer, texts: list[str]) -> None:
    flat = tokenizer.encode_arrow(texts)["input_ids"].tolist()
    plain = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
    wrong = [text for text, a, b in zip(texts, flat, plain, strict=True) if a != b]
    assert not wrong, ascii(wrong[0])


@pytest.mark.parametrize("cased", [False, True], ids=["uncased", "cased"])
def test_random_texts_give_the_ids_of_the_plain_way(cased: bool) -> None:
    rng = random.Random(7)
    texts = ["".join(rng.choices(PARTS, k=rng.choice([1, 2, 3, 8, 30]))) for _ in range(3000)]
    texts += ["".join(rng.choices(PARTS, k=2000)) for _ in range(4)]
    same(bert(cased), texts)


@pytest.mark.parametrize("clean,chinese,strip,lower", OPTIONS)
def test_every_mix_of_options(clean: bool, chinese: bool, strip: bool, lower: bool) -> None:
    rng = random.Random(8)
    tokenizer = bert()
    tokenizer.normalizer = normalizers.BertNormalizer(clean, chinese, strip, lower)
    same(tokenizer, ["".join(rng.choices(PARTS, k=12)) for _ in range(400)])


def test_every_character_inside_and_between_words() -> None:
    codes = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    codes = codes[:0xF800] + codes[0xF800:0x32000:7] + codes[0x32000::997]
    texts = []
    for begin in range(0, len(codes), 40):
        part = [chr(code) for code in codes[begin : begin + 40]]
        texts.append(" ".join(f"go{c}ing the{c} {c}end 中{c}文" for c in part))
        texts.append("".join(part))
    same(bert(), texts)


@pytest.mark.parametrize("size", [1, 15, 16, 17, 63, 64, 65, 2046, 2047, 2048, 2049, 4100])
def test_words_across_the_borders_of_blocks_and_windows(size: int) -> None:
    texts = [
        fill * size + tail for fill in " a.中é" for tail in ("", "playing", " the", "éa", "\u0301", "!", "w" * 101)
    ]
    same(bert(), texts)


def test_a_limit_keeps_the_first_ids() -> None:
    tokenizer = bert()
    texts = ["中文" * 40, "the cat sat. " * 300, "unaffable!" * 50, "é" * 300, "a"]
    whole = [encoding.ids for encoding in tokenizer.encode_batch(texts, add_special_tokens=False)]
    for limit in (1, 2, 3, 17, 128):
        cut = tokenizer.encode_arrow(texts, add_special_tokens=False, max_length=limit)["input_ids"].tolist()
        assert cut == [ids[:limit] for ids in whole]


def test_short_limits_of_word_length_and_other_prefixes() -> None:
    vocab = {token: id for id, token in enumerate(["[UNK]", "a", "ab", "abc", "c", "-c", "-ab", "d", "-de", ".", "中"])}
    for options in (
        {"max_input_chars_per_word": 3},
        {"continuing_subword_prefix": "-"},
        {"continuing_subword_prefix": ""},
    ):
        tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]", **options))
        tokenizer.normalizer = normalizers.BertNormalizer()
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        same(tokenizer, ["abc abcd ab ade abcc. ac! 中中", "abcabcabc", "dddd", "xyz"])


def test_a_missing_unknown_token_is_an_error_both_ways() -> None:
    tokenizer = Tokenizer(models.WordPiece({"a": 0}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    assert tokenizer.encode_arrow(["a a"])["input_ids"].tolist() == [[0, 0]]
    with pytest.raises(Exception, match=r"UNK"):
        tokenizer.encode_arrow(["a b"])


def test_the_widths_of_the_instructions_agree() -> None:
    script = """
import random, sys
sys.path.insert(0, sys.argv[1])
from tokenizers_builders import bert
rng = random.Random(3)
parts = [*"aZ09 \\t\\n.,'_@[`{/:", "hello", "WORLD", "中", "é", "\\x00", "\\x7f"]
texts = ["".join(rng.choices(parts, k=300)) for _ in range(200)]
print(bert().encode_arrow(texts)["input_ids"].tolist())
"""
    here = os.path.dirname(__file__)
    made = [
        subprocess.run(
            [sys.executable, "-c", script, here],
            env={**os.environ, "ENFOLD_SIMD": width},
            capture_output=True,
            check=True,
        ).stdout
        for width in ("portable", "avx2", "avx512")
    ]
    assert made[0] and made[0] == made[1] == made[2]
