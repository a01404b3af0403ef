"""The parts of the server by themselves: text as it comes, calls of tools, numbers, grammars, keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import enfold.transformers as tf
from enfold.errors import EnfoldError
from enfold.serving import Keys, Limits, ServingError
from enfold.serving.decoding import Decoder, Stops
from enfold.serving.grammar import Grammars
from enfold.serving.loading import split_source
from enfold.serving.metrics import Counter, Histogram
from enfold.serving.openai import bytes_of
from enfold.serving.sampling import Allowed, Bias, Penalties
from enfold.serving.tools import FORMATS, Call, ToolReader, format_of


@pytest.fixture(scope="module")
def words(folder: Path) -> Any:
    return tf.AutoTokenizer.from_pretrained(folder)


@given(text=st.text(max_size=30), cuts=st.lists(st.integers(1, 5), max_size=20))
@settings(max_examples=60, deadline=None)
def test_text_that_comes_in_pieces_is_the_whole_text(words: Any, text: str, cuts: list[int]) -> None:
    ids = words(text)["input_ids"]
    decoder, told, place = Decoder(words), "", 0
    for cut in [*cuts, len(ids) + 1]:
        if ids[place : place + cut]:
            piece = decoder.step(ids[place : place + cut])
            assert "\ufffd" not in piece or "\ufffd" in text
            told += piece
        place += cut
    assert told + decoder.end() == words.decode(ids, clean_up_tokenization_spaces=False)


def test_half_a_character_is_told_in_the_end(words: Any) -> None:
    ids = words("né")["input_ids"]
    decoder = Decoder(words)
    assert [decoder.step([token]) for token in ids[:2]] == ["n", ""] and decoder.end() == "\ufffd"
    assert [bytes_of(words, token) for token in ids[1:]] == [("\ufffd", [0xC3]), ("\ufffd", [0xA9])]


@given(text=st.text("ab\n", max_size=20), stop=st.text("ab\n", min_size=1, max_size=3), size=st.integers(1, 4))
@settings(max_examples=100, deadline=None)
def test_nothing_of_a_stop_string_is_told(text: str, stop: str, size: int) -> None:
    stops, told = Stops([stop]), ""
    for place in range(0, len(text), size):
        told += stops.step(text[place : place + size])
        assert text.startswith(told) and stop not in told
    assert told + stops.end() == text.partition(stop)[0]
    assert (stops.found is None) == (stop not in text)


CALLS = [
    ("hermes", '<tool_call>\n{"name": "f", "arguments": {"a": [1, "x"]}}\n</tool_call>', [("f", {"a": [1, "x"]})]),
    (
        "hermes",
        '<tool_call>{"name": "f", "arguments": {}}</tool_call>\n<tool_call>{"name": "g", "arguments": {}}</tool_call>',
        [("f", {}), ("g", {})],
    ),
    ("mistral", '[TOOL_CALLS] [{"name": "f", "arguments": {"a": 1}}]', [("f", {"a": 1})]),
    ("mistral", '[TOOL_CALLS]f[ARGS]{"a": 1}', [("f", {"a": 1})]),
    ("mistral", '[TOOL_CALLS]f{"a": 1}[TOOL_CALLS]g{"b": {}}', [("f", {"a": 1}), ("g", {"b": {}})]),
    ("llama", '{"name": "f", "parameters": {"a": "1"}}', [("f", {"a": "1"})]),
    ("llama", '<|python_tag|>{"name": "f", "parameters": {}}; {"name": "g", "parameters": {}}', [("f", {}), ("g", {})]),
    ("llama", "[f(a=1, b='x'), g()]", [("f", {"a": 1, "b": "x"}), ("g", {})]),
    (
        "tags",
        "<tool_call>\n<function=f>\n<parameter=a>\n1\n</parameter>\n<parameter=b>\ntwo\nlines\n</parameter>\n"
        "</function>\n</tool_call>",
        [("f", {"a": 1, "b": "two\nlines"})],
    ),
    (
        "deepseek",
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n"
        '{"a": 1}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
        [("f", {"a": 1})],
    ),
    ("granite", '<|tool_call|>[{"name": "f", "arguments": {"a": 1}}]', [("f", {"a": 1})]),
    ("phi", '<|tool_call|>[{"name": "f", "arguments": {"a": 1}}]<|/tool_call|>', [("f", {"a": 1})]),
    ("bare", '{"name": "f", "arguments": {"a": 1}}', [("f", {"a": 1})]),
]


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(("way", "text", "expected"), CALLS)
def test_calls_are_read_as_each_family_writes_them(way: str, text: str, expected: Any, size: int) -> None:
    before = "" if way in ("llama", "bare") else "Let me see. "
    reader, said, calls = ToolReader(FORMATS[way]), "", list[Call]()
    whole = before + text
    for place in range(0, len(whole), size):
        fresh, more = reader.step(whole[place : place + size])
        said, calls = said + fresh, calls + more
    fresh, more = reader.end()
    assert said + fresh == before
    assert [(call.name, json.loads(call.arguments)) for call in calls + more] == expected
    assert len({call.id for call in calls + more}) == len(expected)


@pytest.mark.parametrize("way", FORMATS)
@pytest.mark.parametrize(
    "text", ["just words", "<tool_", "a < b [TOOL", '{"name": 1}', "[1, 2]", "[", "<tool_call>{broken</tool_call>", ""]
)
def test_what_is_no_call_is_said(way: str, text: str) -> None:
    reader = ToolReader(FORMATS[way])
    said, calls = "", list[Call]()
    for letter in text:
        fresh, more = reader.step(letter)
        said, calls = said + fresh, calls + more
    fresh, more = reader.end()
    assert said + fresh == text and not calls + more


@pytest.mark.parametrize(
    ("template", "way"),
    [
        ("… <tool_call> …", "hermes"),
        ("… <tool_call>\n<function= …", "tags"),
        ("… [TOOL_CALLS] …", "mistral"),
        ("… <|python_tag|> …", "llama"),
        ("… <｜tool▁calls▁begin｜> …", "deepseek"),
        ("… <|tool_call|> … <|/tool_call|>", "phi"),
        ("… <|tool_call|> …", "granite"),
        (None, "bare"),
    ],
)
def test_a_template_tells_how_calls_are_written(template: str | None, way: str) -> None:
    assert format_of(template) is FORMATS[way]


def test_scores_change_as_asked() -> None:
    ids, scores = torch.tensor([[1, 1, 2, 2, 3]]), torch.zeros(1, 5)
    # of the prompt [1, 1] nothing counts; 2 came twice, 3 once
    assert Penalties(2, presence=1.0, frequency=0.5)(ids, scores).tolist() == [[0, 0, -2.0, -1.5, 0]]
    assert Bias({1: 2.5, 4: -100})(ids, scores).tolist() == [[0, 2.5, 0, 0, -100]]
    assert Allowed([0, 3])(ids, scores).tolist() == [[0, -torch.inf, -torch.inf, 0, -torch.inf]]


def test_a_grammar_goes_no_further_than_its_end(words: Any) -> None:
    end = words.eos_token_id
    grammars = Grammars(words, len(words) + 6, [end])
    constraint = grammars.constraint("regex", "ab", prompt=1)
    prompt: list[int] = [7]
    a, b = words("ab")["input_ids"]
    scores = torch.zeros(1, len(words) + 6)

    def allowed(tokens: list[int]) -> list[int]:
        return torch.isfinite(constraint(torch.tensor([tokens]), scores))[0].nonzero()[:, 0].tolist()

    assert allowed(prompt) == [a]
    assert allowed([*prompt, a]) == [b]
    assert allowed([*prompt, a, b]) == [end]
    # whatever else was asked for, something can come
    barred = torch.full_like(scores, -torch.inf)
    assert torch.isfinite(grammars.constraint("regex", "ab", 1)(torch.tensor([prompt]), barred)).sum() == 1
    # a token that the grammar does not know ends the text, and raises nothing
    constraint = grammars.constraint("regex", "ab", prompt=1)
    assert allowed([*prompt, b]) == [end]


def test_a_schema_has_a_bound(words: Any) -> None:
    grammars = Grammars(words, 258, [257], limit=100)
    with pytest.raises(ServingError, match="at most 100"):
        grammars.constraint("json", {"enum": ["x" * 200]}, 1)


def test_numbers_are_written_as_prometheus_reads_them() -> None:
    counter, histogram = Counter("a_total", "A.", ("x",)), Histogram("h", "H.", ("x",), (1, 2))
    counter.add(2, 'say "hi"\n')
    for value in (0.5, 1, 1.5, 9):
        histogram.add(value, "m")
    assert counter.lines() == '# HELP a_total A.\n# TYPE a_total counter\na_total{x="say \\"hi\\"\\n"} 2\n'
    assert histogram.lines().splitlines()[2:] == [
        'h_bucket{x="m",le="1"} 2', 'h_bucket{x="m",le="2"} 3', 'h_bucket{x="m",le="+Inf"} 4', 'h_sum{x="m"} 12',
        'h_count{x="m"} 4',
    ]  # fmt: skip


def test_keys_are_held_as_hashes() -> None:
    keys = Keys(["a key that nobody guesses", "another one, just as long"], per_key=1)
    owners = {keys.owner(f"Bearer {key}") for key in ("a key that nobody guesses", "another one, just as long")}
    assert len(owners) == 2 and None not in owners
    assert keys.owner(None) is keys.owner("Bearer ") is keys.owner("Bearer a key") is None
    assert "nobody guesses" not in repr(vars(keys))
    with pytest.raises(EnfoldError, match="at least 16"):
        Keys(["short"])
    with keys.holding("x"), pytest.raises(ServingError, match="at most 1"), keys.holding("x"):
        pass
    with keys.holding("x"):
        pass


def test_limits_are_checked() -> None:
    with pytest.raises(EnfoldError, match="new_tokens=0"):
        Limits(new_tokens=0)
    assert Limits(queue=0).queue == 0


def test_sources_name_themselves(tmp_path: Path) -> None:
    (tmp_path / "w.gguf").touch()
    assert split_source(str(tmp_path)) == (tmp_path.name, str(tmp_path), None)
    assert split_source(f"x={tmp_path}/w.gguf") == ("x", str(tmp_path), "w.gguf")
    assert split_source("org/model:w.gguf") == ("org/model", "org/model", "w.gguf")
