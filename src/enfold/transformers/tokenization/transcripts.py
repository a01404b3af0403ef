"""Normalizing transcripts before they are compared, as Whisper's word error rates are measured.

Method: Radford et al. 2022, "Robust Speech Recognition via Large-Scale Weak Supervision", appendix C.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from fractions import Fraction

__all__ = ["BasicTextNormalizer", "EnglishNumberNormalizer", "EnglishSpellingNormalizer", "EnglishTextNormalizer"]

# letters with marks that do not come apart when they are decomposed
_WHOLE = dict(zip("œŒøØæÆßẞđĐðÐþÞłŁ", "oe OE o O ae AE ss SS d D d D th th l L".split(), strict=True))


def _letters(text: str, keep: str = "") -> str:
    """Return a text without marks, its symbols and punctuation as spaces."""

    def one(char: str) -> str:
        if char in keep:
            return char
        if char in _WHOLE:
            return _WHOLE[char]
        category = unicodedata.category(char)
        return "" if category == "Mn" else " " if category[0] in "MSP" else char

    return "".join(map(one, unicodedata.normalize("NFKD", text)))


def _symbols(text: str) -> str:
    """Return a text with its symbols, punctuation and loose marks as spaces."""
    return "".join(
        " " if unicodedata.category(char)[0] in "MSP" else char for char in unicodedata.normalize("NFKC", text)
    )


class BasicTextNormalizer:
    """Lower case, without what is in brackets, without punctuation; for any language.

    Args:
        remove_diacritics: remove marks as well.
        split_letters: put spaces between letters, for languages written without spaces.

    Example:
        >>> BasicTextNormalizer(remove_diacritics=True)("Café [noise], (hm) OK!")
        'cafe ok '
    """

    def __init__(self, remove_diacritics: bool = False, split_letters: bool = False) -> None:
        self._clean = _letters if remove_diacritics else _symbols
        self._split = split_letters

    def __call__(self, text: str) -> str:
        """Return the text, normalized."""
        text = re.sub(r"[<\[][^>\]]*[>\]]", "", text.lower())
        text = self._clean(re.sub(r"\(([^)]+?)\)", "", text)).lower()
        if self._split:
            text = " ".join(_clusters(text))
        return re.sub(r"\s+", " ", text)


def _clusters(text: str) -> list[str]:
    found: list[str] = []
    for char in text:
        if found and unicodedata.category(char)[0] == "M":
            found[-1] += char
        else:
            found.append(char)
    return found


class EnglishSpellingNormalizer:
    """Replaces words by their American spelling.

    Args:
        english_spelling_mapping: word → spelling, as in normalizer.json.
    """

    def __init__(self, english_spelling_mapping: Mapping[str, str]) -> None:
        self.mapping = english_spelling_mapping

    def __call__(self, text: str) -> str:
        """Return the text, respelled."""
        return " ".join(self.mapping.get(word, word) for word in text.split())


_ONES = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
_ONES_VALUES = {word: value for value, word in enumerate((_ONES + " eighteen nineteen").split(), 1)}
_ORDINALS = {"zeroth": "0th", "first": "1st", "second": "2nd", "third": "3rd", "fifth": "5th", "twelfth": "12th"} | {
    word + ("h" if word.endswith("t") else "th"): f"{value}th"
    for word, value in _ONES_VALUES.items()
    if value > 3 and value not in (5, 9, 12)
}
_ORDINALS["ninth"] = "9th"
_TENS = {
    word: 10 * value for value, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)
}
_SCALES = {"hundred": 100, "thousand": 10**3} | {
    word: 1000 ** (power + 2)
    for power, word in enumerate(
        "million billion trillion quadrillion quintillion sextillion septillion octillion nonillion decillion".split()
    )
}
_CURRENCIES = {"dollar": "$", "euro": "€", "pound": "£", "cent": "¢"}
_SIGNS = {"minus": "-", "negative": "-", "plus": "+", "positive": "+"}


class EnglishNumberNormalizer:
    """Writes spelled-out numbers in digits: "twenty five dollars" → "$25", "one oh one" → "101", "nineties" → "90s".

    Example:
        >>> EnglishNumberNormalizer()("two hundred and six point five percent")
        '206.5%'
    """

    def __call__(self, text: str) -> str:
        """Return the text with its numbers in digits."""
        text = _halves(text)
        words = text.split()
        out: list[str] = []
        at = 0
        while at < len(words):
            made, used = self._number(words, at)
            if used:
                out.append(made)
                at += used
            else:
                out.append(words[at])
                at += 1
        text = " ".join(out)
        # "$2 and ¢7" → "$2.07"; "¢" alone is written after; "1 / 4" of a whole stays as it is
        text = re.sub(r"([€£$])([0-9]+) (?:and )?¢([0-9]{1,2})\b", lambda m: f"{m[1]}{m[2]}.{int(m[3]):02d}", text)
        text = re.sub(r"[€£$]0\.([0-9]{1,2})\b", lambda m: f"¢{int(m[1])}", text)
        return re.sub(r"\b1(s?)\b", r"one\1", text)

    def _number(self, words: list[str], start: int) -> tuple[str, int]:
        """Return the number that begins at a word, written out, and how many words it takes (0: none)."""
        at, sign = start, ""
        if words[at] in _SIGNS and at + 1 < len(words) and _begins(words[at + 1]):
            sign, at = _SIGNS[words[at]], at + 1
        prefix, value, suffix, end = self._value(words, at)
        if end == at:
            return "", 0
        if end < len(words):
            unit = words[end].removesuffix("s")
            if unit in _CURRENCIES and not suffix:
                prefix, end = _CURRENCIES[unit], end + 1
            elif words[end] in ("percent", "percents"):
                suffix, end = suffix + "%", end + 1
            elif words[end] == "per" and words[end + 1 : end + 2] == ["cent"]:
                suffix, end = suffix + "%", end + 2
        return f"{prefix}{sign}{value}{suffix}", end - start

    def _value(self, words: list[str], at: int) -> tuple[str, str, str, int]:
        """Return currency, digits, ending of the number from a word on, and the place after it."""
        prefix = digits = ""
        total: int | Fraction = 0  # what is complete, up to the last thousand
        group: int | Fraction | None = None  # what is being said
        last = 0  # size of the last part that was said: what follows must be smaller to add up
        begin = at
        while at < len(words):
            word = words[at]
            plain = re.fullmatch(r"([€£$¢]?)(\d+(?:\.\d+)?)(%?)", word)
            if plain and not digits:
                if group is not None:
                    break
                number = Fraction(plain[2])
                prefix = plain[1]
                after = words[at + 1] if at + 1 < len(words) else ""
                if plain[3] or after not in _SCALES:
                    return prefix, plain[2], plain[3], at + 1
                group, last = number, 1
            elif word in ("zero", "oh", "o") or word in _ONES_VALUES or word in _TENS:
                if word in ("oh", "o") and group is None and not digits and not _begins_digits(words, at):
                    break
                value = 0 if word in ("zero", "oh", "o") else _ONES_VALUES.get(word) or _TENS[word]
                size = 1 if value < 10 else 10 if value in _TENS.values() else 11
                if digits:
                    if group and last == 10 and 0 < value < 10:
                        digits = digits[:-1] + str(value)
                    else:
                        digits += str(value)
                    group, last = value, size
                elif group is None:
                    group, last = value, size
                    if value == 0:
                        digits = "0"
                elif last == 10 and 0 < value < 10:
                    group, last = group + value, 1
                elif last >= 100 and value:
                    group, last = group + value, size
                else:
                    # numbers said one after another are written one after another: "nineteen ninety" → 1990
                    digits, group, last = _text(total + group) + str(value), value, size
                    total = 0
            elif word in _SCALES and (group is not None or total) and not digits:
                scale = _SCALES[word]
                if group is None:
                    break
                if scale == 100:
                    group = group * 100
                else:
                    total, group = total + group * scale, 0
                last = scale
            elif word in _SCALES and group is None and not digits:
                return "", str(_SCALES[word]), "", at + 1
            elif word == "and" and last >= 100 and at + 1 < len(words) and _begins(words[at + 1]):
                pass
            elif word == "point" and at + 1 < len(words) and _begins(words[at + 1]) and group is not None:
                decimals, end = self._decimals(words, at + 1)
                whole = digits or _text(total + group)
                return prefix, f"{whole}.{decimals}", "", end
            elif (
                word in ("double", "triple") and at + 1 < len(words) and words[at + 1] in {"zero", "oh", *_ONES_VALUES}
            ):
                value = _ONES_VALUES.get(words[at + 1], 0)
                if value > 9:
                    break
                digits = (digits or (_text(total + group) if group is not None else "")) + str(value) * (
                    2 if word == "double" else 3
                )
                group, last, total = value, 1, 0
                at += 1
            else:
                ending = _ordinal(word)
                if ending is None:
                    break
                value, suffix = ending
                if group is None or digits:
                    if digits:
                        break
                    return "", str(value), suffix, at + 1
                if value >= 100:
                    return prefix, _text(total + group * value), suffix, at + 1
                if last > value or last >= 100:
                    return prefix, _text(total + group + value), suffix, at + 1
                break
            at += 1
        if at == begin:
            return "", "", "", begin
        return prefix, digits or _text(total + (group or 0)), "", at

    @staticmethod
    def _decimals(words: list[str], at: int) -> tuple[str, int]:
        digits = ""
        while at < len(words):
            word = words[at]
            if word in ("zero", "oh", "o"):
                digits += "0"
            elif word in _ONES_VALUES:
                digits += str(_ONES_VALUES[word])
            elif word in _TENS:
                following = _ONES_VALUES.get(words[at + 1], 10) if at + 1 < len(words) else 10
                digits += str(_TENS[word] + (following if following < 10 else 0))
                at += following < 10
            elif word.isdigit():
                digits += word
            else:
                break
            at += 1
        return digits, at


def _halves(text: str) -> str:
    """Write "and a half" as "point five", unless another noun is halved."""
    parts = re.split(r"\band\s+a\s+half\b", text)
    made = parts[0]
    for part in parts[1:]:
        words = made.rsplit(maxsplit=1)
        number = bool(words) and (words[-1] in _SCALES or _begins(words[-1]))
        made += ("point five" if number else "and a half") + part
    return re.sub(r"([a-z])([0-9])", r"\1 \2", re.sub(r"([0-9])([a-z])", _apart, made))


def _apart(match: re.Match[str]) -> str:
    rest = match.string[match.end(1) :]
    return match[0] if re.match(r"(st|nd|rd|th|s)\b", rest) else f"{match[1]} {match[2]}"


def _begins(word: str) -> bool:
    return word in _ONES_VALUES or word in _TENS or word in ("zero", "oh", "o") or word[:1].isdigit()


def _begins_digits(words: list[str], at: int) -> bool:
    return at + 1 < len(words) and words[at + 1] in _ONES_VALUES


def _ordinal(word: str) -> tuple[int, str] | None:
    """Return value and ending of "third", "twentieth", "nineties", "hundreds"; None for other words."""
    if word in _ORDINALS:
        found = re.match(r"(\d+)(\w+)", _ORDINALS[word])
        assert found
        return int(found[1]), found[2]
    for table in (_TENS, _SCALES):
        for name, value in table.items():
            if word == (name[:-1] + "ieth" if name.endswith("y") else name + "th"):
                return value, "th"
            if word == (name[:-1] + "ies" if name.endswith("y") else name + "s"):
                return value, "s"
    for name, value in _ONES_VALUES.items():
        if word == name + ("es" if name == "six" else "s"):
            return value, "s"
    return None


def _text(value: int | Fraction) -> str:
    return str(value) if isinstance(value, int) or value.denominator != 1 else str(value.numerator)


_CONTRACTIONS = {
    r"\bwon't\b": "will not",
    r"\bcan't\b": "can not",
    r"\blet's\b": "let us",
    r"\bain't\b": "aint",
    r"\by'all\b": "you all",
    r"\bwanna\b": "want to",
    r"\bgotta\b": "got to",
    r"\bgonna\b": "going to",
    r"\bi'ma\b": "i am going to",
    r"\bimma\b": "i am going to",
    r"\bwoulda\b": "would have",
    r"\bcoulda\b": "could have",
    r"\bshoulda\b": "should have",
    r"\bma'am\b": "madam",
    r"\bmr\b": "mister ",
    r"\bmrs\b": "missus ",
    r"\bst\b": "saint ",
    r"\bdr\b": "doctor ",
    r"\bprof\b": "professor ",
    r"\bcapt\b": "captain ",
    r"\bgov\b": "governor ",
    r"\bald\b": "alderman ",
    r"\bgen\b": "general ",
    r"\bsen\b": "senator ",
    r"\brep\b": "representative ",
    r"\bpres\b": "president ",
    r"\brev\b": "reverend ",
    r"\bhon\b": "honorable ",
    r"\basst\b": "assistant ",
    r"\bassoc\b": "associate ",
    r"\blt\b": "lieutenant ",
    r"\bcol\b": "colonel ",
    r"\bjr\b": "junior ",
    r"\bsr\b": "senior ",
    r"\besq\b": "esquire ",
    r"'d been\b": " had been",
    r"'s been\b": " has been",
    r"'d gone\b": " had gone",
    r"'s gone\b": " has gone",
    r"'d done\b": " had done",
    r"'s got\b": " has got",
    r"n't\b": " not",
    r"'re\b": " are",
    r"'s\b": " is",
    r"'d\b": " would",
    r"'ll\b": " will",
    r"'t\b": " not",
    r"'ve\b": " have",
    r"'m\b": " am",
}


class EnglishTextNormalizer:
    """Lower case, no punctuation, contractions in full, numbers in digits, American spelling.

    Args:
        english_spelling_mapping: word → spelling, as in normalizer.json.

    Example:
        >>> EnglishTextNormalizer({"colour": "color"})("Mr. Brown's [cough] colour, um, isn't red!")
        'mister brown is color is not red'
    """

    def __init__(self, english_spelling_mapping: Mapping[str, str]) -> None:
        self.standardize_numbers = EnglishNumberNormalizer()
        self.standardize_spellings = EnglishSpellingNormalizer(english_spelling_mapping)

    def __call__(self, text: str) -> str:
        """Return the text, normalized."""
        text = re.sub(r"[<\[][^>\]]*[>\]]", "", text.lower())
        text = re.sub(r"\(([^)]+?)\)", "", text)
        text = re.sub(r"\b(hmm|mm|mhm|mmm|uh|um)\b", "", text)
        text = re.sub(r"\s+'", "'", text)
        for pattern, full in _CONTRACTIONS.items():
            text = re.sub(pattern, full, text)
        text = re.sub(r"(\d),(\d)", r"\1\2", text)
        text = re.sub(r"\.([^0-9]|$)", r" \1", text)
        text = _letters(text, keep=".%$¢€£")
        text = self.standardize_spellings(self.standardize_numbers(text))
        # signs that are not part of a number
        text = re.sub(r"[.$¢€£]([^0-9])", r" \1", text)
        text = re.sub(r"([^0-9])%", r"\1 ", text)
        return re.sub(r"\s+", " ", text).strip()
