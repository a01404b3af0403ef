"""Reading and writing tokenizer.json: what is accepted, what is said about what is not, and what it costs to import."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import real_vocabularies
from enfold.tokenizers import Tokenizer
from enfold.tokenizers.tokenizer import TokenizerError

VOCAB = {"a": 0, "b": 1, "ab": 2, "c": 3, "abc": 4, 'q"\\\n': 5, "é": 6, "\U0001f600": 7}
MERGES = [["a", "b"], ["ab", "c"]]


def bpe(**changes: Any) -> dict[str, Any]:
    return {"version": "1.0", "model": {"type": "BPE", "vocab": VOCAB, "merges": MERGES, **changes}}


def test_merges_as_pairs_and_as_texts_are_the_same() -> None:
    pairs = Tokenizer.from_str(json.dumps(bpe()))
    texts = Tokenizer.from_str(json.dumps(bpe(merges=["#version: 0.2", "a b", "ab c"])))
    assert pairs.to_str() == texts.to_str()
    assert texts.encode("abcab").ids == [4, 2]


@pytest.mark.parametrize("layout", [{}, {"indent": 3}, {"ensure_ascii": False}, {"separators": (" ,\t", " :\r\n")}])
def test_any_layout_of_the_file_gives_the_same_tokenizer(layout: dict[str, Any]) -> None:
    tokenizer = Tokenizer.from_str(json.dumps(bpe(), **layout))
    assert tokenizer.get_vocab() == VOCAB
    assert json.loads(tokenizer.to_str())["model"]["merges"] == MERGES


def test_merges_that_do_not_follow_the_order_of_ids() -> None:
    vocab = {"abc": 9, "a": 3, "ab": 0, "c": 1, "b": 7, "bc": 8}
    tokenizer = Tokenizer.from_str(json.dumps(bpe(vocab=vocab, merges=[["b", "c"], ["a", "bc"], ["a", "b"]])))
    assert tokenizer.encode("abcab").ids == [9, 0]


def test_a_token_named_twice_has_its_last_id() -> None:
    text = '{"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2,"c":3,"ab":4},"merges":[["a","b"]]}}'
    tokenizer = Tokenizer.from_str(text)
    assert tokenizer.encode("ab").ids == [4]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1 column 1"),
        ('{"model": {\n  "type": "BPE",\n  "vocab": {"a": 0, "b" 1}}}', "line 3 column 25"),
        ('{"model": {"vocab": {"a": 0', "end of JSON at line 1 column 28"),
        ('{"model": {"vocab": {"a\\x": 0}}}', "bad escape"),
        ('{"model": {"vocab": {"\\ud800": 0}}}', "lone surrogate"),
        ('{"model": {"vocab": {"a": -}}}', "bad number"),
        ('{"model": {"vocab": {"a": 0}} extra', "line 1 column 31"),
        ("[" * 100000, "nested too deeply"),
        ('{"a":' * 100000, "nested too deeply"),
    ],
)
def test_broken_json_is_refused_with_its_place(text: str, said: str) -> None:
    with pytest.raises(TokenizerError, match=said):
        Tokenizer.from_str(text)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"vocab": {"a": 1.5}}, '"a" must be a whole number'),
        ({"vocab": {"a": -1}}, "whole number"),
        ({"vocab": {"a": 10**30}}, "whole number"),
        ({"vocab": {"a": 2**31}}, "too large"),
        ({"vocab": {"a": "b"}}, "must be a number"),
        ({"vocab": ["a"]}, "must be an object"),
        ({"vocab": {"a": 0, "b": 1}, "merges": [["a", "b"]]}, "`ab` out of vocabulary"),
        ({"merges": [["a", "z"]]}, "`z` out of vocabulary"),
        ({"merges": [["a", "b"], "ab c"]}, "pair of tokens"),
        ({"merges": [["a", "b", "c"]]}, "pair of tokens"),
        ({"merges": ["a b c"]}, "two tokens"),
        ({"merges": [["a", 1]]}, "pair of tokens"),
        ({"type": "Unigram", "vocab": [["a"]]}, r"\[piece, score\]"),
        ({"type": "Unigram", "vocab": [["a", "b"]]}, r"\[piece, score\]"),
    ],
)
def test_broken_models_are_refused_with_the_reason(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(TokenizerError, match=said):
        Tokenizer.from_str(json.dumps(bpe(**changes)))


def test_every_cut_of_a_file_is_an_error_and_never_a_crash() -> None:
    text = Tokenizer.from_str(json.dumps(bpe())).to_str()
    for end in range(len(text)):
        with pytest.raises(TokenizerError):
            Tokenizer.from_str(text[:end])


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1e18", "99999999999999999999999", "1e-400", "-7"])
def test_huge_numbers_are_an_error_or_a_limit(number: str) -> None:
    text = '{"truncation":{"max_length":%s,"stride":0},"model":{"type":"WordLevel","vocab":{"a":0},"unk_token":"a"}}'
    try:
        assert Tokenizer.from_str(text % number).encode("a").ids in ([0], [])
    except (TokenizerError, ValueError, OverflowError):
        pass


@pytest.mark.parametrize("name", ["bert", "gpt2", "t5"])
def test_the_written_file_is_what_a_json_writer_makes_of_it(name: str) -> None:
    tokenizer = Tokenizer.from_file(real_vocabularies.folder(name) / "tokenizer.json")
    compact, pretty = tokenizer.to_str(), tokenizer.to_str(pretty=True)
    assert Tokenizer.from_str(pretty).to_str() == compact
    if name != "t5":  # scores are written with more digits than Python needs
        assert pretty == json.dumps(json.loads(compact), ensure_ascii=False, indent=2)


def test_indenting_touches_no_text() -> None:
    tokenizer = Tokenizer.from_str(json.dumps(bpe(vocab={**VOCAB, '{"[,:': 8, "\\": 9, "\x01": 10, "  ": 11})))
    tokenizer.add_tokens(['<{"a": [1, 2]}>'])
    compact = tokenizer.to_str()
    assert tokenizer.to_str(pretty=True) == json.dumps(json.loads(compact), ensure_ascii=False, indent=2)


IMPORTS = """
import sys
before = set(sys.modules)
{code}
loaded = set(sys.modules) - before
heavy = sorted(loaded & set("numpy torch pyarrow asyncio inspect ssl http urllib jinja2 requests".split()))
print(len(loaded), *heavy)
"""


@pytest.mark.parametrize(
    ("code", "most"),
    [
        ("from enfold.tokenizers import Tokenizer", 60),
        (
            "from enfold.tokenizers import Tokenizer; t = Tokenizer.from_file({file!r}); t.encode('a'); t.decode([5])",
            70,
        ),
        (
            "from enfold.transformers import AutoTokenizer; t = AutoTokenizer.from_pretrained({folder!r})\n"
            "t(['a', 'b b'], padding=True, truncation=True)['input_ids']; t.decode([5])",
            125,
        ),
    ],
    ids=["import", "core", "auto"],
)
def test_tokenizers_load_few_modules_and_no_heavy_one(code: str, most: int) -> None:
    folder = Path(real_vocabularies.folder("bert"))
    code = code.format(folder=str(folder), file=str(folder / "tokenizer.json"))
    run = subprocess.run([sys.executable, "-c", IMPORTS.format(code=code)], capture_output=True, text=True, check=True)
    count, *heavy = run.stdout.split()
    assert not heavy
    assert int(count) <= most
