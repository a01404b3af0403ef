"""Several processes evaluate together: each leaves its inputs in a shared folder, the first one reads them all.

One file per process and round, written under a temporary name and renamed, so that a file that exists is complete. The
name carries what tells one run from another (torchrun's id or the master's address), and a process removes what an
earlier run with the same name may have left behind.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

from enfold.evaluate.errors import EvaluationError

__all__ = ["Gathering", "default_folder"]


def default_folder() -> Path:
    """Return the folder for exchanged inputs: ``HF_EVALUATE_CACHE``, else ``evaluate`` below ``HF_HOME``."""
    home = os.environ.get("HF_HOME") or os.path.join(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "huggingface")
    return Path(os.environ.get("HF_EVALUATE_CACHE") or os.path.join(home, "evaluate")).expanduser()


class Gathering:
    """The exchange of one module's inputs between the processes of one run.

    Args:
        folder: shared by all processes; made when missing.
        experiment_id: a name for this evaluation.
        num_process: how many processes take part.
        process_id: which of them this is.
        timeout: seconds to wait for the others.
    """

    def __init__(self, folder: Path, experiment_id: str, num_process: int, process_id: int, timeout: float) -> None:
        run = "|".join(os.environ.get(key, "") for key in ("TORCHELASTIC_RUN_ID", "MASTER_ADDR", "MASTER_PORT"))
        label = hashlib.sha256(f"{experiment_id}|{run}".encode()).hexdigest()[:16]
        self._folder, self._label = folder, label
        self._count, self._place, self._timeout = num_process, process_id, timeout
        self._round = 0
        folder.mkdir(parents=True, exist_ok=True)
        for left_over in folder.glob(f"{label}-*-{process_id}.json"):
            left_over.unlink(missing_ok=True)

    def exchange(self, columns: dict[str, Any]) -> list[dict[str, Any]] | None:
        """Hand in this process's columns.

        Returns:
            In the first process the columns of all, in their order; elsewhere None, at once.

        Raises:
            EvaluationError: not every process handed in its inputs in time.
        """
        self._round += 1
        if self._place:
            path = self._path(self._place)
            part = path.with_suffix(".part")
            part.write_text(json.dumps(columns), encoding="utf-8")
            part.replace(path)
            return None
        end = time.monotonic() + self._timeout
        waiting = set(range(1, self._count))
        while waiting := {place for place in waiting if not self._path(place).exists()}:
            if time.monotonic() > end:
                missing = ", ".join(map(str, sorted(waiting)))
                raise EvaluationError(f"process {missing} handed in no inputs within {self._timeout:g} seconds")
            time.sleep(0.01)
        everyone = [columns]
        for place in range(1, self._count):
            everyone.append(json.loads(self._path(place).read_text(encoding="utf-8")))
            self._path(place).unlink()
        return everyone

    def _path(self, place: int) -> Path:
        return self._folder / f"{self._label}-{self._round}-{self._count}-{place}.json"
