"""Several processes from one call: torch's own launcher, with the environment that an Accelerator reads."""

from __future__ import annotations

import gc
import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from enfold.errors import EnfoldError

__all__ = ["ProcessFailed", "debug_launcher", "launch", "notebook_launcher", "patch_environment"]

PRECISIONS = ("no", "fp16", "bf16", "fp8")


class ProcessFailed(EnfoldError):
    """One of several processes ended badly, and the others were stopped."""


@contextmanager
def patch_environment(**variables: Any) -> Iterator[None]:
    """Set environment variables, names in upper case, for the length of a ``with`` block.

    Example:
        >>> with patch_environment(answer=42):
        ...     os.environ["ANSWER"]
        '42'
    """
    before = {name.upper(): os.environ.get(name.upper()) for name in variables}
    os.environ.update({name.upper(): str(value) for name, value in variables.items()})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def launch(
    entry: Callable[..., Any] | str,
    arguments: tuple[Any, ...] | list[str] = (),
    *,
    processes: int,
    machines: int = 1,
    machine_rank: int = 0,
    address: str | None = None,
    port: int | None = None,
    rendezvous: str | None = None,
    restarts: int = 0,
    monitor_interval: float = 0.1,
    environment: Mapping[str, str] | None = None,
    method: str = "spawn",
) -> dict[int, Any]:
    """Run a function or a command in several processes that know of each other, with torch's elastic agent.

    When one ends badly, the others are stopped and the error says which it was, with its last words.

    Args:
        entry: a function, or the program of a command.
        arguments: of the function or program.
        processes: processes on this machine.
        machines, machine_rank: how many machines, and which this is.
        address, port: of the first machine; not needed for one.
        rendezvous: kind of meeting place, ``"static"`` or ``"c10d"``; by default static for several machines.
        restarts: how often all are started again after a failure.
        monitor_interval: seconds between two looks at the processes.
        environment: variables that the processes see besides ours.
        method: how a function's processes are made: ``"spawn"`` or ``"fork"``.

    Returns:
        Local rank → what the function returned.

    Raises:
        ProcessFailed: when a process ends badly.
    """
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    kind = rendezvous or ("c10d" if machines == 1 else "static")
    if machines > 1 and address is None:
        raise EnfoldError("several machines need the address of the first: main_process_ip (and main_process_port)")
    where = f"{address or 'localhost'}:{port or (0 if machines == 1 else 29500)}"
    config = LaunchConfig(
        min_nodes=machines,
        max_nodes=machines,
        nproc_per_node=processes,
        run_id="none" if machines > 1 else f"enfold-{os.getpid()}",
        rdzv_backend=kind,
        rdzv_endpoint=where,
        rdzv_configs={"rank": machine_rank, "timeout": 900} if kind == "static" else {"timeout": 900},
        max_restarts=restarts,
        monitor_interval=monitor_interval,
        start_method=method,
        local_addr="localhost" if machines == 1 else None,
    )
    extra = {"OMP_NUM_THREADS": str(threads_each(processes)), **(environment or {})}
    extra = {name: value for name, value in extra.items() if name not in os.environ or name != "OMP_NUM_THREADS"}
    with patch_environment(**extra):
        try:
            return elastic_launch(config, entry)(*arguments)
        except ChildFailedError as error:
            raise ProcessFailed(_last_words(error, machines * processes)) from error


def threads_each(processes: int) -> int:
    """Return the threads that each process gets, so that together they use every core once.

    Example:
        >>> threads_each(10**6)
        1
    """
    return max(1, (os.cpu_count() or 1) // processes)


def _last_words(error: Any, count: int) -> str:
    rank, failure = error.get_first_failure()
    how = f"was ended by {failure.signal_name()}" if failure.exitcode < 0 else f"ended with status {failure.exitcode}"
    text = f"process {rank} of {count} (pid {failure.pid}) {how}; the others were stopped"
    message = failure.message if isinstance(failure.message, str) else failure.message.get("message", "")
    told = message and not message.startswith(("Signal ", "To enable traceback"))
    return f"{text}: {message}" if told else text


def _run(function: Callable[..., Any], *arguments: Any) -> Any:
    """What each process of a function runs: the function, then leaving the group before the interpreter ends."""
    from enfold.accelerate.groups import leave_group

    # What a fork inherits may wait for threads that it has not: collecting it ends the process.
    gc.freeze()
    result = function(*arguments)
    leave_group()
    return result


def notebook_launcher(
    function: Callable[..., Any],
    args: tuple[Any, ...] = (),
    num_processes: int | None = None,
    mixed_precision: str = "no",
    use_port: str | int = "29500",
    master_addr: str = "127.0.0.1",
    node_rank: int = 0,
    num_nodes: int = 1,
    rdzv_backend: str = "static",
    rdzv_endpoint: str = "",
    rdzv_conf: dict[str, Any] | None = None,
    rdzv_id: str = "none",
    max_restarts: int = 0,
    monitor_interval: float = 0.1,
    log_line_prefix_template: str | None = None,
) -> Any:
    """Train from a notebook: run a function in several processes, or right here when one is enough.

    Args:
        function: trains; makes its own Accelerator. With several processes none may have been made before it.
        args: of the function.
        num_processes: how many; by default the GPUs, or one.
        mixed_precision: ``"no"``, ``"fp16"`` or ``"bf16"``.
        use_port, master_addr, node_rank, num_nodes: of the first machine, this one's number, and how many.
        rdzv_backend, rdzv_endpoint, rdzv_conf, rdzv_id, log_line_prefix_template: of torch's launcher; a meeting
            place is chosen for one machine.
        max_restarts, monitor_interval: how often to start again, and seconds between looks.
    """
    _known_precision(mixed_precision)
    count = num_processes if num_processes is not None else max(1, torch.cuda.device_count())
    if count < 1:
        raise ValueError(f"num_processes must be at least 1, got {count}")
    if count == 1 and num_nodes == 1:
        with patch_environment(accelerate_mixed_precision=mixed_precision):
            return function(*args)
    _nothing_begun()
    launch(
        _run,
        (function, *args),
        processes=count,
        machines=num_nodes,
        machine_rank=node_rank,
        address=master_addr if num_nodes > 1 else None,
        port=int(use_port) if num_nodes > 1 else None,
        restarts=max_restarts,
        monitor_interval=monitor_interval,
        environment={"ACCELERATE_MIXED_PRECISION": mixed_precision},
        method="fork",
    )
    return None


def debug_launcher(function: Callable[..., Any], args: tuple[Any, ...] = (), num_processes: int = 2) -> None:
    """Run a function in several processes on the processor: what a test or a first look needs.

    Args:
        function: makes its own Accelerator.
        args: of the function.
        num_processes: how many.
    """
    _nothing_begun()
    launch(_run, (function, *args), processes=num_processes, environment={"ACCELERATE_USE_CPU": "yes"}, method="fork")


def _known_precision(name: str) -> None:
    if name not in PRECISIONS:
        raise EnfoldError(f"mixed_precision must be one of {', '.join(PRECISIONS)}, got {name!r}")


def _nothing_begun() -> None:
    from enfold.accelerate.state import AcceleratorState

    if AcceleratorState._shared_state:
        raise EnfoldError(
            "an Accelerator was made before the processes: make it inside the function that is launched, and restart "
            "the notebook"
        )
    if torch.cuda.is_initialized():
        raise EnfoldError("CUDA is in use already, which processes cannot share: restart, and use it in the function")


def is_port_in_use(port: int | str | None = None) -> bool:
    """Return whether something listens on a local port.

    Example:
        >>> is_port_in_use(1)
        False
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as place:
        return place.connect_ex(("localhost", int(port or 29500))) == 0


def python_command(script: str, arguments: list[str], module: bool = False, no_python: bool = False) -> list[str]:
    """Return the command of a script or module, whose imports of the ecosystem are ours, or of a program as it is."""
    if no_python:
        return [script, *arguments]
    return [sys.executable, "-u", "-m", "enfold.dropin", *(["-m"] if module else []), script, *arguments]
