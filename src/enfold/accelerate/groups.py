"""How a process joins its siblings and leaves them: every attempt meets in a place of its own, nobody leaves midway."""

from __future__ import annotations

import atexit
import gc
import os
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch

__all__ = ["join_group", "leave_group"]

# The threads on which gloo runs collectives, as torch names them.
RUNNERS = "pt_gloo_runloop"


def join_group(backend: str, *, timeout: timedelta | None = None, init_method: str | None = None) -> None:
    """Join the process group that the launcher's variables describe.

    The launcher keeps one store over restarts, and gloo's addresses stay in it: a restarted process could read where
    its sibling listened before, and be refused. So each attempt writes under a prefix of its own.

    Args:
        backend: ``"gloo"``, ``"nccl"``, or one per device such as ``"cpu:gloo,cuda:nccl"``.
        timeout: how long a collective may take; torch's default when None.
        init_method: where to meet; by default the address in ``MASTER_ADDR`` and ``MASTER_PORT``.
    """
    options: dict[str, Any] = {} if timeout is None else {"timeout": timeout}
    if init_method is None:
        store, rank, size = next(torch.distributed.rendezvous("env://", **options))
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        place = torch.distributed.PrefixStore(f"enfold/attempt_{attempt}", store)
        torch.distributed.init_process_group(backend, store=place, rank=rank, world_size=size, **options)
    else:
        rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        torch.distributed.init_process_group(backend, init_method=init_method, rank=rank, world_size=size, **options)
    atexit.register(_at_exit)


def leave_group() -> None:
    """Leave the process group, and come back only when none of its threads needs the interpreter any more.

    A gloo thread that is still letting go of a collective's tensors wants the interpreter's lock. When it asks while
    the interpreter is ending, Python before 3.14 ends the thread inside a destructor that may not throw, and the whole
    process aborts after all its work is done. ``destroy_process_group`` waits for these threads only when nothing else
    holds the group, and ``DistributedDataParallel``, for one, does.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
        gc.collect()
    _let_threads_finish()


def _at_exit() -> None:
    # The end of the process closes gloo's connections. Closing them before would let siblings of a process that fails
    # fail first, and the launcher name the wrong one.
    joined = torch.distributed.is_initialized() and getattr(sys, "last_type", None) is None
    if joined and "gloo" not in torch.distributed.get_backend():
        leave_group()
    else:
        _let_threads_finish()


def _let_threads_finish(patience: float = 5.0) -> None:
    """Sleep, without the interpreter's lock, until gloo's threads have all been asleep three times in a row."""
    tasks = Path("/proc/self/task")
    if not tasks.is_dir():  # not Linux: threads cannot be looked at, but still be let run
        time.sleep(0.05)
        return
    end, quiet = time.monotonic() + patience, 0
    while quiet < 3 and time.monotonic() < end:
        time.sleep(0.001)
        quiet = 0 if any(map(_busy, tasks.iterdir())) else quiet + 1


def _busy(task: Path) -> bool:
    try:
        if (task / "comm").read_text().strip() != RUNNERS:
            return False
        # "pid (name) state …": R is running or waiting for a processor, D is waiting for a device
        return (task / "stat").read_text().rpartition(")")[2].split()[0] in "RD"
    except OSError:  # it has ended meanwhile
        return False
