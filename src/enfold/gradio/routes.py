"""The HTTP face of a page: the wire protocol that clients and the front end speak, as an ASGI application."""

from __future__ import annotations

import asyncio
import gzip
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request as HTTPRequest
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from enfold.errors import nearest
from enfold.gradio.components.base import Component
from enfold.gradio.encoding import encode
from enfold.gradio.engine import Engine, QueueFull
from enfold.gradio.files import FileRules, parse_size, with_address
from enfold.gradio.jobs import Job
from enfold.gradio.page import page
from enfold.gradio.request import Request
from enfold.gradio.sessions import Session, Sessions
from enfold.gradio.streams import BEAT, Streams, event_stream
from enfold.gradio.transfers import Transfers
from enfold.gradio.ui_files import assets
from enfold.gradio.ui_files import found as ui_file
from enfold.log import get_logger
from enfold.web.limits import BodyTooLarge, read_json
from enfold.web.origin import OriginGuard
from enfold.web.sse import Mailbox, frame

if TYPE_CHECKING:
    from enfold.gradio.blocks import Blocks
    from enfold.gradio.functions import BlockFunction

__all__ = ["App", "Settings"]

log = get_logger(__name__)
PREFIX = "/gradio_api"
CALLS_PER_SESSION = 64
CALL_RESULTS = 1000  # calls of /call whose result nobody has fetched


@dataclass
class Settings:
    """How a page is served; :meth:`enfold.gradio.Blocks.launch` says what each means.

    ``hosts`` are the names this server answers to beside loopback ones; None for any.
    """

    auth: Callable[[str, str], bool] | tuple[str, str] | list[tuple[str, str]] | None = None
    auth_message: str | None = None
    show_error: bool = False
    root_path: str = ""
    session_capacity: int = 10_000
    max_threads: int = 40
    max_body: int = 64 * 2**20
    favicon: Path | None = None
    footer_links: list[Any] = field(default_factory=lambda: ["api"])
    hosts: list[str] | None = None
    allowed_paths: list[str | Path] = field(default_factory=list)
    blocked_paths: list[str | Path] = field(default_factory=list)
    max_file_size: str | int | None = None
    mcp: bool = False


class JSON(Response):
    """A JSON answer."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return encode(content)


class App:
    """The ASGI application of a page: serve it, mount it, or give it to a test client.

    Args:
        blocks: the page.
        settings: how it is served.

    Example:
        >>> from starlette.testclient import TestClient
        >>> from enfold.gradio import Interface
        >>> app = App.create_app(Interface(str.upper, "text", "text", api_name="shout"))
        >>> TestClient(app).post("/gradio_api/run/shout", json={"data": ["hi"]}).json()["data"]
        ['HI']
    """

    def __init__(self, blocks: Blocks, settings: Settings | None = None) -> None:
        from enfold.gradio.login import Login

        self.blocks, self.settings = blocks, settings or Settings()
        self.rules = FileRules(
            self.settings.allowed_paths, self.settings.blocked_paths, parse_size(self.settings.max_file_size)
        )
        self.engine = Engine(
            blocks, max_threads=self.settings.max_threads, show_error=self.settings.show_error, rules=self.rules
        )
        streams = Streams(self)
        transfers = Transfers(blocks, self.rules, blocks.delete_cache)
        self.sessions = Sessions(self.settings.session_capacity)
        self.calls: dict[str, tuple[Job, Mailbox]] = {}
        self.config = blocks.get_config_file() | {
            "show_error": self.settings.show_error,
            "footer_links": self.settings.footer_links,
            "max_file_size": self.rules.max_size,
            "mcp_server": self.settings.mcp,
            "i18n_translations": blocks.i18n.config() if blocks.i18n else None,
        }
        self._has_files = {
            block._id for block in blocks.blocks.values() if isinstance(block, Component) and block.has_files
        }
        self.names = {fn.api_name: fn for fn in blocks.fns.values() if fn.fn is not None}
        self.ended = False
        self.over = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.login = Login(self.settings.auth, self.settings.auth_message)
        routes = [
            Route("/", self.index),
            Route("/config", self.get_config),
            Route("/config/", self.get_config),
            Route("/login", self.login.enter, methods=["POST"]),
            Route("/logout", self.login.leave),
            Route("/favicon.ico", self.favicon),
            Route("/robots.txt", _robots),
            Route("/gradio.js", self.embed),
        ]
        api = [
            Route("/ui/{digest}/{name}", self.asset),
            Route("/config", self.get_config),
            Route("/info", self.info),
            Route("/info/", self.info),
            Route("/app_id", self.app_id),
            Route("/startup-events", self.startup),
            Route("/queue/join", self.join, methods=["POST"]),
            Route("/queue/data", streams.data),
            Route("/queue/status", self.status),
            Route("/call/v2/{name}", self.call_by_name, methods=["POST"]),
            Route("/call/{name}", self.call, methods=["POST"]),
            Route("/call/{name}/{event}", self.call_result),
            Route("/run/{name}", self.run, methods=["POST"]),
            Route("/api/{name}", self.run, methods=["POST"]),
            Route("/run/{name}/", self.run, methods=["POST"]),
            Route("/api/{name}/", self.run, methods=["POST"]),
            Route("/cancel", self.cancel, methods=["POST"]),
            Route("/reset", self.reset, methods=["POST"]),
            Route("/reset/", self.reset, methods=["POST"]),
            Route("/heartbeat/{session}", streams.heartbeat),
            Route("/upload", transfers.upload, methods=["POST"]),
            Route("/file={path:path}", transfers.file),
            Route("/file/{path:path}", transfers.file),
            Route("/library/{name}.js", transfers.library),
            Route("/component_server", transfers.component, methods=["POST"]),
            Route("/component_server/", transfers.component, methods=["POST"]),
        ]
        if self.settings.mcp:
            from enfold.gradio.mcp import MCP

            mcp = MCP(self)
            api += [
                Route(path, mcp.answer, methods=["GET", "POST", "DELETE"]) for path in ("/mcp", "/mcp/", "/mcp/http/")
            ]
            api.append(Route("/mcp/schema", mcp.schema))
        self._inner = Starlette(
            routes=[*routes, *(Route(PREFIX + route.path, route.endpoint, methods=route.methods) for route in api)],
            exception_handlers={HTTPException: _explain, BodyTooLarge: _too_large},
        )
        self._guarded = OriginGuard(
            self.login.guard(self._inner), hosts=self.settings.hosts, unsafe_get=("/logout", f"{PREFIX}/heartbeat/")
        )

    @classmethod
    def create_app(cls, blocks: Blocks, **settings: Any) -> App:
        """Make the application of a page; ``settings`` are fields of :class:`Settings`."""
        return cls(blocks, Settings(**settings))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            self._loop = asyncio.get_running_loop()
        await self._guarded(scope, receive, send)

    def end(self) -> None:
        """Stop all work and let every open stream end; from any thread."""
        loop, self.ended = self._loop, True
        if loop is None or loop.is_closed():
            self.engine.close()
            self.sessions.close()
            return

        def end() -> None:
            self.over.set()
            self.engine.close()
            for session in self.sessions:
                for job in list(session.pending.values()):
                    job.fail({"error": "The server is closing."})
                session.mailbox.wake()
            for _, mailbox in self.calls.values():
                mailbox.wake()
            self.sessions.close()

        loop.call_soon_threadsafe(end)

    # --- the page and what describes it --------------------------------------------------------------------------

    def root(self, request: HTTPRequest) -> str:
        """The address this page has for this visitor, worked out per request and never remembered."""
        asked = self.settings.root_path
        if asked.startswith(("http://", "https://")):
            return asked
        headers = request.headers
        host = headers.get("x-forwarded-host", headers.get("host", "localhost")).split(",")[0].strip()
        scheme = headers.get("x-forwarded-proto", request.url.scheme).split(",")[0].strip()
        path = asked or request.scope.get("root_path", "")
        return f"{scheme}://{host}{path}".rstrip("/")

    def _config(self, request: HTTPRequest) -> dict[str, Any]:
        root = self.root(request)
        config = {**self.config, "root": root, "username": self.login.user(request)}
        if self._has_files:
            config["components"] = [
                {**entry, "props": with_address(entry["props"], root)} if entry["id"] in self._has_files else entry
                for entry in config["components"]
            ]
        return config

    async def index(self, request: HTTPRequest) -> Response:
        if not self.login.allows(request):
            return self.login.form(self.blocks.title)
        favicon = "favicon.ico" if self.settings.favicon else None
        body, headers = page(self.blocks, self._config(request), favicon=favicon)
        packed = body.encode()
        if "gzip" in request.headers.get("accept-encoding", ""):
            packed, headers["Content-Encoding"] = gzip.compress(packed, 6), "gzip"
        return HTMLResponse(packed, headers={**headers, "Vary": "Accept-Encoding"})

    async def get_config(self, request: HTTPRequest) -> Response:
        return JSON(self._config(request))

    async def info(self, request: HTTPRequest) -> Response:
        everything = request.query_params.get("all_endpoints", "").lower() in {"1", "true"}
        return JSON(self.blocks.get_api_info(everything))

    async def app_id(self, request: HTTPRequest) -> Response:
        return JSON({"app_id": self.blocks.app_id})

    async def startup(self, request: HTTPRequest) -> Response:
        return JSON(True)

    async def asset(self, request: HTTPRequest) -> Response:
        digest, _ = assets()
        found = ui_file(request.path_params["name"])
        if found is None:
            raise HTTPException(404, "no such file")
        # An older page may ask with the hash of a front end that is gone: it gets the present one, unremembered.
        fresh = request.path_params["digest"] == digest
        cache = "public, max-age=31536000, immutable" if fresh else "no-cache"
        headers = {"Cache-Control": cache, "Vary": "Accept-Encoding", "X-Content-Type-Options": "nosniff"}
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(found.packed, media_type=found.kind, headers={**headers, "Content-Encoding": "gzip"})
        return Response(found.body, media_type=found.kind, headers=headers)

    async def embed(self, request: HTTPRequest) -> Response:
        """The script behind ``<gradio-app src=...>``: the one file that pages of other sites may load."""
        found = assets()[1]["embed.js"]
        headers = {"Access-Control-Allow-Origin": "*", "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
        return Response(found.body, media_type=found.kind, headers=headers)

    async def favicon(self, request: HTTPRequest) -> Response:
        if self.settings.favicon is None:
            return Response(status_code=204)
        from starlette.responses import FileResponse

        return FileResponse(self.settings.favicon, headers={"X-Content-Type-Options": "nosniff"})

    # --- calls ---------------------------------------------------------------------------------------------------

    def _function(self, name: str) -> BlockFunction:
        name = name.strip("/")
        fn = self.names.get(name)
        if fn is None or fn.api_visibility == "private":
            known = [each.api_name for each in self.names.values() if each.api_visibility == "public"]
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
        if len(session.pending) >= CALLS_PER_SESSION:
            raise HTTPException(503, f"this session has {CALLS_PER_SESSION} calls under way; wait for some to end")
        trigger = body.get("trigger_id")
        asked = Request(request, username=self.login.user(request), session_hash=session.hash)
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
        job.root = self.root(request)
        return job

    async def _submit(self, job: Job) -> None:
        if self.ended:
            raise HTTPException(503, "the server is closing")
        try:
            problems = await self.engine.problems(job)
        except Exception as error:
            raise HTTPException(
                400, self.engine.explain(error, job.fn)["error"] or "the inputs cannot be read"
            ) from None
        if problems:
            raise HTTPException(422, problems)  # type: ignore[arg-type]
        try:
            self.engine.submit(job)
        except QueueFull as error:
            raise HTTPException(503, str(error)) from None

    async def read(self, request: HTTPRequest, whole: bool = False) -> Any:
        """The JSON in a request: an object, or anything when ``whole``."""
        try:
            body = await read_json(request, self.settings.max_body)
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
        known = self.sessions.get(hash)
        fn = self.blocks.fns.get(index) if isinstance(index, int) else None
        if fn is None and known is not None and isinstance(index, int):
            fn = known.function(index)
        if fn is None or fn.fn is None:
            raise HTTPException(400, f"there is no function with fn_index {index!r}")
        session = self.sessions.open(hash)
        browser = session.lingers = request.headers.get("x-gradio-user") == "app"
        job = self._job(request, fn, body, session, session.mailbox, every_value=not browser)
        await self._submit(job)
        return JSON({"event_id": job.id})

    async def status(self, request: HTTPRequest) -> Response:
        waiting = sum(map(len, self.engine.lanes.values()))
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
        box = Mailbox()
        job = self._job(request, fn, body, session, box, edits=False)
        await self._submit(job)
        self.calls[job.id] = (job, box)
        while len(self.calls) > CALL_RESULTS:
            self.calls.pop(next(iter(self.calls)))
        return JSON({"event_id": job.id})

    def _session(self, body: dict[str, Any]) -> Session:
        hash = body.get("session_hash")
        if isinstance(hash, str) and 1 <= len(hash) <= 128:
            return self.sessions.open(hash)
        return Session(uuid.uuid4().hex)  # a visitor of one call: nothing to remember

    async def call_result(self, request: HTTPRequest) -> Response:
        self._function(request.path_params["name"])
        found = self.calls.get(request.path_params["event"])
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
                if self.ended:
                    yield frame(b'{"error":"The server is closing."}', "error")
                    return
                if not await box.wait(BEAT):
                    yield frame(b"null", "heartbeat")
        finally:
            self.calls.pop(job.id, None)
            if not job.finished:
                self.engine.cancel(job)

    async def run(self, request: HTTPRequest) -> Response:
        body = await self.read(request)
        name = request.path_params["name"]
        if name == "predict" and name not in self.names and isinstance(body.get("fn_index"), int):
            fn = self.blocks.fns.get(body["fn_index"])
            if fn is None or fn.fn is None or fn.api_visibility == "private":
                raise HTTPException(404, f"there is no function with fn_index {body['fn_index']}")
        else:
            fn = self._function(name)
        if fn.queue and not self.blocks.api_open:
            raise HTTPException(404, "this endpoint is only served through the queue")
        result = await self.call_once(request, fn, body.get("data"), self._session(body), body)
        if not result.get("success"):
            return JSON(result.get("output"), status_code=500)
        return JSON(result["output"])

    async def call_once(
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
        job = self._job(request, fn, given, session or self._session({}), box, edits=False, every_value=False)
        await self._submit(job)
        while not job.finished:
            box.take(box.last)
            if not job.finished:
                await box.wait(BEAT)
            if await request.is_disconnected():
                self.engine.cancel(job)
        return job.result or {}

    async def cancel(self, request: HTTPRequest) -> Response:
        body = await self.read(request)
        session = self.sessions.get(str(body.get("session_hash")))
        event = body.get("event_id")
        job = session.pending.get(event) if session is not None and isinstance(event, str) else None
        if job is not None:
            self.engine.cancel(job)
        return JSON({"success": True})

    async def reset(self, request: HTTPRequest) -> Response:
        return JSON({"success": True})  # clients call it beside /cancel; the event alone is no right to stop it


async def _robots(request: HTTPRequest) -> Response:
    return Response("User-agent: *\nDisallow: /gradio_api/\n", media_type="text/plain")


async def _explain(request: HTTPRequest, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSON({"detail": error.detail}, status_code=error.status_code, headers=error.headers)


async def _too_large(request: HTTPRequest, error: Exception) -> Response:
    return JSON({"detail": str(error)}, status_code=413)
