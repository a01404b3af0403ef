"""Accuracy, precision, recall and F1 against scikit-learn, on whatever labels hypothesis thinks of."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from enfold.evaluate import EvaluationError, load

SCORES = {
    "f1": sklearn_metrics.f1_score,
    "precision": sklearn_metrics.precision_score,
    "recall": sklearn_metrics.recall_score,
}


def oracle(name: str, *args: Any, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return SCORES[name](*args, **options)


@st.composite
def labelled(draw: st.DrawFn, classes: int) -> tuple[list[int], list[int], list[float] | None]:
    rows = draw(st.integers(1, 30))
    column = st.lists(st.integers(0, classes - 1), min_size=rows, max_size=rows)
    weights = draw(st.none() | st.lists(st.floats(0.125, 4), min_size=rows, max_size=rows))
    return draw(column), draw(column), weights


@pytest.mark.parametrize("name", SCORES)
@given(rows=labelled(2), zero=st.sampled_from([0, 1, float("nan"), "warn"]), positive=st.sampled_from([0, 1]))
@settings(max_examples=60, deadline=None)
def test_binary_scores_equal_scikit_learn(name: str, rows: tuple, zero: Any, positive: int) -> None:
    predictions, references, weights = rows
    options = {"sample_weight": weights, "zero_division": zero, "pos_label": positive}
    seen = set(predictions) | set(references)
    if len(seen) == 2 and positive not in seen:
        return
    ours = load(name).compute(predictions=predictions, references=references, **options)
    assert list(ours) == [name] and type(ours[name]) is float
    np.testing.assert_allclose(ours[name], oracle(name, references, predictions, **options), atol=1e-12)


@pytest.mark.parametrize("name", SCORES)
@given(
    rows=labelled(5),
    zero=st.sampled_from([0, 1, float("nan")]),
    average=st.sampled_from(["micro", "macro", "weighted", None]),
    labels=st.none() | st.lists(st.integers(0, 6), min_size=1, max_size=6, unique=True),
)
@settings(max_examples=120, deadline=None)
def test_averages_equal_scikit_learn(name: str, rows: tuple, zero: Any, average: str | None, labels: Any) -> None:
    predictions, references, weights = rows
    if labels is not None and not set(labels) & set(references):
        return  # scikit-learn refuses labels none of which occurs
    options = {"sample_weight": weights, "zero_division": zero, "average": average, "labels": labels}
    ours = load(name).compute(predictions=predictions, references=references, **options)[name]
    assert isinstance(ours, np.ndarray if average is None else float)
    np.testing.assert_allclose(ours, oracle(name, references, predictions, **options), atol=1e-12)


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("average", ["micro", "macro", "weighted", "samples", None])
@pytest.mark.parametrize("weighted", [False, True])
def test_several_labels_per_example_equal_scikit_learn(name: str, average: str | None, weighted: bool) -> None:
    rng = np.random.default_rng(7)
    references, predictions = rng.integers(0, 2, (2, 40, 5))
    references[3] = predictions[3] = 0
    weights = rng.random(40) if weighted else None
    options = {"average": average, "zero_division": 0, "sample_weight": weights}
    metric = load(name, config_name="multilabel")
    as_lists = metric.compute(predictions=predictions.tolist(), references=references.tolist(), **options)[name]
    as_arrays = metric.compute(predictions=predictions, references=references, **options)[name]
    expected = oracle(name, references, predictions, **options)
    np.testing.assert_allclose(as_lists, expected, atol=1e-12)
    np.testing.assert_allclose(as_arrays, expected, atol=1e-12)


@given(rows=labelled(4), normalize=st.booleans())
@settings(max_examples=60, deadline=None)
def test_accuracy_equals_scikit_learn(rows: tuple, normalize: bool) -> None:
    predictions, references, weights = rows
    options = {"normalize": normalize, "sample_weight": weights}
    ours = load("accuracy").compute(predictions=predictions, references=references, **options)
    assert type(ours["accuracy"]) is float
    expected = sklearn_metrics.accuracy_score(references, predictions, **options)
    np.testing.assert_allclose(ours["accuracy"], expected, atol=1e-12)


def test_labels_may_be_any_whole_numbers() -> None:
    said, right = [-5, 10**12, 7, 7], [-5, 10**12, 10**12, 7]
    got = load("f1").compute(predictions=said, references=right, average=None)["f1"]
    assert got.tolist() == [1.0, 2 / 3, 2 / 3]  # in the order -5, 7, 10**12


def test_accuracy_of_several_labels_counts_rows_that_are_right_in_all() -> None:
    metric = load("accuracy", "multilabel")
    score = metric.compute(predictions=[[0, 1], [1, 1], [1, 0]], references=[[0, 1], [0, 1], [1, 0]])
    assert score == {"accuracy": 2 / 3}


@pytest.mark.parametrize(
    ("options", "said", "message"),
    [
        ({}, [0, 1, 2], "choose average='micro'"),
        ({"pos_label": 3}, [0, 1, 1], r"one of \[0, 1\]"),
        ({"average": "mean"}, [0, 1, 1], "average is one of"),
        ({"average": "samples"}, [0, 1, 1], "multilabel"),
        ({"sample_weight": [1.0]}, [0, 1, 1], "1 entries for 3 examples"),
        ({"zero_division": "raise"}, [0, 1, 1], "zero_division is"),
    ],
)
def test_options_that_do_not_fit_say_what_would(options: dict, said: list[int], message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        load("f1").compute(predictions=said, references=[0, 1, 0], **options)
