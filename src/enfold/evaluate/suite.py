"""Suites: one model on several data sets, each with its task and metric."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from enfold.evaluate.errors import EvaluationError

__all__ = ["EvaluationSuite", "SubTask"]


@dataclass
class SubTask:
    """One part of a suite.

    Args:
        task_type: the evaluator's task, such as ``"text-classification"``.
        data: a data set or its name.
        subset, split: which configuration and part of it.
        data_preprocessor: a function of one row, mapped over the data set before.
        args_for_task: further arguments of `Evaluator.compute`: ``metric``, ``input_column``, ``label_mapping`` …
    """

    task_type: str
    data: Any = None
    subset: str | None = None
    split: str | None = None
    data_preprocessor: Callable[[Any], Any] | None = None
    args_for_task: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.task_type, str):
            raise EvaluationError(f"task_type is the name of a task, not {type(self.task_type).__name__}")
        if self.data is None:
            raise EvaluationError(f"a SubTask for {self.task_type} needs data: a data set or its name")


class EvaluationSuite:
    """Several evaluations that belong together.

    A suite is a subclass that sets ``self.suite`` to a list of `SubTask` in ``__init__``, in a file of its own that
    `load` reads; or a suite is made at once with ``tasks``.

    Args:
        name: shown in results.
        tasks: the parts.

    Example:
        >>> suite = EvaluationSuite("reviews", [SubTask("text-classification", "imdb", split="test[:100]")])
        >>> suite
        EvaluationSuite name: "reviews", Tasks: ['imdb'])
    """

    def __init__(self, name: str, tasks: list[SubTask] | None = None) -> None:
        self.name = name
        self.suite: list[SubTask] = list(tasks or [])

    @staticmethod
    def load(path: str, **options: Any) -> EvaluationSuite:
        """Read a suite from a Python file, or from a folder with a file of the folder's name; the file is run.

        Args:
            path: the file or folder.
            **options: accepted for the ecosystem's sake; nothing is downloaded.

        Raises:
            EvaluationError: there is no such file, or it defines no suite.
        """
        from pathlib import Path

        from enfold.evaluate.loading import _script

        module = _script(path)
        if module is None:
            raise EvaluationError(f"{path!r} is no Python file, nor a folder with one of its name")
        made = [
            value
            for value in vars(module).values()
            if isinstance(value, type) and issubclass(value, EvaluationSuite) and value is not EvaluationSuite
        ]
        if len(made) != 1:
            raise EvaluationError(f"{path} must define one subclass of EvaluationSuite; it defines {len(made)}")
        return made[0](Path(path).stem)

    def __repr__(self) -> str:
        return f'EvaluationSuite name: "{self.name}", Tasks: {[_name(task) for task in self.suite]})'

    def assert_suite_nonempty(self) -> None:
        """Raise `EvaluationError` when there are no parts."""
        if not self.suite:
            raise EvaluationError("the suite has no tasks: set self.suite to a list of SubTask")

    def run(self, model_or_pipeline: Any) -> list[dict[str, Any]]:
        """Evaluate a model or pipeline on every part.

        Returns:
            The results of each, with ``task_name`` and ``data_preprocessor``.
        """
        from enfold.evaluate.evaluators import evaluator

        self.assert_suite_nonempty()
        found = []
        for task in self.suite:
            judge = evaluator(task.task_type)
            data = task.data
            if task.data_preprocessor is not None:
                data = judge.load_data(data, task.subset, task.split).map(task.data_preprocessor)
            named = isinstance(data, str)
            where = {"subset": task.subset, "split": task.split} if named else {}
            results = judge.compute(model_or_pipeline, data, **{**where, **task.args_for_task})
            results["task_name"] = _name(task)
            results["data_preprocessor"] = None if task.data_preprocessor is None else str(task.data_preprocessor)
            found.append(results)
        return found


def _name(task: SubTask) -> str:
    name = task.data if isinstance(task.data, str) else type(task.data).__name__
    return f"{name}/{task.subset}" if task.subset else name
