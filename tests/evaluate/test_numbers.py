"""The metrics on numbers and classes against scikit-learn and scipy, on whatever hypothesis thinks of."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sklearn_metrics

from enfold.evaluate import EvaluationError, load

numbers = st.floats(-1e3, 1e3).map(lambda value: round(value, 3))
some = settings(max_examples=50, deadline=None)


@st.composite
def pairs(draw: st.DrawFn, values: Any = numbers, least: int = 1) -> tuple[list, list, Any]:
    rows = draw(st.integers(least, 20))
    column = st.lists(values, min_size=rows, max_size=rows)
    return draw(column), draw(column), draw(st.none() | st.lists(st.floats(0.125, 4), min_size=rows, max_size=rows))


ERRORS = {
    "mse": sklearn_metrics.mean_squared_error,
    "mae": sklearn_metrics.mean_absolute_error,
    "mape": sklearn_metrics.mean_absolute_percentage_error,
}


@pytest.mark.parametrize("name", ERRORS)
@given(rows=pairs())
@some
def test_errors_equal_scikit_learn(name: str, rows: tuple) -> None:
    said, right, weights = rows
    got = load(name).compute(said, right, sample_weight=weights)
    assert list(got) == [name] and type(got[name]) is float
    assert got[name] == pytest.approx(ERRORS[name](right, said, sample_weight=weights), rel=1e-12)


@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.parametrize("multioutput", ["raw_values", "uniform_average", [0.3, 0.7]])
@pytest.mark.parametrize("config", [None, "multilist"])
def test_errors_of_several_outputs_equal_scikit_learn(name: str, multioutput: Any, config: str | None) -> None:
    rng = np.random.default_rng(0)
    said, right, weights = rng.normal(size=(9, 2)), rng.normal(size=(9, 2)), rng.random(9)
    options = {"multioutput": multioutput, "sample_weight": weights}
    expected = ERRORS[name](right, said, **options)
    for make in (np.asarray, lambda array: array.tolist()):
        got = load(name, config).compute(predictions=make(said), references=make(right), **options)[name]
        np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_the_root_is_taken_of_each_output() -> None:
    rng = np.random.default_rng(1)
    said, right = rng.normal(size=(9, 2)), rng.normal(size=(9, 2))
    expected = sklearn_metrics.root_mean_squared_error(right, said)
    assert load("mse").compute(said, right, squared=False)["mse"] == pytest.approx(expected, rel=1e-12)


def test_known_values_of_smape_mase_and_r_squared() -> None:
    said, right = [2.5, 0.0, 2, 8], [3, -0.5, 2, 7]
    expected = np.mean([2 * 0.5 / 5.5, 2 * 0.5 / 0.5, 0, 2 / 15])
    assert load("smape").compute(said, right)["smape"] == pytest.approx(expected, rel=1e-12)
    assert load("smape").compute([0.0], [0.0]) == {"smape": 0.0}
    assert load("mase").compute(said, right, training=[5, 0.5, 4, 6, 3, 5, 2])["mase"] == pytest.approx(
        0.5 / 3, rel=1e-12
    )
    assert load("mase").compute([4.0], [2.0], training=[1, 5, 3, 6, 5], periodicity=2)["mase"] == pytest.approx(
        2 / (5 / 3)
    )
    got = load("r_squared").compute(said, right)
    assert got == round(sklearn_metrics.r2_score(right, said), 3)
    with pytest.raises(EvaluationError, match="training="):
        load("mase").compute([1.0], [1.0])


@given(rows=pairs(st.sampled_from([0, 1])), data=st.data())
@some
def test_the_brier_score_equals_scikit_learn(rows: tuple, data: Any) -> None:
    right, _, weights = rows
    said = data.draw(st.lists(st.floats(0, 1), min_size=len(right), max_size=len(right)))
    expected = sklearn_metrics.brier_score_loss(right, said, sample_weight=weights, pos_label=1)
    assert load("brier_score").compute(said, right, sample_weight=weights)["brier_score"] == pytest.approx(expected)


def test_the_brier_score_takes_names_of_classes() -> None:
    metric = load("brier_score")
    options = {"predictions": [0.1, 0.9, 0.8, 0.3], "references": ["spam", "ham", "ham", "spam"]}
    assert metric.compute(**options, pos_label="ham")["brier_score"] == pytest.approx(0.0375)
    with pytest.raises(EvaluationError, match=r"one of \['ham', 'spam'\]"):
        metric.compute(**options)


@given(rows=pairs(st.integers(0, 4)))
@some
def test_matthews_correlation_equals_scikit_learn(rows: tuple) -> None:
    said, right, weights = rows
    expected = sklearn_metrics.matthews_corrcoef(right, said, sample_weight=weights)
    got = load("matthews_correlation").compute(said, right, sample_weight=weights)["matthews_correlation"]
    assert type(got) is float and got == pytest.approx(expected, abs=1e-9)


def test_matthews_correlation_of_several_labels() -> None:
    rng = np.random.default_rng(2)
    said, right = rng.integers(0, 2, (2, 30, 3))
    expected = [sklearn_metrics.matthews_corrcoef(a, b) for a, b in zip(said.T, right.T, strict=True)]
    metric = load("matthews_correlation", "multilabel")
    assert metric.compute(said, right)["matthews_correlation"] == pytest.approx(expected)
    assert metric.compute(said, right, average="macro")["matthews_correlation"] == pytest.approx(np.mean(expected))


@given(
    rows=pairs(st.integers(-2, 4)),
    normalize=st.sampled_from([None, "true", "pred", "all"]),
    labels=st.none() | st.lists(st.integers(-3, 6), min_size=1, max_size=6, unique=True),
)
@some
def test_the_confusion_matrix_equals_scikit_learn(rows: tuple, normalize: str | None, labels: Any) -> None:
    said, right, weights = rows
    assume(labels is None or set(labels) & set(right))
    options = {"labels": labels, "normalize": normalize, "sample_weight": weights}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = sklearn_metrics.confusion_matrix(right, said, **options)
    got = load("confusion_matrix").compute(said, right, **options)["confusion_matrix"]
    assert got.dtype == expected.dtype
    np.testing.assert_allclose(got, expected, rtol=1e-12)


@given(rows=pairs(st.sampled_from([0, 1]), 2), data=st.data(), max_fpr=st.none() | st.floats(0.05, 1))
@some
def test_the_area_under_the_curve_equals_scikit_learn(rows: tuple, data: Any, max_fpr: float | None) -> None:
    right, _, weights = rows
    assume(len(set(right)) == 2)
    scores = data.draw(st.lists(st.sampled_from([0.1, 0.2, 0.5, 0.7]), min_size=len(right), max_size=len(right)))
    options = {"sample_weight": weights, "max_fpr": max_fpr}
    expected = sklearn_metrics.roc_auc_score(right, scores, **options)
    got = load("roc_auc").compute(prediction_scores=scores, references=right, **options)["roc_auc"]
    assert got == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("multi_class", ["ovr", "ovo"])
@pytest.mark.parametrize("average", ["macro", "weighted", "micro", None])
def test_areas_of_classes_equal_scikit_learn(multi_class: str, average: str | None) -> None:
    rng = np.random.default_rng(3)
    right, scores = rng.integers(0, 3, 40), rng.random((40, 3))
    scores /= scores.sum(1, keepdims=True)
    metric = load("roc_auc", "multiclass")
    options = {"multi_class": multi_class, "average": average}
    if multi_class == "ovo" and average in ("micro", None):
        with pytest.raises(EvaluationError, match="average is one of macro, weighted"):
            metric.compute(scores, right, **options)
        return
    got = metric.compute(scores, right, **options)["roc_auc"]
    np.testing.assert_allclose(got, sklearn_metrics.roc_auc_score(right, scores, **options), atol=1e-12)
    with pytest.raises(EvaluationError, match="'ovr' or 'ovo'"):
        metric.compute(scores, right)
    with pytest.raises(EvaluationError, match="load the configuration 'multiclass'"):
        load("roc_auc").compute(scores[:, 0], right)


@pytest.mark.parametrize("average", ["macro", "weighted", "micro", "samples", None])
@pytest.mark.parametrize("weighted", [False, True])
def test_areas_of_labels_equal_scikit_learn(average: str | None, weighted: bool) -> None:
    rng = np.random.default_rng(4)
    right, scores = rng.integers(0, 2, (40, 4)), rng.random((40, 4))
    right[:, 0], right[:, 1] = 0, 1
    right[0, 0] = 1
    right[1, 1] = 0
    options = {"average": average, "sample_weight": rng.random(40) if weighted else None}
    got = load("roc_auc", "multilabel").compute(scores, right, **options)["roc_auc"]
    np.testing.assert_allclose(got, sklearn_metrics.roc_auc_score(right, scores, **options), atol=1e-12)


@given(rows=pairs(st.sampled_from([-2.5, 0.0, 1.0, 1.5, 7.0]), 2))
@some
def test_correlations_equal_scipy(rows: tuple) -> None:
    said, right, _ = rows
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        linear, ranked = stats.pearsonr(right, said), stats.spearmanr(right, said)
    got = load("pearsonr").compute(said, right, return_pvalue=True)
    assert [got["pearsonr"], got["p-value"]] == pytest.approx([*linear], abs=1e-7, nan_ok=True)
    got = load("spearmanr").compute(said, right, return_pvalue=True)
    if len(said) > 2:  # with two scipy gives nan
        assert [got["spearmanr"], got["spearmanr_pvalue"]] == pytest.approx([*ranked], abs=1e-7, nan_ok=True)


@pytest.mark.parametrize("count", [3, 10, 200])
def test_chances_of_correlations_are_exact(count: int) -> None:
    rng = np.random.default_rng(count)
    said = rng.normal(size=count)
    right = said + rng.normal(size=count) * 3
    expected = stats.pearsonr(said, right)
    got = load("pearsonr").compute(said, right, return_pvalue=True)
    assert got["pearsonr"] == pytest.approx(expected.statistic, rel=1e-12)
    assert got["p-value"] == pytest.approx(expected.pvalue, rel=1e-9)


def test_a_correlation_of_what_does_not_vary_is_not_a_number() -> None:
    assert math.isnan(load("pearsonr").compute([1, 1, 1], [1, 2, 3])["pearsonr"])
    with pytest.raises(EvaluationError, match="at least two"):
        load("spearmanr").compute([1], [1])


def test_mahalanobis_distances_are_those_of_scipy() -> None:
    from scipy.spatial.distance import mahalanobis

    rng = np.random.default_rng(0)
    known = rng.normal(size=(30, 3))
    points = rng.normal(size=(5, 3))
    got = load("mahalanobis").compute(X=points, reference_distribution=known)["mahalanobis"]
    inverse = np.linalg.inv(np.cov(known.T))
    middle = np.full(3, known.mean())
    assert got == pytest.approx([mahalanobis(point, middle, inverse) ** 2 for point in points])
    flat = np.column_stack([known, known[:, 0]])  # no spread in one direction
    assert np.isfinite(load("mahalanobis").compute(flat[:2], reference_distribution=flat)["mahalanobis"]).all()
    with pytest.raises(EvaluationError, match="shape"):
        load("mahalanobis").compute(X=points, reference_distribution=known[:, :2])
