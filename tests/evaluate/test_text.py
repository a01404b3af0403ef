"""BLEU, ROUGE and their parts against short independent implementations, on texts made to repeat themselves."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enfold.evaluate import EvaluationError, load
from enfold.evaluate.text.mteval import tokenize_13a
from enfold.evaluate.text.pairs import TextPairs
from enfold.evaluate.text.porter import stem

tokens = st.lists(st.sampled_from("abcde"), max_size=12)


def grams(text: list[str], order: int) -> Counter:
    return Counter(tuple(text[place : place + order]) for place in range(len(text) - order + 1))


@given(st.lists(st.tuples(tokens, st.lists(tokens, min_size=1, max_size=3)), min_size=1, max_size=5))
@settings(max_examples=100, deadline=None)
def test_shared_ngrams_are_counts_clipped_by_the_best_reference(rows: list) -> None:
    said, right = [row[0] for row in rows], [row[1] for row in rows]
    shared = TextPairs(said, right).ngrams(4, merged=True).T
    for pair, (text, group) in enumerate(rows):
        for order in range(1, 5):
            most: Counter = Counter()
            for reference in group:
                most |= grams(reference, order)
            assert shared[order - 1, pair] == (grams(text, order) & most).total()


def tables(first: list[str], second: list[str]) -> tuple[int, int]:
    """Return the length of a longest common subsequence and the edit distance, cell by cell."""
    common = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    edits = [[i + j for j in range(len(second) + 1)] for i in range(len(first) + 1)]
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            common[i + 1][j + 1] = common[i][j] + 1 if a == b else max(common[i][j + 1], common[i + 1][j])
            edits[i + 1][j + 1] = min(edits[i][j] + (a != b), edits[i][j + 1] + 1, edits[i + 1][j] + 1)
    return common[-1][-1], edits[-1][-1]


@given(tokens, tokens)
@settings(max_examples=200, deadline=None)
def test_common_subsequences_and_edits_are_those_of_the_whole_table(first: list[str], second: list[str]) -> None:
    pairs = TextPairs([" ".join(first)], [[" ".join(second)]])
    assert (pairs.common()[0], pairs.edits()[0]) == tables(first, second)
    assert pairs.translation_edits()[0] <= pairs.edits()[0]
    assert TextPairs(["".join(first)], [["".join(second)]], "characters").edits()[0] == pairs.edits()[0]


@pytest.mark.parametrize("length", [63, 64, 65, 128, 200])
def test_long_texts_span_blocks_of_bits(length: int) -> None:
    rng = np.random.default_rng(length)
    first, second = rng.choice(list("abc"), length).tolist(), rng.choice(list("abc"), length + 3).tolist()
    pairs = TextPairs([" ".join(first)], [[" ".join(second)]])
    assert (pairs.common()[0], pairs.edits()[0]) == tables(first, second)


def test_texts_are_cut_as_asked() -> None:
    text = "The  cat\u3000sat\tdown Don't3"
    for cut, count in (("space", 5), ("spaces", 3), ("alphanumeric", 6), ("characters", len(text))):
        assert TextPairs([text], [["x"]], cut).lengths()[0].tolist() == [count], cut
    both = TextPairs(["ab c"], [["a b c", "ab"]], "space", list)
    assert both.edits().tolist() == [0, 1]  # words stand for their letters


def bleu(said: list[str], right: list[list[str]], max_order: int, smooth: bool) -> float:
    """BLEU from its definition, one sentence and one order after the other."""
    logs, length = 0.0, sum(len(text.split()) for text in said)
    shortest = sum(min(len(text.split()) for text in group) for group in right)
    for order in range(1, max_order + 1):
        hits = possible = 0
        for text, group in zip(said, right, strict=True):
            mine, most = grams(text.split(), order), Counter()
            for reference in group:
                most |= grams(reference.split(), order)
            hits, possible = hits + (mine & most).total(), possible + mine.total()
        if smooth:
            hits, possible = hits + 1, possible + 1
        if not hits:
            return 0.0
        logs += math.log(hits / possible) / max_order
    return math.exp(logs) * (1.0 if length > shortest else math.exp(1 - shortest / length))


@pytest.mark.parametrize("smooth", [False, True])
@pytest.mark.parametrize("max_order", [1, 2, 4])
def test_bleu_is_its_definition(max_order: int, smooth: bool) -> None:
    rng = np.random.default_rng(max_order)
    words = "the cat sat on a mat and saw dogs".split()

    def text() -> str:
        return " ".join(rng.choice(words, rng.integers(4, 15)))

    said = [text() for _ in range(30)]
    right = [[text() for _ in range(rng.integers(1, 4))] for _ in said]
    options = {"max_order": max_order, "smooth": smooth}
    got = load("bleu").compute(predictions=said, references=right, **options)
    assert got["bleu"] == pytest.approx(bleu(said, right, max_order, smooth), abs=1e-12)
    assert len(got["precisions"]) == max_order
    assert got["translation_length"] == sum(len(text.split()) for text in said)
    assert list(got) == [
        "bleu", "precisions", "brevity_penalty", "length_ratio", "translation_length", "reference_length",
    ]  # fmt: skip


def test_bleu_takes_one_reference_as_a_text_and_a_tokenizer_of_ones_own() -> None:
    metric = load("bleu")
    nested = metric.compute(predictions=["a b c d e"], references=[["a b c d f"]])
    assert metric.compute(predictions=["a b c d e"], references=["a b c d f"]) == nested
    by_letters = metric.compute(predictions=["abcde"], references=["abcde"], tokenizer=list)
    assert by_letters["bleu"] == 1.0 and by_letters["translation_length"] == 5


def test_bleu_of_an_empty_translation_is_zero() -> None:
    got = load("bleu").compute(predictions=["", ""], references=["a b", "c"])
    assert got["bleu"] == 0.0 and got["brevity_penalty"] == 0.0 and got["reference_length"] == 3


def test_the_rules_of_mteval_split_symbols_but_not_numbers_or_words() -> None:
    text = "He said: &quot;No!&quot; It costs 1,234.50 (not 9-10).\nEnd<skipped>-\ned"
    expected = 'He said : " No ! " It costs 1,234.50 ( not 9 - 10 ) . Ended'.split()
    assert tokenize_13a(text) == expected


def test_stems_bring_forms_of_a_word_together() -> None:
    for words, root in (("relate related relating relates", "relat"), ("flies fly", "fli"), ("dies dying", "die")):
        assert {stem(word) for word in words.split()} == {root}


def test_rouge_counts_known_examples() -> None:
    metric = load("rouge")
    said, right = ["the cat sat on the mat"], ["the cat lay on a mat"]
    got = metric.compute(predictions=said, references=right, use_aggregator=False)
    # rouge1: the, cat, on, mat of 6 and 6; rouge2: only "the cat"; the longest subsequence is all four words
    expected = {"rouge1": 4 / 6, "rouge2": 1 / 5, "rougeL": 4 / 6, "rougeLsum": 4 / 6}
    assert {kind: scores[0] for kind, scores in got.items()} == pytest.approx(expected, abs=1e-12)
    words = {"predictions": ["running dogs"], "references": ["runs dog"], "rouge_types": ["rouge1"]}
    assert metric.compute(**words) == {"rouge1": 0.0}
    stemmed = metric.compute(**words, use_stemmer=True)
    assert stemmed == {"rouge1": 1.0} and type(stemmed["rouge1"]) is np.float64


def test_rouge_takes_the_best_of_several_references() -> None:
    metric = load("rouge")
    got = metric.compute(
        predictions=["a b c", "x"],
        references=[["q", "a b c"], ["y", "z"]],
        use_aggregator=False,
        rouge_types=["rouge1"],
    )
    assert got == {"rouge1": [1.0, 0.0]}


def test_rouge_lsum_joins_the_lines_that_hit() -> None:
    metric = load("rouge")
    options = {"rouge_types": ["rougeL", "rougeLsum"], "use_aggregator": False}
    got = metric.compute(predictions=["c d\na b"], references=["a b\nc d"], **options)
    assert got == {"rougeL": [0.5], "rougeLsum": [1.0]}


def test_rouge_is_seeded() -> None:
    said = ["a b c d " * (place % 7 + 1) for place in range(50)]
    right = ["a c e " * (place % 5 + 1) for place in range(50)]
    scores = [load("rouge", seed=seed).compute(predictions=said, references=right) for seed in (1, 1, 2)]
    assert scores[0] == scores[1] != scores[2]


@pytest.mark.parametrize("kind", ["rouge0", "rougeX", "bleu"])
def test_unknown_rouge_types_are_named(kind: str) -> None:
    with pytest.raises(EvaluationError, match=kind):
        load("rouge").compute(predictions=["a"], references=["a"], rouge_types=[kind])


@pytest.mark.parametrize("name", ["bleu", "rouge"])
def test_a_prediction_without_references_is_an_error(name: str) -> None:
    with pytest.raises(EvaluationError, match=r"references\[1\] is empty"):
        load(name).compute(predictions=["a", "b"], references=[["a"], []])
