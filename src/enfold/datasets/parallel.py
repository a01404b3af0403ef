"""Where the work of loading is spread: over processes, or over a backend that joblib knows."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

__all__ = ["ParallelBackendConfig", "parallel_backend", "spread"]


class ParallelBackendConfig:
    """The backend in use: a name that joblib knows, or None for processes of this machine."""

    backend_name: str | None = None


@contextlib.contextmanager
def parallel_backend(backend_name: str) -> Iterator[None]:
    """Use a backend of joblib, such as ``"spark"`` or ``"loky"``, in the body of a ``with`` statement.

    Args:
        backend_name: its name; ``"spark"`` needs the package ``joblibspark``.
    """
    if backend_name == "spark":
        from joblibspark import register_spark  # type: ignore[import-not-found,unused-ignore]

        register_spark()
    before, ParallelBackendConfig.backend_name = ParallelBackendConfig.backend_name, backend_name
    try:
        yield
    finally:
        ParallelBackendConfig.backend_name = before


def spread(function: Callable[[Any], Any], values: Sequence[Any], count: int) -> list[Any]:
    """Return a function's results for values, computed by ``count`` processes or jobs of the backend.

    Functions that cannot be sent to another process by name, such as those of a notebook, go by their code.
    """
    name = ParallelBackendConfig.backend_name
    if name is not None:
        import joblib  # type: ignore[import-untyped,unused-ignore]

        with joblib.parallel_backend(name, n_jobs=count):
            return list(joblib.Parallel()(joblib.delayed(function)(value) for value in values))
    from .workers import in_processes

    task = SimpleNamespace(noun="values", function=function, values=values)
    count = min(count, len(values))
    cuts = [len(values) * number // count for number in range(count + 1)]
    made = in_processes(task, _changed, list(itertools.pairwise(cuts)), count)
    return [value for _, _, part in made for value in part]


def _changed(task: Any, start: int, stop: int, rank: int) -> list[Any]:
    return [task.function(value) for value in task.values[start:stop]]
