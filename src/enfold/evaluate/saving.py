"""Results into a JSON file, with what is needed to know later where they came from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

__all__ = ["save"]


def save(path_or_file: str | os.PathLike[str], **data: Any) -> Path:
    """Write results and the circumstances they were made in to a JSON file.

    Args:
        path_or_file: a file, or a folder (a name without a suffix), in which ``result-DATE-TIME.json`` is made.
        **data: what to write. Added are ``_timestamp``, ``_git_commit_hash`` (None outside a repository),
            ``_evaluate_version``, ``_python_version`` and ``_interpreter_path``.

    Returns:
        The path of the file.

    Example:
        >>> import tempfile
        >>> path = save(tempfile.mkdtemp() + "/run.json", bleu=0.7, model="gpt2")
        >>> json.loads(path.read_text())["bleu"]
        0.7
    """
    from enfold.evaluate import __version__

    now = datetime.now()
    path = Path(path_or_file)
    if not path.suffix:
        path = path / now.strftime("result-%Y_%m_%d-%H_%M_%S.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    data |= {
        "_timestamp": now.isoformat(),
        "_git_commit_hash": _commit(),
        "_evaluate_version": __version__,
        "_python_version": sys.version,
        "_interpreter_path": sys.executable,
    }
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        # numpy's numbers and arrays are results as well
        part.write_text(json.dumps(data, default=lambda value: value.tolist()), encoding="utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def _commit() -> str | None:
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
