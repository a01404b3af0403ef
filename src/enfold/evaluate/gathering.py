"""Several processes evaluate together: each leaves its counts or inputs in a shared folder, the first reads them all.

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
    """The exchange of one module's counts or inputs between the processes of one run.

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

    def exchange(self, content: Any) -> list[Any] | None:
        """Hand in what this process has: values of JSON, numpy arrays, dictionaries with any keys.

        Returns:
            In the first process the contents of all, in their order; elsewhere None, at once.

        Raises:
            EvaluationError: not every process handed in its content in time.
        """
        self._round += 1
        if self._place:
            path = self._path(self._place)
            part = path.with_suffix(".part")
            part.write_text(json.dumps(_packed(content)), encoding="utf-8")
            part.replace(path)
            return None
        end = time.monotonic() + self._timeout
        waiting = set(range(1, self._count))
        while waiting := {place for place in waiting if not self._path(place).exists()}:
            if time.monotonic() > end:
                missing = ", ".join(map(str, sorted(waiting)))
                raise EvaluationError(f"process {missing} handed in no inputs within {self._timeout:g} seconds")
            time.sleep(0.01)
        everyone = [content]
        for place in range(1, self._count):
            everyone.append(_unpacked(json.loads(self._path(place).read_text(encoding="utf-8"))))
            self._path(place).unlink()
        return everyone

    def _path(self, place: int) -> Path:
        return self._folder / f"{self._label}-{self._round}-{self._count}-{place}.json"


def _packed(content: Any) -> Any:
    """Return a content as JSON's values: arrays and dictionaries, whose keys may be of any type, as marked objects."""
    if isinstance(content, dict):
        return {"pairs": [[_packed(key), _packed(value)] for key, value in content.items()]}
    if isinstance(content, (list, tuple)):
        return [_packed(item) for item in content]
    if hasattr(content, "tolist"):
        values = content.tolist()
        return {"array": values} if isinstance(values, list) else values
    return content


def _unpacked(content: Any) -> Any:
    if isinstance(content, list):
        return [_unpacked(item) for item in content]
    if isinstance(content, dict) and "array" in content:
        import numpy as np

        return np.asarray(content["array"])
    if isinstance(content, dict):
        pairs = [(_unpacked(key), _unpacked(value)) for key, value in content["pairs"]]
        return {tuple(key) if isinstance(key, list) else key: value for key, value in pairs}
    return content
