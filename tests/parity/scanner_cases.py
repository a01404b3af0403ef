"""Texts whose words by the known patterns are compared with the peer's."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tokenizers"))

CONTEXTS = ["{}", "a{}b", " {} ", "A{}a", "1{}'s", "\n{}\n", ".{}/", "'{}"]


def code_points(every: bool) -> list[str]:
    """Code points in several contexts with a wall between them: `every` one, or those of the first planes' scripts."""
    made = []
    codes = range(0x110000) if every else [*range(0x3100), *range(0x3100, 0x110000, 61)]
    wanted = [chr(code) for code in codes if not 0xD800 <= code < 0xE000]
    for context in CONTEXTS if every else CONTEXTS[:4]:
        pieces = [context.format(character) for character in wanted]
        made += ["\n0,\n".join(pieces[i : i + 1024]) for i in range(0, len(pieces), 1024)]
    return made


def digest(words: list[str]) -> str:
    """A short stand-in for a list of words."""
    import hashlib

    return hashlib.sha256("\x00".join(words).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def theirs(library: Any, pattern: str, texts: list[str]) -> list[str]:
    """Digests of the peer's words, one a text."""
    pre = library.pre_tokenizers
    if pattern == "digits":
        cut = pre.Sequence([pre.Digits(individual_digits=True), pre.ByteLevel(add_prefix_space=False)])
        offsets = [[end for _, (_, end) in cut.pre_tokenize_str(text)] for text in texts]
        made = []
        for text, ends in zip(texts, offsets, strict=True):
            made.append(digest([text[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]))
        return made
    cut = pre.Split(library.Regex(pattern), "isolated")
    return [digest([word for word, _ in cut.pre_tokenize_str(text)]) for text in texts]


def ours(native: Any, pattern: str, texts: list[str]) -> list[str]:
    """The same of ours."""
    made = []
    for text in texts:
        data = text.encode()
        ends = native.word_ends(pattern, text, True)
        made.append(digest([data[begin:end].decode() for begin, end in zip([0, *ends], ends, strict=False)]))
    return made
