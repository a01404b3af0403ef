"""The Mahalanobis distance of points from a distribution."""

from __future__ import annotations

from typing import Any

from enfold.evaluate.arrays import table
from enfold.evaluate.errors import EvaluationError
from enfold.evaluate.info import MetricInfo
from enfold.evaluate.module import Metric

__all__ = ["Mahalanobis"]


class Mahalanobis(Metric):
    """How far points lie from a distribution, squared, in units of its spread in their direction.

    The input is ``X``, a list of numbers for each point.

    Options of ``compute``:
        reference_distribution: points of the distribution, of the same width.

    ``compute`` gives ``mahalanobis``, float64 of shape (points,). The ecosystem measures from the mean of all numbers
    of the distribution rather than from its centre, and so does this metric.

    Source: P. Mahalanobis, "On the generalized distance in statistics", 1936.

    Example:
        >>> found = Mahalanobis().compute(X=[[0, 1]], reference_distribution=[[0, 1], [1, 0]])
        >>> found["mahalanobis"].round(6).tolist()
        [0.5]
    """

    _takes_arrays = True

    def _info(self) -> MetricInfo:
        return MetricInfo(
            description="How far points lie from a distribution, in units of its spread.",
            citation="@article{mahalanobis1936generalized, title={On the generalized distance in statistics}, "
            "author={Mahalanobis, Prasanta Chandra}, year={1936}}",
            features={"X": ["float"]},
            inputs_description="reference_distribution.",
        )

    def _compute(self, *, X: Any, reference_distribution: Any = None) -> dict[str, Any]:
        import numpy as np

        if reference_distribution is None:
            raise EvaluationError("mahalanobis needs reference_distribution=…, the points to measure from")
        points = table(X, "X")
        known = np.asarray(reference_distribution, np.float64)
        if known.ndim != 2 or points.ndim != 2 or known.shape[1] != points.shape[1]:
            raise EvaluationError(f"X has the shape {points.shape}, reference_distribution {known.shape}")
        if len(known) < 2:
            raise EvaluationError("reference_distribution needs at least two points to have a spread")
        away = points - known.mean()
        spread = np.atleast_2d(np.cov(known.T))
        singular = np.linalg.matrix_rank(spread) < len(spread)
        inverse = np.linalg.pinv(spread) if singular else np.linalg.inv(spread)
        return {"mahalanobis": ((away @ inverse) * away).sum(1)}
