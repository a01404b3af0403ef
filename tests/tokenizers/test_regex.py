"""The regular expression engine: what patterns mean, how errors read, and that nothing hostile takes long."""

from __future__ import annotations

import pickle
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enfold.tokenizers import Regex
from enfold.tokenizers.normalizers import Replace
from enfold.tokenizers.pre_tokenizers import CharDelimiterSplit, FixedLength, Metaspace, Split

ROOT = Path(__file__).resolve().parents[2]


def found(pattern: str, text: str) -> list[str]:
    """What a pattern matches, empty matches left out."""
    spans = [span for _, span in Split(Regex(pattern), "removed", invert=True).pre_tokenize_str(text)]
    return [text[begin:end] for begin, end in spans]


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        (r"a|ab", "ab", ["a"]),
        (r"(?:a|ab)c", "abc", ["abc"]),
        (r"(?>a|ab)c", "abc ac", ["ac"]),
        (r"a{2,3}?", "aaaaa", ["aa", "aa"]),
        (r"a{,2}b", "aaab", ["aab"]),
        (r"a{3}+", "aaaaaaa", ["aaaaaa"]),
        (r"a{2,1}a|c", "aac", ["c"]),  # {2,1} is {1,2} that never gives back
        (r"a*+a", "aaa", []),
        (r"x{a}{", "x{a}{", ["x{a}{"]),
        (r"[]a]+|[^]a]", "a]b", ["a]", "b"]),
        (r"[a-z&&[^aeiou]]+", "hello", ["h", "ll"]),
        (r"[[:digit:][:^ascii:]]+", "a1é中b", ["1é中"]),
        (r"\p{Han}+|\p{^Han}", "a中文", ["a", "中文"]),
        (r"\P{^Greek}+", "aαβ", ["αβ"]),
        (r"(?i)straße", "STRASSE strasse Straẞe", ["STRASSE", "strasse", "Straẞe"]),
        (r"(?i)k", "K\u212a", ["K", "\u212a"]),
        (r"a(?i)b|c", "aB aC ac", ["aB", "aC", "ac"]),  # to the end of the group, branches and all
        (r"(?m:a.)b", "a\nb", ["a\nb"]),
        (r"(?x) a b # c", "ab", ["ab"]),
        (r"^b|a$", "a\nb", ["a", "b"]),
        (r"a\Z|\Aa", "ab\na\n", ["a", "a"]),
        (r"\bа\b|\B!", "а! !", ["а", "!"]),
        (r"(?<=a|bc)d", "ad bcd cd", ["d", "d"]),
        (r"(?<=a.*)c", "a-c c", ["c", "c"]),
        (r"(?<!\p{L})\d", "a1 2", ["2"]),
        (r"(?=.*b)a|(?!a)b", "aab", ["a", "a", "b"]),
        (r"(\w)\1", "aabc", ["aa"]),
        (r"/\*(?~\*/)\*/", "/* a */ b /**/", ["/* a */", "/**/"]),
        (r"(a)?(?(1)b|c)", "ab c b", ["ab", "c"]),
        (r"(?(a)b|c)", "ab b c", ["ab", "c"]),
        (r"x(*FAIL)|y", "xy", ["y"]),
        (r"\X", "e\u0301a\r\n", ["e\u0301", "a", "\r\n"]),
        (r".\y", "e\u0301a", ["\u0301", "a"]),
        (r"(?i)(a)\1", "aA", ["aA"]),
        (r"(?<q>['\"]).*?\k<q>", "'a\"b'c'", ["'a\"b'"]),
        (r"(?:(a)|b)*\1", "aba", ["aba"]),
        (r"a\Kb", "ab", ["b"]),
        (r"\R", "\r\n\u2028", ["\r\n", "\u2028"]),
        (r"\x41\x{1F600}\u0042\103\t", "A😀BC\t", ["A😀BC\t"]),
        (r"(?:ab){600,}c", "ab" * 700 + "c", ["ab" * 700 + "c"]),
    ],
)
def test_a_pattern_means_what_oniguruma_says(pattern: str, text: str, matches: list[str]) -> None:
    if pattern in (r"a|ab", r"a\Z|\Aa", r"(?=.*b)a|(?!a)b", r"a{2,3}?", r"(?<=a.*)c"):
        # Matches side by side are one piece between the others: look at them alone.
        spans = Split(Regex(pattern), "isolated").pre_tokenize_str(text)
        assert [word for word, _ in spans if word in matches] == matches
    else:
        assert found(pattern, text) == matches


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("ab(c", r"a \( without its \) at character 2"),
        ("é)", r"a \) without its \( at character 1"),
        ("a[b", r"has no \] at character 1"),
        ("[]", "an empty character class at character 0"),
        ("*a", "nothing stands before the repeat operator at character 0"),
        ("a|+", "before the repeat operator at character 2"),
        ("[b-a]", "a range of characters that is empty at character 2"),
        (r"\p{Hann}", r'no character property "Hann" \(did you mean "hano"|did you mean "han'),
        ("[[:foo:]]", r"no POSIX bracket \[:foo:\]"),
        (r"\2(a)", "there is no group 2 at character 0"),
        (r"\k<x>", 'there is no group named "x"'),
        ("(?<>a)", "name of a group is empty"),
        ("(?zz)", "an unknown kind of group at character 0"),
        ("\\", "the pattern ends at an escape"),
        ("a{100001}", "a repeat count is larger than 100000"),
        (r"\x{110000}", "beyond 10FFFF"),
        (r"(?~|a)", "absent stoppers"),
        (r"(*COUNT)a", r"callout \(\*COUNT\) is not supported"),
        (r"(?{x})a", "callouts"),
        (r"(?y{w})\X", "text segments"),
        (r"(?(1)a)", "there is no group 1"),
        (r"(a)\g<1>", "calls of groups"),
    ],
)
def test_an_error_names_the_place(pattern: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Regex(pattern)


HOSTILE = [
    (r"(x+x+)+y", "x" * 100_000),
    (r"(a*)*b", "a" * 100_000),
    (r"(a|aa)+$", "a" * 100_000 + "b"),
    (r"x*y", "x" * 100_000),
    (r"x*+y", "x" * 100_000),
    (r"(.*)(.*)(.*)(.*)(.*)z", "a" * 20_000),
    (r"(?:(?:(?:a?){30}){30}){30}b", "a" * 500),
    (r"(?:a|b|ab)*?(?:a|b|ab)*?c", "ab" * 20_000),
    (r"(?<=a.*)b", "ab" * 5_000),
    (r"(a+)+\1b", "a" * 200),
    (r"(?:(?:a{1,1000}){1,1000}){1,1000}b", "a" * 2_000),
    (r"(?=(a+)+b)a", "a" * 2_000),
    (r"(?:(?:){100000}){100000}", "a" * 100),
    (r"(?:\b|a*?)*\Bb", "a " * 10_000),
    (r"\s*[\r\n]+|\s+(?!\S)|\s+", " " * 200_000),
    (r"(?:a|a)*" * 20 + "b", "a" * 5_000),
    (r"\Xb", "a" + "\u0301" * 100_000),
    (r"(?:\y|\Y)b", "a" + "\u0301" * 50_000),
    (r"(?~ab)c", "a" * 100_000),
    (r"(?~|b|a*)c", "a" * 20_000),
    (r"(a)?(?:(?(1)a|b))*c", "a" * 20_000),
]


@pytest.mark.parametrize(("pattern", "text"), HOSTILE, ids=[pattern[:30] for pattern, _ in HOSTILE])
def test_a_hostile_pattern_ends_soon(pattern: str, text: str) -> None:
    split = Split(Regex(pattern), "isolated")
    start = time.process_time()
    try:
        words = split.pre_tokenize_str(text)
        assert "".join(word for word, _ in words) == text
    except RuntimeError as error:
        assert "takes too many steps" in str(error) or "needs too much memory" in str(error)
    assert time.process_time() - start < 8


@pytest.mark.parametrize(
    "pattern",
    [
        "(" * 100_000 + ")" * 100_000,
        "(?:" * 100_000,
        "(?i)" * 100_000 + "a",
        "[" * 100_000 + "a" + "]" * 100_000,
        "a" + "{2}" * 100_000,
        "(?:ab){100000}" * 1000,
        "(((a{1000}){1000}){1000}){1000}",
        "(?=" * 4000 + "a" + ")" * 4000,
        "(?:a|b" * 4000 + ")*" * 4000,
        "|" * 100_000,
        "a|" * 100_000 + "b",
        "(?<=" * 3000 + "a" + ")" * 3000,
        "[" + "".join(map(chr, range(0x9FFF, 0x4E00, -2))) + "]",
    ],
    ids=lambda pattern: pattern[:12],
)
def test_a_deep_or_large_pattern_is_matched_or_refused(pattern: str) -> None:
    start = time.process_time()
    try:
        words = Split(Regex(pattern), "isolated").pre_tokenize_str("aab" * 100)
        assert "".join(word for word, _ in words) == "aab" * 100
    except (ValueError, RuntimeError) as error:
        assert "regular expression" in str(error)
    assert time.process_time() - start < 8


# What Python's re and Oniguruma say alike.
BARE = ["(?=a)", "(?!b)", r"\b"]  # nothing that could be repeated
ATOMS = st.sampled_from(["a", "b", "ab", "[ab]", "[^a]", ".", r"\w", r"\s", "(?:a|b)", "(?:ab|a)", *BARE])
PIECES = st.tuples(ATOMS, st.sampled_from(["", "", "*", "+", "?", "*?", "+?", "{1,2}"])).map(
    lambda made: made[0] if made[0] in BARE else "".join(made)
)
PATTERNS = st.lists(st.lists(PIECES, min_size=1, max_size=4).map("".join), min_size=1, max_size=3).map("|".join)


@settings(max_examples=400, deadline=None)
@given(PATTERNS, st.text("ab \n", max_size=12))
def test_what_matches_first_is_what_pythons_re_finds(pattern: str, text: str) -> None:
    hit = re.search(pattern, text)
    ours = Replace(Regex(pattern), "<>").normalize_str(text)
    if not text:
        assert ours == ""
    elif hit is None:
        assert ours == text
    else:
        assert ours.startswith(text[: hit.start()] + "<>")
        if hit.end() > hit.start():
            assert ours.endswith("<>") or text.endswith(ours.rsplit("<>", 1)[1])


def test_replacing_keeps_what_lies_between() -> None:
    assert Replace(Regex(r"\s{2,}"), " ").normalize_str("a  b \n c") == "a b c"
    assert Replace(Regex(""), "-").normalize_str("ab") == "-a-b-"


def test_settings_are_checked_when_they_change() -> None:
    split = Split("a", "removed")
    split.pattern = Regex("[ab]")
    assert [word for word, _ in split.pre_tokenize_str("xaybz")] == ["x", "y", "z"]
    assert split.pattern.pattern == "[ab]"
    assert pickle.loads(pickle.dumps(split)) == split
    with pytest.raises(ValueError, match="length 1"):
        CharDelimiterSplit("a").delimiter = "ab"
    with pytest.raises(ValueError, match="unknown variant"):
        Metaspace().prepend_scheme = "sometimes"
    with pytest.raises(ValueError, match="at least 1"):
        FixedLength().length = 0
    with pytest.raises(ValueError, match="SplitDelimiterBehavior"):
        split.behavior = "kept"


@pytest.mark.slow
def test_the_fuzz_corpus_breaks_nothing() -> None:
    if not shutil.which("clang++"):
        pytest.skip("clang++ is not installed")
    subprocess.run([sys.executable, ROOT / "tools" / "fuzz.py", "regex", "--replay"], check=True)
