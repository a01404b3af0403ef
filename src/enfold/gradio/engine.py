"""The engine: lanes of waiting calls, the threads that run them, and what comes of their results."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from enfold.gradio.block import Block
from enfold.gradio.caching import MISSING, Store
from enfold.gradio.components.base import Component
from enfold.gradio.components.state import State
from enfold.gradio.errors import Error, GradioError
from enfold.gradio.files import FileRules, current_rules, with_address
from enfold.gradio.functions import Arguments, BlockFunction, function_name
from enfold.gradio.jobs import Cancelled, Job, current_job
from enfold.gradio.playlists import has_streams, streamed
from enfold.gradio.schema import parameter_names
from enfold.log import get_logger
from enfold.web.lanes import Lane

if TYPE_CHECKING:
    from enfold.gradio.blocks import Blocks
    from enfold.gradio.deep_links import DeepLinks

__all__ = ["Engine", "QueueFull"]

log = get_logger(__name__)
BROADCAST = 0.1  # seconds between two rounds of telling those who wait where they are


class QueueFull(GradioError):
    """More calls wait than the demo allows."""


class Engine:
    """Run the calls of one demo.

    Args:
        blocks: the demo.
        max_threads: threads for functions that are not coroutines.
        show_error: whether visitors see the text of errors that functions did not raise for them.
        rules: which files functions may show.
    """

    def __init__(
        self,
        blocks: Blocks,
        *,
        max_threads: int = 40,
        show_error: bool = False,
        rules: FileRules | None = None,
    ) -> None:
        self.blocks, self.show_error, self.rules = blocks, show_error, rules or FileRules()
        self.pool = ThreadPoolExecutor(max_threads, thread_name_prefix="gradio")
        self.lanes: dict[str, Lane[Job]] = {}
        self.links: DeepLinks | None = None  # told of every value where links to the page's state can be made
        self._telling: set[str] = set()
        self._tasks: set[asyncio.Task[Any]] = set()

    def submit(self, job: Job) -> None:
        """Queue a call, or run it at once when its function is not queued.

        Raises:
            QueueFull: no more may wait.
        """
        if not job.fn.queue:
            job.session.pending[job.id] = job
            self._start(None, [job])
            return
        lane = self._lane(job.fn)
        limit = self.blocks.max_size
        full = lane.limit is not None and lane.running >= lane.limit
        if limit is not None and full and sum(map(len, self.lanes.values())) >= limit:
            raise QueueFull(f"Queue is full. Max size is {limit} and {limit} calls wait.")
        job.session.pending[job.id] = job
        ahead = len(lane) if full else 0
        job.post(self._estimation(lane, job.fn, ahead, ahead + 1))
        lane.push(job.id, job)

    async def recall(self, job: Job) -> bool:
        """Answer a call beside the queue with a result that :func:`enfold.gradio.cache` has kept; whether there is."""
        if not isinstance(getattr(job.fn.fn, "cache", None), Store) or job.fn.batch:
            return False
        peek = job.fn.fn.peek  # type: ignore[union-attr]
        try:
            found = await self._in_thread(job, self._recalled, job, peek)
        except Exception:  # told in the ordinary way, when the function runs
            return False
        if found is None:
            return False
        job.used_cache, job.recalled = "full", time.perf_counter() - job.started
        job.session.pending[job.id] = job
        for data in found if job.fn.is_generator else ():
            job.offer(data)
        job.complete(found[-1] if found else [None] * len(job.fn.outputs))
        return True

    def _recalled(self, job: Job, peek: Callable[..., Any]) -> list[list[Any]] | None:
        args, kwargs = self._arguments(job)
        kept = peek(*args, **kwargs)
        if kept is MISSING:
            return None
        if not job.fn.is_generator:
            return [self.finish(job, kept)]
        return [streamed(job, self.finish(job, value)) for value in kept]

    def cancel(self, job: Job) -> None:
        """Stop a call: it leaves the queue, or its function is told."""
        if not job.running and job.fn.lane in self.lanes and self.lanes[job.fn.lane].remove(job.id) is not None:
            self._tell(job.fn.lane)
        job.stop()

    def close(self) -> None:
        """Stop everything."""
        for lane in self.lanes.values():
            for job in lane:
                lane.remove(job.id)
                job.stop()
        for task in list(self._tasks):
            task.cancel()
        self.pool.shutdown(wait=False, cancel_futures=True)

    def _lane(self, fn: BlockFunction) -> Lane[Job]:
        lane = self.lanes.get(fn.lane)
        if lane is None:
            limits = [
                self.blocks.default_concurrency_limit if each.concurrency_limit == "default" else each.concurrency_limit
                for each in self.blocks.fns.values()
                if each.lane == fn.lane
            ]
            numbers = [limit for limit in limits if isinstance(limit, int)]
            name = fn.lane
            lane = self.lanes[name] = Lane(
                lambda jobs: self._start(name, jobs),
                min(numbers) if numbers else None,
                size=lambda job: job.fn.max_batch_size if job.fn.batch else 1,
                joins=lambda first, other: first.fn is other.fn,
            )
        return lane

    def _estimation(self, lane: Lane[Job], fn: BlockFunction, rank: int, size: int) -> dict[str, Any]:
        eta = None if fn.average is None else fn.average * (rank // (lane.limit or 1) + 1)
        return {"msg": "estimation", "rank": rank, "queue_size": size, "rank_eta": eta}

    def _tell(self, name: str) -> None:
        if name in self._telling or not self.lanes[name].waiting:
            return
        self._telling.add(name)

        def tell() -> None:
            self._telling.discard(name)
            lane = self.lanes[name]
            for rank, job in enumerate(lane):
                job.post(self._estimation(lane, job.fn, rank, len(lane)))

        asyncio.get_running_loop().call_later(BROADCAST, tell)

    def _start(self, lane: str | None, jobs: list[Job]) -> None:
        task = asyncio.get_running_loop().create_task(self._run(lane, jobs))
        for job in jobs:
            job.running, job.task = True, task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if lane is not None:
            self._tell(lane)

    async def _run(self, lane: str | None, jobs: list[Job]) -> None:
        try:
            for job in jobs:
                job.started = time.perf_counter()
                job.post({"msg": "process_starts", "eta": job.fn.average})
            if jobs[0].fn.batch:
                await self._run_batch(jobs)
            else:
                await self._run_one(jobs[0])
        finally:
            if lane is not None:
                self.lanes[lane].done()

    async def _run_one(self, job: Job) -> None:
        try:
            if job.fn.is_async:
                current_job.set(job)  # this task's own context: nothing to restore
                current_rules.set(self.rules)
                data = await self._call_async(job)
            else:
                data = await self._in_thread(job, self._call, job)
            job.fn.record(time.perf_counter() - job.started)
            job.complete(data)
        except (Cancelled, asyncio.CancelledError):
            job.stop()
        except BaseException as error:
            job.fail(self.explain(error, job.fn))

    async def _in_thread(self, job: Job, call: Callable[..., Any], *arguments: Any) -> Any:
        context = contextvars.copy_context()
        context.run(current_job.set, job)
        context.run(current_rules.set, self.rules)
        return await job.loop.run_in_executor(self.pool, context.run, call, *arguments)

    def _call(self, job: Job) -> list[Any]:
        """Run a function that is not a coroutine, wholly in this thread, also when it is a generator."""
        assert job.fn.fn is not None
        args, kwargs = self._arguments(job)
        if job.fn.renderable is not None:
            job.rendered = with_address(job.fn.renderable.run(job, args), job.root)
            return []
        with tracked_bars(job.fn):
            result = job.fn.fn(*args, **kwargs)
            if not inspect.isgenerator(result):
                return self.finish(job, result)
            data: list[Any] = [None] * len(job.fn.outputs)
            try:
                for value in result:
                    if job.cancelled.is_set():
                        raise Cancelled
                    data = streamed(job, self.finish(job, value, data))
                    job.loop.call_soon_threadsafe(job.offer, data)
            finally:
                result.close()  # the function's own finally clauses run here and now
            return data

    async def _call_async(self, job: Job) -> list[Any]:
        assert job.fn.fn is not None
        args, kwargs = self._arguments(job)
        result = job.fn.fn(*args, **kwargs)
        if not inspect.isasyncgen(result):
            return self.finish(job, await result)
        data: list[Any] = [None] * len(job.fn.outputs)
        try:
            async for value in result:
                data = self.finish(job, value, data)
                if job.streams and has_streams(job.fn):
                    data = await self._in_thread(job, streamed, job, data)
                job.offer(data)
        finally:
            await result.aclose()
        return data

    async def _run_batch(self, jobs: list[Job]) -> None:
        fn = jobs[0].fn
        assert fn.fn is not None
        current_rules.set(self.rules)
        ready: list[tuple[Job, list[Any]]] = []
        for job in jobs:
            try:
                ready.append((job, self._values(job)))
            except Exception as error:
                job.fail(self.explain(error, fn))
        if not ready:
            return
        try:
            columns = [list(column) for column in zip(*(values for _, values in ready), strict=True)]
            args, kwargs = fn.arguments(columns, ready[0][0].request, None, None)
            call = functools.partial(fn.fn, *args, **kwargs)
            result = await (call() if fn.is_async else self._in_thread(ready[0][0], call))
            outputs = list(result or [])
            # One output: [column] is the documented form, the bare column is understood too.
            if len(fn.outputs) == 1 and not (len(outputs) == 1 and isinstance(outputs[0], (list, tuple))):
                outputs = [outputs]
            if any(len(column) < len(ready) for column in outputs):
                raise GradioError(f"{function_name(fn.fn)} takes batches: each result must have one entry per call")
            fn.record(time.perf_counter() - jobs[0].started)
            for index, (job, _) in enumerate(ready):
                row = [column[index] for column in outputs]
                job.complete(self.finish(job, row[0] if len(fn.outputs) == 1 else tuple(row)))
        except (Cancelled, asyncio.CancelledError):
            for job, _ in ready:
                job.stop()
        except BaseException as error:
            for job, _ in ready:
                job.fail(self.explain(error, fn))

    async def problems(self, job: Job) -> list[dict[str, Any]] | None:
        """What the function's validator says of its inputs, one entry for each; None when all may be used."""
        judge = job.fn.judge
        if judge is None:
            return None
        assert judge.fn is not None
        values = await self._in_thread(job, self._values, job)
        args, kwargs = judge.arguments(values, job.request, None, job.event_data)
        ask = functools.partial(judge.fn, *args, **kwargs)
        told = await (ask() if judge.is_async else self._in_thread(job, ask))
        several = list(told) if isinstance(told, (list, tuple)) else [told]
        # What clients of the wire protocol know: a name stands beside what was judged, and nothing beside the rest.
        names = [name for name, _ in parameter_names(job.fn)]
        entries: list[dict[str, Any]] = [
            {**entry, "parameter_name": names[at] if at < len(names) else f"parameter_{at}"}
            if isinstance(entry, dict) and entry.get("__type__") == "validate"
            else {"is_valid": True, "message": ""}
            for at, entry in enumerate(several)
        ]
        return None if all(entry["is_valid"] for entry in entries) else entries

    def _values(self, job: Job) -> list[Any]:
        values = []
        for block, payload in zip(job.fn.inputs, job.data, strict=True):
            if isinstance(block, State):
                values.append(job.session.read_state(block))
            elif isinstance(block, Component) and job.fn.preprocess:
                values.append(job.session.component(block).preprocess(payload))
                if self.links is not None:
                    self.links.took(job.session, block, payload)
            else:
                values.append(payload)
        return values

    def _arguments(self, job: Job) -> Arguments:
        number = job.trigger_id
        target = None if number is None else self.blocks.blocks.get(number) or job.session.block(number)
        return job.fn.arguments(self._values(job), job.request, target, job.event_data)

    def finish(self, job: Job, result: Any, before: list[Any] | None = None) -> list[Any]:
        """Turn what a function returned into what travels, one payload per output.

        Raises:
            GradioError: the result does not fit the outputs.
        """
        outputs = job.fn.outputs
        name = function_name(job.fn.fn) if job.fn.fn else "the function"
        if isinstance(result, dict) and result and all(isinstance(key, Block) for key in result):
            unknown = [key for key in result if key not in outputs]
            if unknown:
                raise GradioError(
                    f"{name} returned a value for a {type(unknown[0]).__name__} that is not among its outputs"
                )
            values = [result.get(block, {"__type__": "update"}) for block in outputs]
        elif len(outputs) == 0:
            return []
        elif len(outputs) == 1:
            values = [result[0] if isinstance(result, tuple) and len(result) == 1 else result]
        else:
            values = list(result) if isinstance(result, (tuple, list)) else [result]
            if len(values) != len(outputs):
                raise GradioError(
                    f"{name} must return {len(outputs)} values, one per output; it returned {len(values)}"
                )
        return [self._payload(job, block, value) for block, value in zip(outputs, values, strict=True)]

    def _payload(self, job: Job, block: Block, value: Any) -> Any:
        session = job.session
        if isinstance(value, Block):
            value = value.update_from()
        update = isinstance(value, dict) and value.get("__type__") == "update"
        if isinstance(block, State):
            if not (update and "value" not in value) and session.write_state(
                block, value["value"] if update else value
            ):
                job.changed_states.append(block._id)
            return None
        if update:
            changes = dict(value)
            if "choices" in changes:
                from enfold.gradio.components.base import pairs

                changes["choices"] = pairs(changes["choices"])
            session.change(block, changes)
            if "value" in changes and isinstance(block, Component) and job.fn.postprocess:
                changes["value"] = session.component(block).postprocess(changes["value"])
            if self.links is not None:
                self.links.gave(session, block, changes)
            return with_address(changes, job.root) if block.has_files else changes
        if not isinstance(block, Component):
            raise GradioError(f"a {type(block).__name__} has no value; return gr.update(...) for it")
        shown = session.component(block).postprocess(value) if job.fn.postprocess else value
        if self.links is not None:
            self.links.gave(session, block, {"value": shown})
        return with_address(shown, job.root) if block.has_files else shown

    def explain(self, error: BaseException, fn: BlockFunction) -> dict[str, Any]:
        """What the visitor is told of an error, and the log of its traceback."""
        if isinstance(error, Error):
            if error.print_exception:
                log.error("%s raised %s", fn.api_name, error)
            return error.payload()
        log.error("%s failed", fn.api_name, exc_info=error)
        return {"error": (str(error) or type(error).__name__) if self.show_error else None}


def tracked_bars(fn: BlockFunction) -> Any:
    """A context in which ``tqdm`` bars are reported when the function's Progress asks for it."""
    import contextlib

    from enfold.gradio.request import Progress

    if any(isinstance(kind, Progress) and kind.track_tqdm for kind in fn.special.values()):
        from enfold.gradio.bars import tracking

        return tracking()
    return contextlib.nullcontext()
