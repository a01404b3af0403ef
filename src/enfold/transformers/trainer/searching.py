"""What searches for hyperparameters share: who searches, what is judged, how a model is made for a trial."""

from __future__ import annotations

import enum
import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["HPSearchBackend", "default_compute_objective", "number_of_arguments"]


class HPSearchBackend(str, enum.Enum):
    """Programs that search."""

    OPTUNA = "optuna"
    RAY = "ray"
    SIGOPT = "sigopt"
    WANDB = "wandb"


def default_compute_objective(metrics: dict[str, float]) -> float:
    """Return what a trial is judged by: the sum of its metrics, or the loss where there is nothing else.

    Example:
        >>> default_compute_objective({"eval_loss": 0.5, "eval_accuracy": 0.75, "eval_runtime": 3.0, "epoch": 1})
        0.75
    """
    speed = ("_runtime", "_per_second", "_compilation_time")
    judged = {
        name: value
        for name, value in metrics.items()
        if name not in ("eval_loss", "epoch") and not name.endswith(speed)
    }
    return sum(judged.values()) if judged else metrics["eval_loss"]


def number_of_arguments(function: Callable[..., Any]) -> int:
    """Return how many parameters a function has.

    Example:
        >>> number_of_arguments(lambda trial: trial)
        1
    """
    return len(inspect.signature(function).parameters)
