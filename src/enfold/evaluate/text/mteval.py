"""The tokenization of the mteval-v13a script, which BLEU scores are reported with."""

from __future__ import annotations

import re

__all__ = ["tokenize_13a"]

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
    text = text.replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    if "&" in text:
        for entity, character in ENTITIES:
            text = text.replace(entity, character)
    text = f" {text} "
    for pattern, replacement in RULES:
        text = pattern.sub(replacement, text)
    return text.split()
