"""Texts on which WordPiece is compared; both sides make them anew."""

from __future__ import annotations

import random

# What sits at the borders of the fast way (blocks of 64 bytes, windows of 2,048, words of 16 and 100 characters), and
# what a normalizer treats in ways of its own.
PARTS = [
    *"aZ09 \t\n\r.,!'[]{}-_/",
    *"the Tokenization unaffable embedding42 é Ünïcödé İstanbul ß 中 文字 ひらがな 한국어".split(),
    *"。 ’ — … нет עברית हिन्दी ภาษา ﬁ ①".split(),
    *("x" * 15, "y" * 16, "Z" * 17, "q" * 64, "w" * 100, "v" * 101, " " * 63),
    *"\u0301 \u0345 \u1e9e ǅ Å \u2126 \uf900 \ue000 \ufffd \U00020000 \U0002f800 \U000e0001 \U0001f600".split(" "),
    *("e\u0301", "\U0001f468\u200d\U0001f469", "[MASK]"),
    *"\u200b\u00ad\ufeff\x00\x0b\x7f\x85\u00a0\u2000\u3000",
]


def fuzzed(count: int) -> list[str]:
    rng = random.Random(11)
    texts = ["".join(rng.choices(PARTS, k=rng.choice([1, 2, 3, 8, 30]))) for _ in range(count)]
    return texts + ["".join(rng.choices(PARTS, k=1500)) for _ in range(5)]


def characters(step: int) -> list[str]:
    """One in ``step`` of all characters inside, before and after words, and all of the first 4,096."""
    codes = [code for code in [*range(0x1000), *range(0x1000, 0x110000, step)] if not 0xD800 <= code < 0xE000]
    texts = []
    for begin in range(0, len(codes), 40):
        part = [chr(code) for code in codes[begin : begin + 40]]
        texts += [" ".join(f"go{c}ing the{c} {c}end 中{c}文 É{c}" for c in part), "".join(part)]
    return texts
