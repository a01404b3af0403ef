"""pass@k: whether generated programs pass their tests."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from enfold.evaluate.counting import Counting
from enfold.evaluate.errors import EvaluationError
from enfold.evaluate.info import MetricInfo
from enfold.evaluate.module import Metric

__all__ = ["CodeEval"]


class CodeEval(Counting, Metric):
    """The chance that one of k generated programs passes its test.

    This runs code that a model has written. Each program runs in a process and a temporary folder of its own, with
    limits on time, memory, processes and files; these stop accidents, not malice. It runs only when the environment
    variable ``HF_ALLOW_CODE_EVAL`` is ``1``: set it on a machine, or in a container, that has nothing to lose.

    Predictions are lists of candidate programs, references the tests, as Python source.

    Options of ``compute``:
        k: the numbers of candidates to consider, 1, 10 and 100 by default; those above the number given are left out.
        num_workers: how many programs run at once, 4 by default.
        timeout: seconds that each may take, 3 by default.

    ``compute`` gives a pair: ``{"pass@1": …}``, and for each test the results of its candidates.

    Source: M. Chen et al., "Evaluating large language models trained on code", 2021.

    Example:
        >>> os.environ["HF_ALLOW_CODE_EVAL"] = "1"
        >>> programs = [["def add(a, b): return a + b", "def add(a, b): return a * b"]]
        >>> CodeEval().compute(predictions=programs, references=["assert add(2, 3) == 5"], k=[1])[0]["pass@1"]
        0.5
    """

    def _info(self) -> MetricInfo:
        return MetricInfo(
            description="The chance that one of k generated programs passes its test.",
            citation="@misc{chen2021evaluating, title={Evaluating Large Language Models Trained on Code}, "
            "author={Mark Chen and others}, year={2021}, eprint={2107.03374}}",
            features={"predictions": ["string"], "references": "string"},
            inputs_description="k=[1, 10, 100], num_workers=4, timeout=3.0.",
            homepage="https://github.com/openai/human-eval",
        )

    def _count(
        self, *, predictions: list[list[str]], references: list[str], num_workers: int = 4, timeout: float = 3.0
    ) -> list[list[str]]:
        """Return the outcome of each program, by task."""
        from concurrent.futures import ThreadPoolExecutor

        from enfold.evaluate.sandbox import check

        if os.environ.get("HF_ALLOW_CODE_EVAL") != "1":
            raise EvaluationError(
                "code_eval runs programs that a model has written, which may do harm. Read what CodeEval says about "
                "its limits, and set the environment variable HF_ALLOW_CODE_EVAL=1 where that is no danger"
            )
        jobs = [
            (task, code + "\n" + test)
            for task, (codes, test) in enumerate(zip(predictions, references, strict=True))
            for code in codes
        ]
        with ThreadPoolExecutor(max_workers=num_workers) as pool:
            outcomes = list(pool.map(lambda job: check(job[1], timeout), jobs))
        found: list[list[str]] = [[] for _ in references]
        for (task, _), outcome in zip(jobs, outcomes, strict=True):
            found[task].append(outcome)
        return found

    def _score(
        self, counts: list[list[str]], *, k: Sequence[int] = (1, 10, 100)
    ) -> tuple[dict[str, float], dict[int, list[Any]]]:
        results: dict[int, list[Any]] = defaultdict(list)
        for task, outcomes in enumerate(counts):
            for number, outcome in enumerate(outcomes):
                passed = outcome == "passed"
                row = {"task_id": task, "passed": passed, "result": outcome, "completion_id": number}
                results[task].append((number, row))
        tasks = [(len(outcomes), outcomes.count("passed")) for outcomes in counts if outcomes]
        rates = {
            f"pass@{n}": sum(_chance(total, passed, n) for total, passed in tasks) / len(tasks)
            for n in ([k] if isinstance(k, int) else k)
            if tasks and all(total >= n for total, _ in tasks)
        }
        return rates, results


def _chance(total: int, passed: int, k: int) -> float:
    """Return the chance that k of ``total`` programs, drawn at random, hold one of those that passed."""
    if total - passed < k:
        return 1.0
    missed = 1.0
    for size in range(total - passed + 1, total + 1):
        missed *= 1.0 - k / size
    return 1.0 - missed
