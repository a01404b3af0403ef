r"""Write native/text/grapheme_data.inc: the classes that decide where one grapheme cluster ends and the next begins.

The rules are those of Unicode Standard Annex 29; the classes are measured, as in make_tables.py, so that they are of
the Unicode version that `tokenizers` 0.23.3 has inside. Its Precompiled normalizer looks clusters of fewer than six
bytes up as a whole and takes the shortest key that they begin with: a small map that knows one character then shows by
what it swallows where a cluster ended.

Run it in an environment that has tokenizers==0.23.3::

    python native/text/make_graphemes.py > native/text/grapheme_data.inc
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from tokenizers import normalizers

NAMES = "Other CR LF Control Extend ZWJ Regional Prepend SpacingMark L V T LV LVT".split()
PICTOGRAPH, CONSONANT, LINKER, CONJOINS = 16, 32, 64, 128
BLOCK = 128
SCALARS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]


def charsmap(key: str) -> bytes:
    """A map that turns ``key`` into "b": a double array with a block of 256 units for every node."""
    path = key.encode()
    units = [0] * (256 * (len(path) + 2))
    place = 0
    units[0] = 256 << 10
    for depth, byte in enumerate(path):
        place = 256 * (depth + 1) ^ byte
        last = depth + 1 == len(path)
        units[place] = (place ^ (256 * (depth + 2))) << 10 | byte | (256 if last else 0)
    units[256 * (len(path) + 1)] = 1 << 31
    return struct.pack(f"<I{len(units)}I", 4 * len(units), *units) + b"b\0"


def joined(before: str, after: str) -> Callable[[int], bool]:
    """Does the character between the two texts hang together with ``after``?

    ``after`` is a character and a combining mark. Alone they are one short cluster, which becomes "b"; as the end of a
    longer cluster the mark stays.
    """
    run = normalizers.Precompiled(charsmap(after[0])).normalize_str

    def test(code: int) -> bool:
        return run(before + chr(code) + after).endswith("b" + after[1])

    return test


def measure() -> list[int]:
    extends = normalizers.Precompiled(charsmap("a")).normalize_str
    control = normalizers.Precompiled(charsmap("\u0301")).normalize_str
    prepend = joined("", "\u00a2\u0301")
    before_l, before_v, before_t = joined("", "\u1100\u0301"), joined("", "\u1161\u0301"), joined("", "\u11a8\u0301")
    found = [0] * 0x110000
    pictograph = normalizers.Precompiled(charsmap("\u00a9")).normalize_str
    conjunct = normalizers.Precompiled(charsmap("\u0915")).normalize_str
    known = {0x0D: "CR", 0x0A: "LF", 0x200D: "ZWJ"} | dict.fromkeys(range(0x1F1E6, 0x1F200), "Regional")
    for code in SCALARS:
        char = chr(code)
        name = "Other"
        if code in known:
            name = known[code]
        elif 0xAC00 <= code < 0xAC00 + 11172:
            name = "LVT" if (code - 0xAC00) % 28 else "LV"
        elif control(char + "\u0301\u0302").endswith("b"):
            name = "Control"
        elif code != 0x61 and extends("a" + char) == "b":
            # A pictograph, the character and a joiner, before another pictograph: together only if it is Extend.
            whole = pictograph("\u00a9" + char + "\u200d\u00a9\u0301")
            name = "Extend" if whole.endswith("b\u0301") else "SpacingMark"
        elif prepend(code):
            name = "Prepend"
        elif before_l(code):
            name = "L"
        elif before_v(code):
            name = "V"
        elif before_t(code):
            name = "T"
        value = NAMES.index(name)
        if pictograph(char + "\u200d\u00a9\u0301").endswith("b\u0301"):
            value |= PICTOGRAPH
        # Consonant, linker, consonant stay together; the second one is the map's.
        if conjunct(char + "\u094d\u0915\u0301").endswith("b\u0301") and name == "Other":
            value |= CONSONANT
        if name in ("Extend", "ZWJ"):
            if conjunct("\u0915" + char + "\u0915\u0301").endswith("b\u0301"):
                value |= LINKER
            if conjunct("\u0915" + char + "\u094d\u0915\u0301").endswith("b\u0301"):
                value |= CONJOINS
        found[code] = value
    return found


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


def main() -> None:
    index: list[int] = []
    blocks: dict[tuple[int, ...], int] = {}
    values = measure()
    for start in range(0, len(values), BLOCK):
        index.append(blocks.setdefault(tuple(values[start : start + BLOCK]), len(blocks)))
    print("// Written by make_graphemes.py. Do not edit.")
    for number, name in enumerate(NAMES):
        print(f"inline constexpr uint8_t kCluster{name} = {number};")
    assert len(blocks) < 256
    emit("clusterIndex", "uint8_t", index)
    emit("clusterData", "uint8_t", [value for block in blocks for value in block])


main()
