"""Running a task's ranges of rows, by one worker or several, with the results in order.

Workers take the next range when they are free, so that a slow range keeps one of them and no other. They are threads
where the function is ours, because our C++ code and Arrow's run beside Python; they are processes for other functions,
which Python runs one at a time in a process.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import itertools
import multiprocessing
import multiprocessing.connection
import os
import pickle
import signal
import sys
import threading
import traceback
import types
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa

from .errors import WorkerDiedError
from .task import Task

__all__ = ["in_processes", "is_ours", "ordered"]

# What runs a range: (task, start, stop, rank) → result.
Work = Callable[[Task, int, int, int], Any]
# Batches that one coroutine function works on at the same time.
_ASYNC_BATCHES = 64


def ordered(task: Task, work: Work, workers: int) -> Iterator[tuple[int, int, Any]]:
    """Yield (start, stop, result) for every range, in order.

    Args:
        task: the function and its ranges.
        work: what makes the result of one range.
        workers: how many run at the same time; at most as many as there are ranges.

    Raises:
        WorkerDiedError: a worker process ended before its range was done; the message names the rows.
    """
    ranges = list(task.ranges(workers))
    workers = min(workers, len(ranges))
    if _is_coroutine(task.function):
        yield from _on_a_loop(task, work, ranges, workers)
    elif workers <= 1:
        for start, stop in ranges:
            yield start, stop, _named(work, task, start, stop, 0)
    elif is_ours(task.function) or multiprocessing.current_process().daemon:
        yield from _in_threads(task, work, ranges, workers)
    else:
        yield from in_processes(task, work, ranges, workers)


def _named(work: Work, task: Any, start: int, stop: int, rank: int) -> Any:
    try:
        return work(task, start, stop, rank)
    except Exception as error:
        if hasattr(error, "add_note"):  # Python 3.11
            places, place = getattr(task, "mark", None) or ((-1,), 0)
            error.add_note(f"in row {places[place]}" if places[place] >= 0 else f"in {task.noun} {start} to {stop - 1}")
        raise


def _is_coroutine(function: Any) -> bool:
    called = vars(type(function)).get("__call__")
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)


def is_ours(function: Any) -> bool:
    """Return whether a function spends its time in our own code, which threads can run at the same time.

    It is one where it is an object of ours (a tokenizer, a processor, anything with ``__arrow_map__``), or a Python
    function, method or partial that calls one.
    """
    found = [function]
    if isinstance(function, functools.partial):
        found += [function.func, *function.args, *function.keywords.values()]
    for one in list(found):
        if isinstance(one, types.MethodType):
            found.append(one.__self__)
        if isinstance(one, types.FunctionType):
            for cell in one.__closure__ or ():
                with contextlib.suppress(ValueError):
                    found.append(cell.cell_contents)
            found += [one.__globals__[name] for name in one.__code__.co_names if name in one.__globals__]
    return any(_is_engine(one) for one in found)


def _is_engine(value: Any) -> bool:
    if isinstance(value, (type, types.ModuleType)):
        return False
    if hasattr(value, "__arrow_map__"):
        return True
    home = getattr(value, "__module__", None) if inspect.isroutine(value) else type(value).__module__
    known = ("enfold._native", "enfold.tokenizers", "enfold.transformers", "enfold.datasets")
    return isinstance(home, str) and home.startswith(known) and callable(value)


# ---- threads ---------------------------------------------------------------------------------------------------------


def _in_threads(task: Task, work: Work, ranges: list[tuple[int, int]], workers: int) -> Iterator[tuple[int, int, Any]]:
    ranks = itertools.count()
    local = threading.local()

    def begin() -> None:
        local.rank = next(ranks)

    def ranked(start: int, stop: int) -> Any:
        return _named(work, task, start, stop, local.rank)

    waiting: deque[tuple[int, int, Any]] = deque()
    with ThreadPoolExecutor(workers, initializer=begin) as pool:
        try:
            for start, stop in ranges:
                waiting.append((start, stop, pool.submit(ranked, start, stop)))
                if len(waiting) > 2 * workers:
                    first, last, future = waiting.popleft()
                    yield first, last, future.result()
            while waiting:
                first, last, future = waiting.popleft()
                yield first, last, future.result()
        finally:
            for _, _, future in waiting:
                future.cancel()


def _on_a_loop(task: Task, work: Work, ranges: list[tuple[int, int]], workers: int) -> Iterator[tuple[int, int, Any]]:
    """Await a coroutine function for all rows of a range, or for many batches, at the same time on one event loop."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="enfold-map-loop", daemon=True)
    thread.start()
    pending: set[Any] = set()
    function = task.function

    def begin(*arguments: Any, **options: Any) -> Any:
        future = asyncio.run_coroutine_threadsafe(function(*arguments, **options), loop)
        pending.add(future)
        future.add_done_callback(pending.discard)
        return future

    task.begin = begin
    try:
        # threads only wait for the loop here: as many as there may be batches on their way
        yield from _in_threads(
            task, work, ranges, min(len(ranges), _ASYNC_BATCHES) if task.batched else max(workers, 1)
        )
    finally:
        for future in list(pending):
            future.cancel()
        with contextlib.suppress(Exception):
            asyncio.run_coroutine_threadsafe(loop.shutdown_asyncgens(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        task.begin = None


# ---- processes -------------------------------------------------------------------------------------------------------


def in_processes(task: Any, work: Any, ranges: list[tuple[int, int]], workers: int) -> Iterator[tuple[int, int, Any]]:
    """Yield (start, stop, ``work(task, start, stop, rank)``) for every range, in order, from worker processes.

    Raises:
        WorkerDiedError: a worker ended before its range was done; the message names what ``task.noun`` says it is.
    """
    # A forked worker has the function and the data as they are; where a program chose another way to start processes
    # (CUDA needs it), or the system has no fork, both are pickled.
    method = multiprocessing.get_start_method(allow_none=True)
    if method is None:
        method = "fork" if sys.platform.startswith("linux") else "spawn"
    context: Any = multiprocessing.get_context(method)
    counter = context.Value("q", 0)
    current = context.Array("q", [-1] * workers, lock=False)
    places = context.Array("q", [-1] * workers, lock=False)
    content: Any = (task, work, ranges) if method == "fork" else _pickled((task, work, ranges))
    processes, pipes = [], []
    try:
        for rank in range(workers):
            mine, theirs = context.Pipe(duplex=False)
            process = context.Process(
                target=_serve, args=(content, rank, theirs, counter, current, places), daemon=True
            )
            with warnings.catch_warnings():
                # Python warns of threads that a fork does not copy; Arrow's and ours are made anew in the child
                warnings.simplefilter("ignore", DeprecationWarning)
                process.start()
            theirs.close()
            processes.append(process)
            pipes.append(mine)
        yield from _collect(ranges, processes, pipes, current, places, task.noun)
    finally:
        for process in processes:
            process.terminate()
        for process, pipe in zip(processes, pipes, strict=True):
            process.join(5)
            if process.is_alive():
                process.kill()
                process.join()
            pipe.close()


def _collect(
    ranges: list[tuple[int, int]], processes: list[Any], pipes: list[Any], current: Any, places: Any, noun: str
) -> Iterator[tuple[int, int, Any]]:
    ready: dict[int, Any] = {}
    following = 0
    open_pipes = dict(enumerate(pipes))
    while following < len(ranges):
        if following in ready:
            start, stop = ranges[following]
            yield start, stop, ready.pop(following)
            following += 1
            continue
        # Results that came too early wait here; with many of them, only the worker that has the next one is heard, and
        # the others stop at their full pipes.
        asked = dict(open_pipes)
        if len(ready) > 4 * len(processes):
            asked = {rank: pipe for rank, pipe in open_pipes.items() if current[rank] == following} or asked
        doors = [processes[rank].sentinel for rank in asked]
        heard = set(multiprocessing.connection.wait([*asked.values(), *doors]))
        for rank, pipe in asked.items():
            if pipe not in heard and not (processes[rank].sentinel in heard and pipe.poll()):
                if processes[rank].sentinel in heard and not pipe.poll():
                    _died(processes[rank], rank, ranges, current, places, noun)
                continue
            try:
                number, result, error = _receive(pipe)
            except (EOFError, OSError):
                processes[rank].join(5)
                if processes[rank].exitcode == 0 and current[rank] < 0:
                    del open_pipes[rank]
                    continue
                _died(processes[rank], rank, ranges, current, places, noun)
            if error is not None:
                raise error
            if number < 0:  # there is nothing left for it to do
                del open_pipes[rank]
                continue
            ready[number] = result


def _died(process: Any, rank: int, ranges: list[tuple[int, int]], current: Any, places: Any, noun: str) -> None:
    process.join(5)
    code = process.exitcode
    how = f"was ended by signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"ended with {code}"
    number = current[rank]
    where = f"{noun} {ranges[number][0]} to {ranges[number][1] - 1}" if number >= 0 else f"no {noun} yet"
    where = f"row {places[rank]}" if places[rank] >= 0 else where
    hint = "; it may have needed more memory than there is" if code == -signal.SIGKILL else ""
    raise WorkerDiedError(f"worker {rank} {how} while it worked on {where}{hint}")


def _serve(content: Any, rank: int, pipe: Any, counter: Any, current: Any, places: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted, too, and ends its workers
    task, work, ranges = pickle.loads(content) if isinstance(content, bytes) else content
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)  # its threads did not come along
    pa.set_cpu_count(1)
    if isinstance(task, Task):
        task.mark = (places, rank)
    parent = os.getppid()
    while os.getppid() == parent:
        with counter:
            number = counter.value
            if number >= len(ranges):
                current[rank] = -1
                break
            counter.value = number + 1
            current[rank] = number
            places[rank] = -1
        start, stop = ranges[number]
        try:
            result = _named(work, task, start, stop, rank)
            _send(pipe, number, result)
        except BrokenPipeError:
            return
        except BaseException as error:
            with contextlib.suppress(BrokenPipeError):
                _send_error(pipe, number, error)
            return
    with contextlib.suppress(BrokenPipeError):
        _send(pipe, -1, None)
    pipe.close()


def _send(pipe: Any, number: int, result: Any) -> None:
    table, rest = result if isinstance(result, tuple) else (None, result)
    pipe.send((number, rest, None, table is not None))
    if table is not None:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
        pipe.send_bytes(memoryview(sink.getvalue()))


def _send_error(pipe: Any, number: int, error: BaseException) -> None:
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    error.__cause__ = error.__context__ = None
    try:
        data = pickle.dumps(error)
        pickle.loads(data)
    except Exception:
        data = pickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"))
    pipe.send((number, (data, text), "error", False))


def _receive(pipe: Any) -> tuple[int, Any, BaseException | None]:
    number, rest, kind, has_table = pipe.recv()
    if kind == "error":
        data, text = rest
        error = pickle.loads(data)
        error.__cause__ = RuntimeError(f"in a worker process:\n{text}")
        return number, None, error
    if has_table:
        table = pa.ipc.open_stream(pa.py_buffer(pipe.recv_bytes())).read_all()
        return number, (table, rest), None
    return number, rest, None


def _pickled(value: Any) -> bytes:
    try:
        import cloudpickle as pickler
    except ImportError:
        pickler = pickle  # type: ignore[assignment]
    try:
        return pickler.dumps(value)
    except Exception as error:
        raise TypeError(
            f"the function cannot be sent to worker processes ({error}): "
            "define it at the top of a module, install cloudpickle, or leave num_proc out"
        ) from error
