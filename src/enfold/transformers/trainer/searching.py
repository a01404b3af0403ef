"""Searching for hyperparameters: a trial is a training with some of the arguments set anew."""

from __future__ import annotations

import copy
import enum
import gc
import importlib
import inspect
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from enfold.errors import EnfoldError, nearest
from enfold.log import get_logger

if TYPE_CHECKING:
    from enfold.transformers.trainer.trainer import Trainer

__all__ = [
    "BestRun",
    "HPSearchBackend",
    "default_compute_objective",
    "default_hp_space_optuna",
    "number_of_arguments",
    "search",
]

logger = get_logger(__name__)


class HPSearchBackend(str, enum.Enum):
    """Programs that search."""

    OPTUNA = "optuna"
    RAY = "ray"
    SIGOPT = "sigopt"
    WANDB = "wandb"


class SearchError(RuntimeError, EnfoldError):
    """A search cannot begin."""


class BestRun(NamedTuple):
    """The best trial of a search.

    Attributes:
        run_id: its number.
        objective: what it was judged by; one value for each direction.
        hyperparameters: what it set.
        run_summary: accepted.
    """

    run_id: str
    objective: float | list[float]
    hyperparameters: dict[str, Any]
    run_summary: Any = None


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


def default_hp_space_optuna(trial: Any) -> dict[str, Any]:
    """Let a trial of optuna choose learning rate, epochs, seed and batch size."""
    return {
        "learning_rate": trial.suggest_float("learning_rate", 1e-6, 1e-4, log=True),
        "num_train_epochs": trial.suggest_int("num_train_epochs", 1, 5),
        "seed": trial.suggest_int("seed", 1, 40),
        "per_device_train_batch_size": trial.suggest_categorical("per_device_train_batch_size", [4, 8, 16, 32, 64]),
    }


def number_of_arguments(function: Callable[..., Any]) -> int:
    """Return how many parameters a function has.

    Example:
        >>> number_of_arguments(lambda trial: trial)
        1
    """
    return len(inspect.signature(function).parameters)


def search(
    trainer: Trainer,
    hp_space: Callable[[Any], dict[str, Any]] | None = None,
    compute_objective: Callable[[dict[str, float]], Any] | None = None,
    n_trials: int = 20,
    direction: str | list[str] = "minimize",
    backend: str | HPSearchBackend | None = None,
    hp_name: Callable[[Any], str] | None = None,
    **kwargs: Any,
) -> BestRun | list[BestRun]:
    """Train ``n_trials`` times with other arguments, and return what the best of them had.

    Args:
        trainer: made with ``model_init``, so that every trial begins with a new model.
        hp_space: ``trial → {argument: value}``; by default learning rate, epochs, seed and batch size.
        compute_objective: ``metrics → what a trial is judged by``.
        n_trials: how many.
        direction: ``"minimize"`` or ``"maximize"``, or a list of them for several objectives.
        backend: ``"optuna"``.
        hp_name: ``trial → name of its folder``.
        kwargs: of ``optuna.create_study``; ``timeout``, ``n_jobs``, ``gc_after_trial`` and ``catch`` of its
            ``optimize``.

    Raises:
        SearchError: optuna is not installed, another program is asked for, or there is no ``model_init``.
    """
    wanted = HPSearchBackend(backend) if backend is not None else HPSearchBackend.OPTUNA
    if wanted is not HPSearchBackend.OPTUNA:
        raise SearchError(f"hyperparameters are searched with optuna, not with {wanted.value}")
    if trainer.model_init is None:
        raise SearchError("a search makes a new model for every trial: give the trainer a model_init, not a model")
    if trainer.args.world_size > 1:
        raise SearchError("a search runs in one process; let each trial start its own processes instead")
    try:
        optuna = importlib.import_module("optuna")
    except ImportError as error:
        raise SearchError("hyperparameter_search needs optuna: pip install 'enfold[search]'") from error
    space, judge = hp_space or default_hp_space_optuna, compute_objective or default_compute_objective
    outer = trainer.args

    def objective(trial: Any) -> Any:
        trainer.args = _arguments(outer, space(trial), hp_name(trial) if hp_name else f"run-{trial.number}")
        trainer._trial, trainer._judge, trainer._objective = trial, judge, None
        trainer.train(trial=trial)
        if trainer._objective is None:
            trainer._objective = judge(trainer.evaluate())
        gc.collect()  # the trial's model and optimizer hold each other
        return trainer._objective

    options = {name: kwargs.pop(name) for name in ("timeout", "n_jobs", "gc_after_trial", "catch") if name in kwargs}
    many = isinstance(direction, (list, tuple))
    study = optuna.create_study(**({"directions": list(direction)} if many else {"direction": direction}), **kwargs)
    try:
        study.optimize(objective, n_trials=n_trials, **options)
    finally:
        trainer.args, trainer._trial = outer, None
    if many:
        return [BestRun(str(best.number), list(best.values), dict(best.params)) for best in study.best_trials]
    best = study.best_trial
    return BestRun(str(best.number), best.value, dict(best.params))


def _arguments(outer: Any, chosen: dict[str, Any], name: str) -> Any:
    """Return the arguments of one trial: as given, but for what it chose, in a folder of its own."""
    args = copy.copy(outer)
    args.output_dir = os.path.join(outer.output_dir, name)
    for key, value in chosen.items():
        if not hasattr(args, key):
            logger.warning("the search sets %s, which is no training argument%s", key, nearest(key, vars(args)))
            continue
        before = getattr(args, key)
        setattr(args, key, value if before is None or isinstance(before, bool) else type(before)(value))
    return args


def report(trainer: Trainer, metrics: dict[str, float]) -> None:
    """Tell the search how its trial stands; a trial without prospects ends here.

    Raises:
        optuna.TrialPruned: the search gave the trial up.
    """
    trial = trainer._trial
    if trial is None:
        return
    trainer._objective = trainer._judge(dict(metrics))
    if hasattr(trial, "report") and isinstance(trainer._objective, (int, float)):
        trial.report(trainer._objective, trainer.state.global_step)
        if trial.should_prune():
            raise importlib.import_module("optuna").TrialPruned()
