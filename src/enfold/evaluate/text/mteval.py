"""The tokenization of the mteval-v13a script, which BLEU scores are reported with."""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["RULES", "joined_lines", "pieces_13a", "split_symbols", "tokenize_13a", "unescaped"]

ENTITIES = (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))

# The script's rules in their order: every symbol stands alone; full stop and comma do unless between digits; a dash
# does after a digit.
RULES = (
    (re.compile(r"([{-~\[-` -&(-+:-@/])"), r" \1 "),
    (re.compile(r"([^0-9])([.,])"), r"\1 \2 "),
    (re.compile(r"([.,])([^0-9])"), r" \1 \2"),
    (re.compile(r"([0-9])(-)"), r"\1 \2 "),
)


def tokenize_13a(text: str) -> list[str]:
    """Split a text into the words and symbols that BLEU counts.

    Example:
        >>> tokenize_13a("Hello, it's 3.5 &amp; more.")
        ['Hello', ',', "it's", '3.5', '&', 'more', '.']
    """
    return [piece for word in joined_lines(text).split() for piece in pieces_13a(word)]


def joined_lines(text: str) -> str:
    """Return the text in one line, without marks of skipped parts and hyphens at line ends."""
    if "\n" in text or "<skipped>" in text:
        text = text.replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    return text


@lru_cache(maxsize=1 << 16)
def pieces_13a(word: str) -> list[str]:
    """Split a word that stands between spaces."""
    # No rule looks further than one character, and white space is as good as any other that is no digit: words between
    # spaces can be split one by one, and most of them come back often.
    if word.isalnum():
        return [word]
    return split_symbols(f" {unescaped(word)} ")


def unescaped(text: str) -> str:
    """Return the text with the four characters that stand for themselves in no XML."""
    for entity, character in ENTITIES:
        text = text.replace(entity, character)
    return text


def split_symbols(text: str) -> list[str]:
    """Apply the script's rules to a text and split it at white space."""
    for pattern, replacement in RULES:
        text = pattern.sub(replacement, text)
    return text.split()
