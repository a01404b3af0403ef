"""Counts that add up: two processes that share a folder, and inputs that are counted while they come in."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from enfold.evaluate import EvaluationError, combine, counting, load
from enfold.evaluate.gathering import _packed, _unpacked

rng = random.Random(2)
ROWS = 23
WORDS = "the cat sat on a mat dog ran fast".split()


def many(make: Any) -> list[Any]:
    return [make() for _ in range(ROWS)]


def text() -> str:
    return " ".join(rng.choices(WORDS, k=rng.randint(1, 9)))


LABELS = {"predictions": many(lambda: rng.randint(0, 1)), "references": many(lambda: rng.randint(0, 1))}
CLASSES = {"predictions": many(lambda: rng.randint(0, 4)), "references": many(lambda: rng.randint(0, 3))}
SEVERAL = {name: many(lambda: [rng.randint(0, 1) for _ in range(3)]) for name in LABELS}
NUMBERS = {name: many(lambda: rng.uniform(1, 5)) for name in LABELS}
VECTORS = {name: many(lambda: [rng.uniform(1, 5), rng.uniform(1, 5)]) for name in LABELS}
TEXTS = {"predictions": many(text), "references": many(text)}
GROUPS = {"predictions": many(text), "references": many(lambda: [text() for _ in range(rng.randint(1, 3))])}
LINES = {**GROUPS, "sources": many(text)}
TAGS = {name: many(lambda: rng.choices(["O", "B-X", "I-X", "B-Y"], k=4)) for name in LABELS}
ANSWERS = {
    "predictions": [{"id": str(i), "prediction_text": text(), "no_answer_probability": i % 5 / 5} for i in range(ROWS)],
    # shuffled: a question and its answer may come to different processes
    "references": rng.sample(
        [{"id": str(i), "answers": {"text": [text()] * (i % 4 > 0), "answer_start": [0] * (i % 4 > 0)}}
         for i in range(ROWS)], ROWS
    ),
}  # fmt: skip
ANSWERED = {**ANSWERS, "references": [{**item, "answers": {"text": ["the cat"]}} for item in ANSWERS["references"]]}
SPANS = {
    "predictions": [
        {"id": item["id"], "prediction_text": [item["prediction_text"]]} for item in ANSWERS["predictions"]
    ],
    "references": ANSWERS["references"],
}
RECORD = {
    "predictions": [{"idx": {"passage": 0, "query": i}, "prediction_text": text()} for i in range(ROWS)],
    "references": [{"idx": {"passage": 0, "query": ROWS - 1 - i}, "answers": [text()]} for i in range(ROWS)],
}
MULTIRC = {
    "predictions": [{"idx": {"paragraph": i // 9, "question": i // 3, "answer": i}, "prediction": i % 2}
                    for i in range(ROWS)],
    "references": LABELS["references"],
}  # fmt: skip
IMAGES = {name: many(lambda: [[rng.randint(0, 3) for _ in range(4)] for _ in range(3)]) for name in LABELS}

CASES: list[tuple[str, str | None, dict[str, Any], dict[str, Any]]] = [
    ("accuracy", None, LABELS, {}),
    ("accuracy", "multilabel", SEVERAL, {"normalize": False}),
    ("f1", None, LABELS, {}),
    ("f1", None, CLASSES, {"average": "weighted", "labels": [3, 1, 7]}),
    ("precision", "multilabel", SEVERAL, {"average": "samples", "zero_division": 0}),
    ("recall", "multilabel", SEVERAL, {"average": None, "labels": [2, 0]}),
    ("confusion_matrix", None, CLASSES, {"normalize": "true"}),
    ("matthews_correlation", None, CLASSES, {}),
    ("matthews_correlation", "multilabel", SEVERAL, {"average": "macro"}),
    ("brier_score", None, {"predictions": many(rng.random), "references": LABELS["references"]}, {}),
    ("mse", None, NUMBERS, {"squared": False}),
    ("mae", "multilist", VECTORS, {"multioutput": "raw_values"}),
    ("mape", None, NUMBERS, {}),
    ("smape", None, NUMBERS, {}),
    ("mase", None, NUMBERS, {"training": [1.0, 3.0, 2.0]}),
    ("r_squared", None, NUMBERS, {}),
    ("pearsonr", None, NUMBERS, {"return_pvalue": True}),
    ("spearmanr", None, NUMBERS, {}),
    ("roc_auc", None, {"prediction_scores": NUMBERS["predictions"], "references": LABELS["references"]}, {}),
    ("bleu", None, GROUPS, {"max_order": 2, "smooth": True}),
    ("sacrebleu", None, GROUPS, {"smooth_method": "add-k", "lowercase": True}),
    ("google_bleu", None, GROUPS, {}),
    ("chrf", None, GROUPS, {"word_order": 2}),
    ("ter", None, GROUPS, {}),
    ("character", None, TEXTS, {"return_all_scores": True}),
    ("charcut_mt", None, TEXTS, {}),
    ("nist_mt", None, GROUPS, {}),
    ("meteor", None, GROUPS, {}),
    ("rouge", None, GROUPS, {"use_stemmer": True}),
    ("wer", None, TEXTS, {}),
    ("cer", None, TEXTS, {"concatenate_texts": True}),
    ("exact_match", None, TEXTS, {"regexes_to_ignore": ["the "]}),
    ("squad", None, ANSWERED, {}),
    ("squad_v2", None, ANSWERS, {"no_answer_threshold": 0.5}),
    ("cuad", None, SPANS, {}),
    ("competition_math", None, TEXTS, {}),
    ("seqeval", None, TAGS, {}),
    ("seqeval", None, TAGS, {"mode": "strict"}),
    ("poseval", None, TAGS, {}),
    ("glue", "mrpc", LABELS, {}),
    ("glue", "cola", LABELS, {}),
    ("glue", "stsb", NUMBERS, {}),
    ("super_glue", "cb", CLASSES, {}),
    ("super_glue", "record", RECORD, {}),
    ("super_glue", "multirc", MULTIRC, {}),
    ("indic_glue", "cvit-mkb-clsr", VECTORS, {}),
    ("xtreme_s", "mls", TEXTS, {"wer_kwargs": {"concatenate_texts": True}}),
    ("xtreme_s", "covost2", TEXTS, {"bleu_kwargs": {"lowercase": True}}),
    ("xtreme_s", "minds14", CLASSES, {}),
    ("xnli", None, CLASSES, {}),
    ("mean_iou", None, IMAGES, {"num_labels": 4}),
    ("sari", None, LINES, {}),
    ("wiki_split", None, LINES, {}),
    ("mcnemar", None, {"predictions1": CLASSES["predictions"], "predictions2": LABELS["references"],
                       "references": CLASSES["references"]}, {}),
    ("wilcoxon", None, {"predictions1": NUMBERS["predictions"], "predictions2": NUMBERS["references"]}, {}),
    ("word_count", None, {"data": TEXTS["predictions"]}, {"max_vocab": 3}),
    ("word_length", None, {"data": TEXTS["predictions"]}, {}),
    ("text_duplicates", None, {"data": TEXTS["predictions"][:19] + TEXTS["predictions"][:4]},
     {"list_duplicates": True}),
    ("label_distribution", None, {"data": CLASSES["predictions"]}, {}),
]  # fmt: skip

WORKER = """
import json, sys
from enfold.evaluate import load
sys.path.insert(0, sys.argv[2])
from test_counting import CASES, part
for number, (name, config, inputs, options) in enumerate(CASES):
    metric = load(name, config, num_process=2, process_id=1, cache_dir=sys.argv[1], experiment_id=str(number), seed=4)
    metric.add_batch(**part(inputs, 1))
    assert metric.compute(**options) is None
"""


def part(inputs: dict[str, Any], place: int) -> dict[str, Any]:
    """Return the rows of one of two processes; the first has fewer."""
    return {name: values[:7] if place == 0 else values[7:] for name, values in inputs.items()}


def same(got: Any, expected: Any) -> None:
    """Compare results of any shape: their types, and numbers to the last digits."""
    assert type(got) is type(expected)
    if isinstance(expected, dict):
        assert list(got) == list(expected)
        for name in expected:
            same(got[name], expected[name])
    elif isinstance(expected, (list, tuple)) and expected and isinstance(expected[0], dict):
        for one, other in zip(got, expected, strict=True):
            same(one, other)
    elif isinstance(expected, str):
        assert got == expected
    else:
        np.testing.assert_allclose(got, expected, rtol=1e-12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a second process has handed in its part of every case."""
    path = tmp_path_factory.mktemp("shared")
    command = [sys.executable, "-c", WORKER, str(path), str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return path


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: "-".join(filter(None, CASES[number][:2])))
def test_two_processes_come_to_the_score_of_one(folder: Path, number: int) -> None:
    name, config, inputs, options = CASES[number]
    expected = load(name, config, seed=4).compute(**inputs, **options)
    metric = load(
        name, config, num_process=2, process_id=0, cache_dir=str(folder), experiment_id=str(number), seed=4, timeout=5
    )
    same(metric.compute(**part(inputs, 0), **options), expected)


def test_processes_exchange_counts_instead_of_texts(tmp_path: Path) -> None:
    sizes = []
    for rows in (10, 1000):
        metric = load("bleu", num_process=2, process_id=1, cache_dir=str(tmp_path), experiment_id=str(rows))
        assert metric.compute(["a secret text"] * rows, ["a secret word"] * rows) is None
        (file,) = tmp_path.rglob(f"{metric._gathering._label}*.json")  # type: ignore[union-attr]
        assert "secret" not in file.read_text()
        sizes.append(file.stat().st_size)
    assert sizes[1] < sizes[0] + 40


def test_a_process_without_examples_takes_part(tmp_path: Path) -> None:
    for place in (1, 0):
        metric = load("wer", num_process=2, process_id=place, cache_dir=str(tmp_path))
        if place == 0:
            metric.add(prediction="a b", reference="a c")
        assert metric.compute() == (None if place else 0.5)
    for place in (1, 0):
        metric = load("wer", num_process=2, process_id=place, cache_dir=str(tmp_path))
        if place:
            assert metric.compute() is None
    with pytest.raises(EvaluationError, match="nothing to compute"):
        metric.compute()


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: "-".join(filter(None, CASES[number][:2])))
def test_inputs_counted_on_the_way_come_to_the_same(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    name, config, inputs, options = CASES[number]
    expected = load(name, config, seed=4).compute(**inputs, **options)
    monkeypatch.setattr(counting, "WAITING", 5)
    metric = load(name, config, seed=4, keep_in_memory=options.get("average") == "samples")
    for begin in range(0, ROWS, 4):
        metric.add_batch(**{key: values[begin : begin + 4] for key, values in inputs.items()})
    if "concatenate_texts" in options:
        metric = load(name, config, keep_in_memory=True)
        metric.add_batch(**inputs)
    assert len(metric) == ROWS
    same(metric.compute(**options), expected)


def test_counted_inputs_are_forgotten_and_late_options_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "WAITING", 100)
    metric = load("accuracy")
    for _ in range(10):
        metric.add_batch(predictions=[1] * 50, references=[1, 0] * 25)
    assert len(metric) == 500 and not metric._columns
    with pytest.raises(EvaluationError, match=r"sample_weight cannot be used any more.*keep_in_memory=True"):
        metric.compute(sample_weight=[1.0] * 500)
    assert metric.compute(normalize=False) == {"accuracy": 250.0}
    kept = load("accuracy", keep_in_memory=True)
    for _ in range(10):
        kept.add_batch(predictions=[1] * 50, references=[1, 0] * 25)
    assert kept.compute(sample_weight=[2.0, 0.0] * 250) == {"accuracy": 1.0}
    # what options change what is counted in texts is only known in the end: these are kept
    texts = load("bleu")
    for _ in range(10):
        texts.add_batch(predictions=["a b"] * 50, references=["a b"] * 50)
    assert len(texts._columns["predictions"]) == 10
    assert texts.compute(max_order=2)["bleu"] == 1.0


def test_combined_modules_reduce_together(tmp_path: Path) -> None:
    expected = combine(["accuracy", "f1"]).compute(**LABELS)
    for place in (1, 0):
        modules = [load(name, num_process=2, process_id=place, cache_dir=str(tmp_path)) for name in ("accuracy", "f1")]
        got = combine(modules).compute(**part(LABELS, place))
        assert got == (None if place else pytest.approx(expected))


def test_what_is_exchanged_comes_back_as_it_was() -> None:
    content = {("a", 1): [1.5, None, True], "b": {2: np.arange(3)}, 7: {"array": np.float64(0.1)}}
    again = _unpacked(json.loads(json.dumps(_packed(content))))
    assert again[("a", 1)] == [1.5, None, True] and again[7] == {"array": 0.1}
    assert again["b"][2].tolist() == [0, 1, 2]
