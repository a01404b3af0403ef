"""Write native/text/unicode_data.inc: every character class and mapping that the tokenizers need.

The ecosystem's tokenizers mix several Unicode versions (one per library they are built on), so no single edition of
the Unicode data files gives the same answers. The tables are therefore measured: each of the 1,112,064 scalar values is
shown to `tokenizers` 0.23.3, component by component, and the answers are written down.

Run it in an environment that has tokenizers==0.23.3::

    python native/text/make_tables.py > native/text/unicode_data.inc
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable

from tokenizers import NormalizedString, Regex, normalizers, pre_tokenizers

FLAGS = (
    "kLetter",  # \p{L}
    "kNumber",  # \p{N}
    "kSpace",  # \s of the regex engine behind Split and ByteLevel
    "kWhite",  # White_Space, as used by Bert, Strip and WhitespaceSplit
    "kPunct",  # punctuation, as used by Bert and Punctuation
    "kNumeric",  # numeric, as used by Digits
    "kWord",  # \w of Whitespace and of added tokens
    "kMarkNonspacing",  # removed by BertNormalizer(strip_accents)
    "kMark",  # removed by StripAccents
    "kOther",  # removed by BertNormalizer(clean_text)
    "kUpper",  # \p{Lu}
    "kLower",  # \p{Ll}
    "kTitle",  # \p{Lt}
    "kModifier",  # \p{Lm}
    "kOtherLetter",  # \p{Lo}
    "kAnyMark",  # \p{M}
)
BLOCK = 128
SCALARS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]


def removed(component: object) -> Callable[[str], bool]:
    """A class test: does splitting on the class remove the character altogether?"""
    return lambda char: not component.pre_tokenize_str(char)  # type: ignore[attr-defined]


def regex(pattern: str) -> Callable[[str], bool]:
    return removed(pre_tokenizers.Split(Regex(pattern), "removed"))


def splits(component: object) -> Callable[[str], bool]:
    """A class test: is the character cut away from the letters around it?"""
    return lambda char: len(component.pre_tokenize_str("a" + char + "a")) == 3  # type: ignore[attr-defined]


def dropped(component: object) -> Callable[[str], bool]:
    return lambda char: component.normalize_str("a" + char + "a") == "aa"  # type: ignore[attr-defined]


def flags() -> list[int]:
    bert = normalizers.BertNormalizer(clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False)
    clean = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=False
    )
    word = pre_tokenizers.Whitespace()
    tests: list[Callable[[str], bool]] = [
        regex(r"\p{L}"),
        regex(r"\p{N}"),
        regex(r"\s"),
        removed(pre_tokenizers.WhitespaceSplit()),
        splits(pre_tokenizers.Punctuation()),
        splits(pre_tokenizers.Digits()),
        lambda char: len(word.pre_tokenize_str("a" + char)) == 1 and bool(word.pre_tokenize_str(char)),
        dropped(bert),
        dropped(normalizers.StripAccents()),
        dropped(clean),
        regex(r"\p{Lu}"),
        regex(r"\p{Ll}"),
        regex(r"\p{Lt}"),
        regex(r"\p{Lm}"),
        regex(r"\p{Lo}"),
        regex(r"\p{M}"),
    ]
    found = [0] * 0x110000
    for code in SCALARS:
        char = chr(code)
        found[code] = sum(1 << bit for bit, test in enumerate(tests) if test(char))
    return found


def two_stage(values: list[int]) -> tuple[list[int], list[int]]:
    index: list[int] = []
    blocks: dict[tuple[int, ...], int] = {}
    for start in range(0, len(values), BLOCK):
        block = tuple(values[start : start + BLOCK])
        index.append(blocks.setdefault(block, len(blocks)))
    return index, [value for block in blocks for value in block]


def mapping(normalizer: object) -> dict[int, str]:
    """Every character that the normalizer changes, Hangul syllables aside (they are arithmetic)."""
    found = {}
    for code in SCALARS:
        result = normalizer.normalize_str(chr(code))  # type: ignore[attr-defined]
        if result != chr(code) and not 0xAC00 <= code < 0xAC00 + 11172:
            found[code] = result
    return found


def uppercase() -> dict[int, str]:
    """Every character that NormalizedString.uppercase changes; no normalizer does it."""
    found = {}
    for code in SCALARS:
        text = NormalizedString(chr(code))
        text.uppercase()
        if text.normalized != chr(code):
            found[code] = text.normalized
    return found


def combining() -> dict[int, int]:
    """Canonical combining classes: unicodedata's, where the measured NFD reorders the mark at all."""
    nfd = normalizers.NFD()
    found = {}
    for code in SCALARS:
        ccc = unicodedata.combining(chr(code))
        if not ccc:
            continue
        first, other = ("ͅ", chr(code)) if ccc < 240 else (chr(code), "̴")
        if nfd.normalize_str("a" + first + other) == "a" + other + first:
            found[code] = ccc
        else:
            print(f"no class: U+{code:04X} ({ccc})", file=sys.stderr)
    return found


def compositions(decomposed: dict[int, str]) -> list[tuple[int, int, int]]:
    nfc = normalizers.NFC()
    found = []
    for code, full in decomposed.items():
        # One step: the longest composed prefix and the last character.
        head, last = nfc.normalize_str(full[:-1]), full[-1]
        if len(full) > 1 and len(head) == 1 and nfc.normalize_str(full) == chr(code):
            found.append((ord(head), ord(last), code))
    return sorted(found)


def emit(name: str, kind: str, values: list[int]) -> None:
    print(f"inline constexpr {kind} {name}[] = {{")
    line = ""
    for value in values:
        text = f"{value},"
        if len(line) + len(text) > 118:
            print(line)
            line = ""
        line += text
    print(line + "};")


def emit_mapping(name: str, table: dict[int, str]) -> None:
    pool: list[int] = []
    starts = []
    for code in sorted(table):
        starts.append(len(pool))
        pool.extend(map(ord, table[code]))
    starts.append(len(pool))
    emit(f"{name}From", "uint32_t", sorted(table))
    emit(f"{name}Start", "uint16_t", starts)
    emit(f"{name}Pool", "uint32_t", pool)


def scripts() -> list[tuple[int, int]]:
    """The scripts of UnicodeScripts as (first code point, number) of each run; 0 is one that goes with every other.

    Two characters have the same script when the pre-tokenizer leaves them together, and one has script 0 when nothing
    is left of it alone. What the peer counts as Han (kana, the prolonged sound mark) has one number here too.
    """
    split = pre_tokenizers.UnicodeScripts()
    bound = [code for code in SCALARS if split.pre_tokenize_str(chr(code))]
    numbers: dict[int, int] = {}
    firsts: list[str] = []  # one character of each script
    for _, (begin, end) in split.pre_tokenize_str("".join(map(chr, bound))):
        char = chr(bound[begin])
        same = [n for n, first in enumerate(firsts) if len(split.pre_tokenize_str(first + char)) == 1]
        if not same:
            firsts.append(char)
        number = same[0] + 1 if same else len(firsts)
        numbers.update((code, number) for code in bound[begin:end])
    runs: list[tuple[int, int]] = []
    for code in range(0x110000):
        number = numbers.get(code, 0)
        if not runs or runs[-1][1] != number:
            runs.append((code, number))
    return runs


def main() -> None:
    print("// Written by make_tables.py. Do not edit.")
    for bit, name in enumerate(FLAGS):
        print(f"inline constexpr uint16_t {name} = {1 << bit};")
    index, data = two_stage(flags())
    assert max(index) < 65536
    emit("flagIndex", "uint8_t" if max(index) < 256 else "uint16_t", index)
    emit("flagData", "uint16_t", data)
    decomposed = mapping(normalizers.NFD())
    emit_mapping("canonical", decomposed)
    emit_mapping("compatible", mapping(normalizers.NFKD()))
    emit_mapping("lower", mapping(normalizers.Lowercase()))
    emit_mapping("upper", uppercase())
    classes = combining()
    emit("classFrom", "uint32_t", sorted(classes))
    emit("classValue", "uint8_t", [classes[code] for code in sorted(classes)])
    runs = scripts()
    emit("scriptFrom", "uint32_t", [code for code, _ in runs])
    emit("scriptNumber", "uint8_t", [number for _, number in runs])
    pairs = compositions(decomposed)
    emit("pairFirst", "uint32_t", [first for first, _, _ in pairs])
    emit("pairSecond", "uint32_t", [second for _, second, _ in pairs])
    emit("pairComposed", "uint32_t", [composed for _, _, composed in pairs])


main()
