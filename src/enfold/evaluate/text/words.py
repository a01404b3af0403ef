"""The words and symbols of English text, as the Penn Treebank and NLTK split them.

Sentence ends are found by rules: NLTK asks a trained model (punkt), whose data we do not ship. They matter in one
place only: the full stop at the end of a sentence stands alone, that of an abbreviation within does not.

Source: the Penn Treebank's conventions (R. MacIntyre), with the quotes and clitics of NLTK's word_tokenize.
"""

from __future__ import annotations

import re

__all__ = ["sentences", "words"]

ABBREVIATIONS = frozenset(
    "mr mrs ms dr prof st jr sr vs etc e.g i.e no vol fig al approx dept est inc ltd co corp gen col sgt capt rev hon "
    "gov sen rep jan feb mar apr jun jul aug sep sept oct nov dec u.s u.k a.m p.m ph.d".split()
)
END = re.compile(r"(\S*)([.?!])([\]\)}>\"'»”’]*)\s+(?=[\"'(\[«“‘]*[A-Z0-9])")

# Two words that are written as one; the second with what has to follow it.
GROWN_TOGETHER = (
    *((first, rf"{second}\b") for first, second in (
        ("can", "not"), ("d", "'ye"), ("gim|lem", "me"), ("gon", "na"), ("got", "ta"), ("more", "'n"),
    )),
    ("wan", r"na(?=\s)"),
)  # fmt: skip
BEFORE = (  # opening quotes
    (re.compile(r"([«“‘„]|[`]+)"), r" \1 "),
    (re.compile(r'^"'), "``"),
    (re.compile(r"(``)"), r" \1 "),
    (re.compile(r"([ (\[{<])(\"|'{2})"), r"\1 `` "),
    (re.compile(r"(?i)(?<!\w)(')(?!(?:re|ve|ll|m|t|s|d|n)\b)(?=\w)"), r"\1 "),
)
SYMBOLS = (
    (re.compile(r"([^.])(\.)([\])}>\"'»”’ ]*)\s*$"), r"\1 \2 \3 "),
    (re.compile(r"([:,])([^\d])"), r" \1 \2"),
    (re.compile(r"([:,])$"), r" \1 "),
    (re.compile(r"\.{2,}"), r" \g<0> "),
    (re.compile(r"[;@#$%&]"), r" \g<0> "),
    (re.compile(r"[\u2012-\u2015]"), r" \g<0> "),
    (re.compile(r"([^.])(\.)([\])}>\"']*)\s*$"), r"\1 \2\3 "),
    (re.compile(r"[?!]"), r" \g<0> "),
    (re.compile(r"([^'])' "), r"\1 ' "),
    (re.compile(r"[*]"), r" \g<0> "),
    (re.compile(r"[\]\[(){}<>]"), r" \g<0> "),
    (re.compile("--"), " -- "),
)
AFTER = (  # closing quotes and clitics
    (re.compile(r"([»”’])"), r" \1 "),
    (re.compile("''"), " '' "),
    (re.compile('"'), " '' "),
    (re.compile(r"\s+"), " "),
    (re.compile(r"([^' ])('[sS]|'[mM]|'[dD]|') "), r"\1 \2 "),
    (re.compile(r"([^' ])('ll|'LL|'re|'RE|'ve|'VE|n't|N'T) "), r"\1 \2 "),
    *((re.compile(rf"(?i)\b({first})({second})"), r" \1 \2 ") for first, second in GROWN_TOGETHER),
    (re.compile(r"(?i) ('t)(is|was)\b"), r" \1 \2 "),
)


def sentences(text: str) -> list[str]:
    """Split a text after ``.``, ``?`` and ``!`` where a capital or digit follows, but not after abbreviations.

    Example:
        >>> sentences("Dr. Who came. He left!")
        ['Dr. Who came.', 'He left!']
    """
    found, begin = [], 0
    for match in END.finditer(text):
        word = match[1].strip("([{\"'").lower()
        initial = len(word) == 1 and word.isalpha()
        if match[2] == "." and (initial or word in ABBREVIATIONS):
            continue
        found.append(text[begin : match.end()].strip())
        begin = match.end()
    rest = text[begin:].strip()
    return [*found, rest] if rest else found


def words(text: str) -> list[str]:
    """Split a text into words, clitics and symbols.

    Example:
        >>> words("They'll say it costs $3.88. Don't!")
        ['They', "'ll", 'say', 'it', 'costs', '$', '3.88', '.', 'Do', "n't", '!']
    """
    return [word for sentence in sentences(text) for word in sentence_words(sentence)]


def sentence_words(text: str) -> list[str]:
    """Split one sentence."""
    for pattern, replacement in (*BEFORE, *SYMBOLS):
        text = pattern.sub(replacement, text)
    text = f" {text} "
    for pattern, replacement in AFTER:
        text = pattern.sub(replacement, text)
    return text.split()
