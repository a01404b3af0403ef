"""Calls of a page's functions over HTTP: through the queue, by name with a result to fetch, or at once."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.requests import Request as HTTPRequest
from starlette.responses import Response

from enfold.errors import nearest
from enfold.gradio.encoding import encode
from enfold.gradio.engine import QueueFull
from enfold.gradio.jobs import Job
from enfold.gradio.playlists import has_streams
from enfold.gradio.request import Request
from enfold.gradio.sessions import Session
from enfold.gradio.streams import BEAT, event_stream
from enfold.web.limits import read_json
from enfold.web.sse import Mailbox, frame

if TYPE_CHECKING:
    from enfold.gradio.functions import BlockFunction
    from enfold.gradio.routes import App

__all__ = ["JSON", "Calls"]

PER_SESSION = 64
RESULTS = 1000  # calls of /call whose result nobody has fetched


class JSON(Response):
    """A JSON answer."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return encode(content)


class Calls:
    """The routes that call functions, and the results that wait to be fetched.

    Args:
        app: the application, with its engine and sessions.
    """

    def __init__(self, app: App) -> None:
        self.app = app
        self.results: dict[str, tuple[Job, Mailbox]] = {}

    def _function(self, name: str) -> BlockFunction:
        name = name.strip("/")
        fn = self.app.names.get(name)
        if fn is None or fn.api_visibility == "private":
            known = [each.api_name for each in self.app.names.values() if each.api_visibility == "public"]
            raise HTTPException(404, f"there is no endpoint {name!r}{nearest(name, known)}")
        return fn

    def _job(
        self,
        request: HTTPRequest,
        fn: BlockFunction,
        body: dict[str, Any],
        session: Session,
        sink: Mailbox,
        **options: Any,
    ) -> Job:
        data = body.get("data")
        data = [] if data is None else data
        if not isinstance(data, list):
            raise HTTPException(400, "data must be a list with one entry per input")
        wanted = len(fn.inputs)
        sent = [block for block in fn.inputs if block.type_name != "state"]
        if len(data) != wanted and len(data) == len(sent):  # plain HTTP callers leave states out
            values = iter(data)
            data = [None if block.type_name == "state" else next(values) for block in fn.inputs]
        if len(data) != wanted:
            raise HTTPException(400, f"{fn.api_name} takes {wanted} input values, {len(data)} were sent")
        if len(session.pending) >= PER_SESSION:
            raise HTTPException(503, f"this session has {PER_SESSION} calls under way; wait for some to end")
        trigger = body.get("trigger_id")
        asked = Request(request, username=self.app.login.user(request), session_hash=session.hash)
        asked.signed_in = self.app.sign_in.info(request) if self.app.sign_in is not None else None
        job = Job(
            fn,
            data,
            session,
            asked,
            sink,
            event_data=body.get("event_data"),
            trigger_id=trigger if isinstance(trigger, int) else None,
            **options,
        )
        job.root = self.app.root(request)
        return job

    async def _submit(self, job: Job) -> None:
        if self.app.ended:
            raise HTTPException(503, "the server is closing")
        try:
            problems = await self.app.engine.problems(job)
        except Exception as error:
            raise HTTPException(
                400, self.app.engine.explain(error, job.fn)["error"] or "the inputs cannot be read"
            ) from None
        if problems:
            raise HTTPException(422, problems)  # type: ignore[arg-type]
        if await self.app.engine.recall(job):
            return
        try:
            self.app.engine.submit(job)
        except QueueFull as error:
            raise HTTPException(503, str(error)) from None

    async def read(self, request: HTTPRequest, whole: bool = False) -> Any:
        """The JSON in a request: an object, or anything when ``whole``."""
        try:
            body = await read_json(request, self.app.settings.max_body)
        except ValueError as error:
            raise HTTPException(400, f"the request is not JSON: {error}") from None
        if not whole and not isinstance(body, dict):
            raise HTTPException(400, "a JSON object is expected")
        return body

    async def join(self, request: HTTPRequest) -> Response:
        body = await self.read(request)
        index, hash = body.get("fn_index"), body.get("session_hash")
        if not isinstance(hash, str) or not 1 <= len(hash) <= 128:
            raise HTTPException(400, "session_hash must be a text of at most 128 characters")
        known = self.app.sessions.get(hash)
        fn = self.app.blocks.fns.get(index) if isinstance(index, int) else None
        if fn is None and known is not None and isinstance(index, int):
            fn = known.function(index)
        if fn is None or fn.fn is None:
            raise HTTPException(400, f"there is no function with fn_index {index!r}")
        session = self.app.sessions.open(hash)
        if self.app.links is not None and session.shown is None and "deep_link" in body:
            self.app.links.enter(session, body["deep_link"])
        browser = session.lingers = request.headers.get("x-gradio-user") == "app"
        job = self._job(request, fn, body, session, session.mailbox, every_value=not browser, streams=not browser)
        await self._submit(job)
        return JSON({"event_id": job.id})

    async def status(self, request: HTTPRequest) -> Response:
        waiting = sum(map(len, self.app.engine.lanes.values()))
        return JSON({"msg": "estimation", "rank": None, "queue_size": waiting, "rank_eta": None})

    async def call(self, request: HTTPRequest) -> Response:
        body = await self.read(request)
        return await self._begin_call(request, self._function(request.path_params["name"]), body)

    async def call_by_name(self, request: HTTPRequest) -> Response:
        """``/call/v2``: the parameters by name, defaults for those left out."""
        fn = self._function(request.path_params["name"])
        given = await self.read(request)
        from enfold.gradio.schema import _endpoint

        described = _endpoint(fn)["parameters"]
        known = {entry["parameter_name"] for entry in described}
        hash = given.pop("session_hash", None) if "session_hash" not in known else None
        for name in given:
            if name not in known:
                raise HTTPException(400, f"{fn.api_name} has no parameter {name!r}{nearest(name, known)}")
        data = []
        for entry in described:
            if entry["parameter_name"] not in given and not entry["parameter_has_default"]:
                raise HTTPException(400, f"{fn.api_name} needs the parameter {entry['parameter_name']!r}")
            data.append(given.get(entry["parameter_name"], entry["parameter_default"]))
        return await self._begin_call(request, fn, {"data": data, "session_hash": hash})

    async def _begin_call(self, request: HTTPRequest, fn: BlockFunction, body: dict[str, Any]) -> Response:
        session = self._session(body)
        if has_streams(fn):
            session = self.app.sessions.open(session.hash)  # they are fetched after the call
        box = Mailbox()
        job = self._job(request, fn, body, session, box, edits=False, streams=has_streams(fn))
        await self._submit(job)
        self.results[job.id] = (job, box)
        while len(self.results) > RESULTS:
            self.results.pop(next(iter(self.results)))
        return JSON({"event_id": job.id})

    def _session(self, body: dict[str, Any]) -> Session:
        hash = body.get("session_hash")
        if isinstance(hash, str) and 1 <= len(hash) <= 128:
            return self.app.sessions.open(hash)
        return Session(uuid.uuid4().hex)  # a visitor of one call: nothing to remember

    async def call_result(self, request: HTTPRequest) -> Response:
        self._function(request.path_params["name"])
        found = self.results.get(request.path_params["event"])
        if found is None or found[0].fn is not self._function(request.path_params["name"]):
            raise HTTPException(404, "there is no such call, or its result has been fetched")
        return event_stream(self._call_messages(*found))

    async def _call_messages(self, job: Job, box: Mailbox) -> AsyncIterator[bytes]:
        import json

        position = 0
        try:
            while True:
                for body in box.take(position):
                    message = json.loads(body[6:])
                    position = message["seq"]
                    output = message.get("output", {})
                    if message["msg"] == "process_generating":
                        yield frame(encode(output["data"]), "generating")
                    elif message["msg"] == "process_completed":
                        if message["success"]:
                            yield frame(encode(output.get("data")), "complete")
                        else:
                            yield frame(encode(output if output.get("error") is not None else None), "error")
                        return
                if self.app.ended:
                    yield frame(b'{"error":"The server is closing."}', "error")
                    return
                if not await box.wait(BEAT):
                    yield frame(b"null", "heartbeat")
        finally:
            self.results.pop(job.id, None)
            if not job.finished:
                self.app.engine.cancel(job)

    async def run(self, request: HTTPRequest) -> Response:
        body = await self.read(request)
        name = request.path_params["name"]
        if name == "predict" and name not in self.app.names and isinstance(body.get("fn_index"), int):
            fn = self.app.blocks.fns.get(body["fn_index"])
            if fn is None or fn.fn is None or fn.api_visibility == "private":
                raise HTTPException(404, f"there is no function with fn_index {body['fn_index']}")
        else:
            fn = self._function(name)
        if fn.queue and not self.app.blocks.api_open:
            raise HTTPException(404, "this endpoint is only served through the queue")
        result = await self.once(request, fn, body.get("data"), self._session(body), body)
        if not result.get("success"):
            return JSON(result.get("output"), status_code=500)
        return JSON(result["output"])

    async def once(
        self,
        request: HTTPRequest,
        fn: BlockFunction,
        data: Any,
        session: Session | None = None,
        body: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Call a function and wait for its last value; the message with which it ended."""
        box = Mailbox()
        given = {**(body or {}), "data": data}
        session = session or self._session({})
        known = self.app.sessions.get(session.hash) is session  # its streams can be fetched after the call
        job = self._job(request, fn, given, session, box, edits=False, every_value=False, streams=known)
        await self._submit(job)
        while not job.finished:
            box.take(box.last)
            if not job.finished:
                await box.wait(BEAT)
            if await request.is_disconnected():
                self.app.engine.cancel(job)
        return job.result or {}

    async def cancel(self, request: HTTPRequest) -> Response:
        body = await self.read(request)
        session = self.app.sessions.get(str(body.get("session_hash")))
        event = body.get("event_id")
        job = session.pending.get(event) if session is not None and isinstance(event, str) else None
        if job is not None:
            self.app.engine.cancel(job)
        return JSON({"success": True})

    async def reset(self, request: HTTPRequest) -> Response:
        return JSON({"success": True})  # clients call it beside /cancel; the event alone is no right to stop it
