r"""Write native/text/regex/properties.inc: the character properties and case foldings of the regular expressions.

The engine answers as Oniguruma in `tokenizers` 0.23.3 does. Which names there are is read from Perl's copy of the
Unicode names (any text with the words in it would do: names that the wheel does not know are dropped); what each name
holds is measured, all 1,112,064 scalar values per name.

Run it in an environment that has tokenizers==0.23.3, with the files that hold the names::

    python native/text/regex/make_properties.py /usr/share/perl/*/unicore/{UCD.pl,Blocks.txt} > properties.inc
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tokenizers import Regex, pre_tokenizers

SCALARS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
# A position in the text of all scalar values; surrogates are no characters of a text.
TEXT = "".join(map(chr, SCALARS))
EXTRA = "emoji emojipresentation emojimodifier emojimodifierbase emojicomponent extendedpictographic any assigned"


def ranges(pattern: str) -> tuple[tuple[int, int], ...]:
    """The code points that a class matches, as inclusive ranges."""
    found: list[tuple[int, int]] = []
    runs = pre_tokenizers.Split(Regex(pattern), "removed", invert=True).pre_tokenize_str(TEXT)
    for _, (begin, end) in runs:
        first, last = SCALARS[begin], SCALARS[end - 1]
        if first <= 0xD7FF and last >= 0xE000:
            found += [(first, 0xD7FF), (0xE000, last)]
        else:
            found.append((first, last))
    merged: list[tuple[int, int]] = []
    for first, last in found:
        # A class that goes on over the surrogates is one range.
        if merged and first in (merged[-1][1] + 1, 0xE000) and merged[-1][1] in (first - 1, 0xD7FF):
            merged[-1] = (merged[-1][0], last)
        else:
            merged.append((first, last))
    return tuple(merged)


def names(files: list[str]) -> list[str]:
    words = set(EXTRA.split())
    for file in files:
        text = Path(file).read_text(encoding="utf-8", errors="replace")
        words |= {re.sub(r"[ _-]", "", word).lower() for word in re.findall(r"[A-Za-z][A-Za-z0-9_ -]{0,60}", text)}
        words |= {
            "in" + re.sub(r"[ _-]", "", line.split(";")[1].strip()).lower()
            for line in text.splitlines()
            if re.match(r"^[0-9A-F]{4,}\.\.", line)
        }
    known = []
    for word in sorted(words):
        try:
            Regex(f"\\p{{{word}}}")
        except Exception:
            continue
        known.append(word)
    return known


def emit(kind: str, name: str, values: list[int]) -> None:
    print(f"inline constexpr {kind} {name}[] = {{")
    line = ""
    for value in values:
        text = f"{value},"
        if len(line) + len(text) > 118:
            print(line)
            line = ""
        line += text
    print(line + "};")


def varint(value: int) -> list[int]:
    made = []
    while value >= 128:
        made.append(value & 127 | 128)
        value >>= 7
    return [*made, value]


def packed(found: tuple[tuple[int, int], ...]) -> list[int]:
    made: list[int] = []
    at = 0
    for first, last in found:
        made += varint(first - at) + varint(last - first)
        at = last + 1
    return made


def foldings() -> dict[int, list[int]]:
    """For every character that has other cases: the characters that it matches when case is ignored."""
    chars = {c for c in map(chr, SCALARS) if len({c, c.lower(), c.upper(), c.casefold(), c.title()}) > 1}
    chars |= {one for c in chars for form in (c.lower(), c.upper(), c.casefold()) for one in form}
    universe = sorted(chars)
    text = "\n".join(universe)
    found = {}
    for char in universe:
        split = pre_tokenizers.Split(Regex(f"(?i)\\x{{{ord(char):x}}}"), "removed", invert=True)
        others = [ord(text[begin]) for _, (begin, end) in split.pre_tokenize_str(text) if end == begin + 1]
        if others != [ord(char)]:
            found[ord(char)] = others
    return found


def main() -> None:
    known = names(sys.argv[1:])
    sets: dict[tuple[tuple[int, int], ...], int] = {}
    table = [(name, sets.setdefault(ranges(f"\\p{{{name}}}+"), len(sets))) for name in known]
    posix = "alnum alpha ascii blank cntrl digit graph lower print punct space upper word xdigit".split()
    brackets = [(name, sets.setdefault(ranges(f"[[:{name}:]]+"), len(sets))) for name in posix]
    escapes = [(name, sets.setdefault(ranges(f"\\{name}+"), len(sets))) for name in "dhsw"]
    print("// Written by make_properties.py. Do not edit.")
    print("struct Named { const char* name; uint16_t set; };")
    for title, rows in (("propertyNames", table), ("bracketNames", brackets), ("escapeNames", escapes)):
        print(f"inline constexpr Named {title}[] = {{")
        for start in range(0, len(rows), 4):
            print("".join(f'{{"{name}",{index}}},' for name, index in rows[start : start + 4]))
        print("};")
    pool: list[int] = []
    starts = []
    for found in sets:
        starts.append(len(pool))
        pool += packed(found)
    emit("uint32_t", "setStart", [*starts, len(pool)])
    emit("uint8_t", "setPool", pool)
    folds = foldings()
    emit("uint32_t", "foldFrom", sorted(folds))
    others: list[int] = []
    at = []
    for code in sorted(folds):
        at.append(len(others))
        others += folds[code]
    emit("uint16_t", "foldStart", [*at, len(others)])
    emit("uint32_t", "foldPool", others)
    # Characters whose full case folding is several characters long (Unicode, CaseFolding.txt, status F).
    long = [(code, folded) for code in SCALARS if len(folded := chr(code).casefold()) > 1]
    emit("uint32_t", "longFrom", [code for code, _ in long])
    emit("uint32_t", "longTo", [ord(c) for _, folded in long for c in folded.ljust(3, "\0")])


main()
