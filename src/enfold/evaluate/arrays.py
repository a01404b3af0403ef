"""What the metrics on numbers share: tables from ragged input, weights, averages over outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from enfold.evaluate.errors import EvaluationError

__all__ = ["over_outputs", "summed", "table", "weights_of"]


def table(values: Any, name: str) -> Any:
    """Return a column as one array, of shape (examples,) or (examples, entries).

    Raises:
        EvaluationError: the examples have different lengths.
    """
    import numpy as np

    if not isinstance(values, list):
        return values
    try:
        return np.stack([np.asarray(row) for row in values])
    except ValueError:
        raise EvaluationError(f"{name}: every example must have the same number of entries") from None


def weights_of(sample_weight: Sequence[float] | None, rows: int) -> Any:
    """Return the weights of the examples as float64, or None.

    Raises:
        EvaluationError: there are not as many weights as examples.
    """
    import numpy as np

    if sample_weight is None:
        return None
    weights = np.asarray(sample_weight, np.float64)
    if weights.shape != (rows,):
        raise EvaluationError(f"sample_weight has {weights.size} entries for {rows} examples")
    return weights


def summed(errors: Any, sample_weight: Sequence[float] | None = None) -> dict[str, Any]:
    """Add errors over examples.

    Args:
        errors: float64 of shape (examples,) or (examples, outputs).
        sample_weight: a weight for each example.

    Returns:
        ``sum``, float64 of shape (outputs,), and ``all``, the number or weight of the examples.
    """
    columns = errors.reshape(len(errors), -1)
    weights = weights_of(sample_weight, len(errors))
    if weights is None:
        return {"sum": columns.sum(0), "all": len(errors)}
    return {"sum": weights @ columns, "all": float(weights.sum())}


def over_outputs(values: Any, multioutput: Any) -> Any:
    """Average one value for each output.

    Args:
        values: float64 of shape (outputs,).
        multioutput: ``"uniform_average"``, ``"raw_values"`` (no average over outputs), or a weight for each output.

    Returns:
        A float; with ``"raw_values"`` the values.

    Raises:
        EvaluationError: there is no such average, or there are not as many weights as outputs.
    """
    import numpy as np

    if isinstance(multioutput, str):
        if multioutput == "raw_values":
            return values
        if multioutput == "uniform_average":
            return float(values.mean())
        raise EvaluationError(
            f"multioutput is 'uniform_average', 'raw_values' or weights of the outputs, not {multioutput!r}"
        )
    weights = np.asarray(multioutput, np.float64)
    if weights.shape != values.shape:
        raise EvaluationError(f"multioutput has {weights.size} weights for {values.size} outputs")
    return float(np.average(values, weights=weights))
