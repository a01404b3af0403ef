"""Patterns and texts for the parity test of pre-tokenizers; imported by our side and by the peer's alike."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from typing import Any

BEHAVIORS = ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]

LETTERS_O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
)
HAN = r"\p{Han}"
LETTERS_KIMI = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
)
REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CL100K = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{%s}|" + REST

# What well-known models cut with.
MODELS = {
    "gpt2, whisper, starcoder, olmo, gpt-neox": (
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    ),
    "cl100k, llama3": CL100K % "1,3",
    "cl100k, as tiktoken has it": (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]"
        r"|\s+(?!\S)|\s"
    ),
    "qwen2": CL100K.replace("{%s}", ""),
    "unknown to the scanners": CL100K % "1,4",
    "o200k": LETTERS_O200K + r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "tekken": (
        LETTERS_O200K.replace("(?i:'s|'t|'re|'ve|'m|'ll|'d)?", "")
        + r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    ),
    "kimi": HAN + "+|" + LETTERS_KIMI + r"|\p{N}{1,3}|" + REST,
    "deepseek-v3, numbers": r"\p{N}{1,3}",
    "deepseek-v3, east asian": r"[一-龥぀-ゟ゠-ヿ]+",
    "deepseek-v3, words": (
        r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
        r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    ),
    "bloom": r" ?[^(\s|[.,!?…。，、।۔،])]+",
    "falcon": r"[0-9][0-9][0-9]",
    "clip": r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+",
}

PATTERNS = [
    *MODELS.values(),
    r"(?i)straße|ss|ﬆ",
    r"(?i)[^a-zß]+k",
    r"\b\w+\b",
    r"^.+$|\R",
    r"(?m:a.b)|.",
    r"(?<=[ab])\s|(?<!\p{L})\p{N}",
    r"(?<=a|bc|)[abc]",
    r"(\w)\1",
    r"(?<x>[ab])(?:\k<x>|c)*+",
    r"(?>a|ab)c|ab?",
    r"a*?b|[[:upper:]&&[^A]]+?",
    r"(?:a|b|ab)*?c|\d{2,}?|\h{,3}",
    r"(?x) a \s* # comment",
    r"[^[:^alnum:]_]{2}",
    r"\p{^Latin}+",
    r"[\p{Hiragana}\p{Katakana}ー]+",
    r"(?=\S)|x",
    r"",
    r"a|",
    r"\s*",
    r"\Gab?|\Z",
    r"a\Kb|\Ac",
    r"(?:a?b??){2,3}",
    r"((a)|b)+\2?",
    r"(?~ab)|c",
    r"[(](?~[)])[)]|a(?~|b|\w*)",
    r"(?~|bc|(?:a|\S)+?)c",
    r"(a)?(?(1)b|c)",
    r"(?<x>[ab])?(?(<x>)(?(a)a|b)|\s)",
    r"(a)?(?(1))|(?(-1)b)",
    r"(?(\d)\d|\p{L}|$)",
    r"a(*FAIL)|b(*MISMATCH)|c",
    r"\X",
    r"\w\X|\X{2}x",
    r"\y\p{L}+|\Y.",
]

# Classes whose every member is compared.
CLASSES = [
    *(rf"\p{{{name}}}" for name in "L Lu Ll Lt Lm Lo M Mn Mc Me N Nd Nl No P Pc Pd Ps Pe Pi Pf Po".split()),
    *(rf"\p{{{name}}}" for name in "S Sm Sc Sk So Z Zs Zl Zp C Cc Cf Cn Co Han Hiragana Katakana Latin Greek".split()),
    *(
        rf"\p{{{name}}}"
        for name in "Cyrillic Arabic Hebrew Thai Hangul Devanagari Alphabetic White_Space Emoji".split()
    ),
    *(rf"[[:{name}:]]" for name in "alnum alpha ascii blank cntrl digit graph lower print punct space upper".split()),
    *(rf"[[:{name}:]]" for name in "word xdigit".split()),
    *[r"\d", r"\D", r"\s", r"\S", r"\w", r"\W", r"\h", r".", r"\N", r"\O", r"\R"],
    *[r"(?i)[a-z]", r"(?i)[^k]", r"(?i)ſ", r"(?i)σ", r"[^\p{L}\p{N}\s]", r"[\p{L}&&[^\p{Han}]]", r"\P{^L}"],
    *[r"(?W)\w", r"(?D)\d", r"(?S)\s", r"(?P)[[:alpha:]]"],
]

WORDS = (
    "the Of I'll we'VE don't DON'T 'S naïve café straße STRASSE ΑΒΓς ὀδυσσεύς Привет 中文分词 "
    "日本語テキスト りんごー ア 한국어 العربية مرحبا हिन्दी ไทย 😀 👩‍👩‍👧 🇩🇪 \u00a0 \u2028 \u3000 ﬁ ﬆ ① ½ "
    "x² 1234567 3.14 foo_bar <|endoftext|> a\u0301 \u0301 \u200d \ufeff \x00 \x07 \x7f "
    "\x85 \ufffd ▁ Ġ \t \n \r\n \n\n ' '' `` -- ... ?! #$% (a) {b} [c] \\ / ~ ^ | 𝔘𝔫𝔦 𐍈 "
    "abcab aab baca ababc xaxb"
).split(" ")
BLOCKS = [(32, 126), (0, 0x2FF), (0x300, 0x36F), (0x370, 0x1FFF), (0x2000, 0x33FF), (0x3400, 0xD7FF), (0xE000, 0xFFFF)]
BLOCKS += [(0x10000, 0x1FFFF), (0x20000, 0x10FFFF)]


def texts(count: int, seed: int) -> list[str]:
    """Words of many scripts, random code points, and short alphabets that meet every rule."""
    draw = random.Random(seed)
    made = ["", " ", "  ", "\n", "a", " a", "a ", "\na\n"]
    while len(made) < count:
        kind = draw.random()
        if kind < 0.5:
            gaps = [" ", " ", "", "\n", "  ", " \n"]
            made.append("".join(draw.choice(WORDS) + draw.choice(gaps) for _ in range(draw.randint(1, 12))))
        elif kind < 0.7:
            made.append("".join(chr(draw.randint(*draw.choice(BLOCKS))) for _ in range(draw.randint(1, 20))))
        else:
            made.append("".join(draw.choice("abcABC's d1 \n.é中ß") for _ in range(draw.randint(1, 30))))
    return made


def pre_tokenizers(package: Any) -> dict[str, Any]:
    """Every pre-tokenizer in every setting."""
    p = package.pre_tokenizers
    made = {
        "BertPreTokenizer": p.BertPreTokenizer(),
        "ByteLevel": p.ByteLevel(add_prefix_space=False),
        "ByteLevel, prefix": p.ByteLevel(),
        "ByteLevel, whole": p.ByteLevel(use_regex=False),
        "CharDelimiterSplit": p.CharDelimiterSplit("a"),
        "Digits": p.Digits(),
        "Digits, single": p.Digits(individual_digits=True),
        "FixedLength": p.FixedLength(3),
        "Metaspace": p.Metaspace(),
        "Metaspace, first": p.Metaspace("_", "first", False),
        "Metaspace, never": p.Metaspace("_", "never"),
        "Sequence": p.Sequence([p.WhitespaceSplit(), p.Punctuation("merged_with_next"), p.Digits()]),
        "UnicodeScripts": p.UnicodeScripts(),
        "Whitespace": p.Whitespace(),
        "WhitespaceSplit": p.WhitespaceSplit(),
    }
    for behavior in BEHAVIORS:
        made[f"Punctuation {behavior}"] = p.Punctuation(behavior)
        for pattern in ("", "ab", "\n", "中"):
            for invert in (False, True):
                made[f"Split {pattern!r} {behavior} {invert}"] = p.Split(pattern, behavior, invert)
    return made


def digest(value: Any) -> int:
    """Small enough to send thousands of; differences are then looked at one by one."""
    return zlib.crc32(repr(value).encode("utf-8", "surrogatepass"))


def patterns(package: Any, count: int, seed: int = 1) -> Iterator[tuple[str, list[int]]]:
    """Every pattern with every behavior, both ways around, on random texts."""
    given = texts(count, seed)
    for pattern in PATTERNS:
        regex = package.Regex(pattern)
        for behavior in BEHAVIORS:
            for invert in (False, True):
                split = package.pre_tokenizers.Split(regex, behavior, invert)
                yield (
                    f"{pattern} {behavior} {invert}",
                    [digest([(word, tuple(span)) for word, span in split.pre_tokenize_str(text)]) for text in given],
                )


def components(package: Any, count: int, seed: int = 2) -> Iterator[tuple[str, list[int]]]:
    given = texts(count, seed)
    for name, component in pre_tokenizers(package).items():
        yield name, [digest([(w, tuple(s)) for w, s in component.pre_tokenize_str(text)]) for text in given]


def replacements(package: Any, count: int, seed: int = 3) -> Iterator[tuple[str, list[Any]]]:
    """Replace as a normalizer, with the offsets that come of it, and as a decoder."""
    given = texts(count, seed)
    for pattern in PATTERNS:
        for content in ("", "_", "éx"):
            regex = package.Regex(pattern)
            tokenizer = package.Tokenizer(package.models.WordLevel({"?": 0}, unk_token="?"))
            tokenizer.normalizer = package.normalizers.Replace(regex, content)
            tokenizer.pre_tokenizer = package.pre_tokenizers.FixedLength(1)
            decoder = package.decoders.Replace(regex, content)
            rows = []
            for text in given:
                offsets = [tuple(span) for span in tokenizer.encode(text).offsets]
                rows.append(digest([tokenizer.normalizer.normalize_str(text), offsets, decoder.decode([text, text])]))
            yield f"{pattern} by {content!r}", rows


def every_code_point(first: int = 0, last: int = 0x10FFFF) -> list[str]:
    """All scalar values in order, some thousands in a text, each alone between line breaks, and pairwise with a."""
    scalars = [chr(code) for code in range(first, last + 1) if not 0xD800 <= code <= 0xDFFF]
    made = []
    for start in range(0, len(scalars), 4096):
        part = scalars[start : start + 4096]
        made += ["".join(part), "a".join(part)]
    return made


def code_points(package: Any, last: int) -> Iterator[tuple[str, list[int]]]:
    given = every_code_point(0, last)
    for name, component in pre_tokenizers(package).items():
        if not name.startswith("Split") and "single" not in name:
            yield name, [digest([(w, tuple(s)) for w, s in component.pre_tokenize_str(text)]) for text in given]
    whole = every_code_point(0, last)[::2]
    for pattern in CLASSES:
        split = package.pre_tokenizers.Split(package.Regex(f"(?:{pattern})+"), "removed")
        yield pattern, [digest([tuple(span) for _, span in split.pre_tokenize_str(text)]) for text in whole]
