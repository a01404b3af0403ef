"""The HTTP face of a page: the wire protocol that clients and the front end speak, as an ASGI application."""

from __future__ import annotations

import asyncio
import functools
import gzip
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request as HTTPRequest
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from enfold.gradio.calls import JSON, Calls
from enfold.gradio.components.base import Component
from enfold.gradio.components.buttons import DeepLinkButton, LoginButton
from enfold.gradio.deep_links import DeepLinks
from enfold.gradio.engine import Engine
from enfold.gradio.files import FileRules, parse_size, with_address
from enfold.gradio.monitoring import Monitoring
from enfold.gradio.page import ICON
from enfold.gradio.page import page as written
from enfold.gradio.pages import of_page
from enfold.gradio.playlists import Playlists
from enfold.gradio.sessions import Sessions
from enfold.gradio.streams import Streams
from enfold.gradio.transfers import Transfers
from enfold.gradio.ui_files import assets
from enfold.gradio.ui_files import found as ui_file
from enfold.log import get_logger
from enfold.web.limits import BodyTooLarge
from enfold.web.origin import OriginGuard

if TYPE_CHECKING:
    from enfold.gradio.blocks import Blocks

__all__ = ["App", "Settings"]

log = get_logger(__name__)
PREFIX = "/gradio_api"


@dataclass
class Settings:
    """How a page is served; :meth:`enfold.gradio.Blocks.launch` says what each means.

    ``hosts`` are the names this server answers to beside loopback ones; None for any.
    """

    auth: Callable[[str, str], bool] | tuple[str, str] | list[tuple[str, str]] | None = None
    auth_message: str | None = None
    auth_dependency: Callable[[HTTPRequest], Any] | None = None
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
    pwa: bool = False
    monitoring: bool = False


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
        from enfold.gradio.sign_in import SignIn

        self.blocks, self.settings = blocks, settings or Settings()
        self.rules = FileRules(
            self.settings.allowed_paths, self.settings.blocked_paths, parse_size(self.settings.max_file_size)
        )
        self.engine = Engine(
            blocks, max_threads=self.settings.max_threads, show_error=self.settings.show_error, rules=self.rules
        )
        streams = self.streams = Streams(self)
        transfers = Transfers(blocks, self.rules, blocks.delete_cache)
        self.sessions = Sessions(self.settings.session_capacity)
        calls = self.calls = Calls(self)
        playlists = Playlists(self.sessions, self.rules)
        self.config = blocks.get_config_file() | {
            "show_error": self.settings.show_error,
            "footer_links": self.settings.footer_links,
            "max_file_size": self.rules.max_size,
            "mcp_server": self.settings.mcp,
            "pwa": self.settings.pwa,
            "i18n_translations": blocks.i18n.config() if blocks.i18n else None,
        }
        self.pages = {path: of_page(self.config, path) for path in self.config["page"]}
        self._has_files = {
            block._id for block in blocks.blocks.values() if isinstance(block, Component) and block.has_files
        }
        self.names = {fn.api_name: fn for fn in blocks.fns.values() if fn.fn is not None}
        linked = any(isinstance(block, DeepLinkButton) for block in blocks.blocks.values())
        self.links = self.engine.links = DeepLinks(self) if linked else None
        self.ended = False
        self.over = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.login = Login(self.settings.auth, self.settings.auth_message, self.settings.auth_dependency)
        asks = any(fn.asks_who for fn in blocks.fns.values() if fn.fn is not None)
        asks = asks or any(isinstance(block, LoginButton) for block in blocks.blocks.values())
        self.sign_in = SignIn(self.root) if asks else None
        routes = [
            Route("/", self.index),
            Route("/config", self.get_config),
            Route("/config/", self.get_config),
            Route("/login", self.login.enter, methods=["POST"]),
            Route("/logout", self.leave),
            Route("/favicon.ico", self.favicon),
            Route("/robots.txt", _robots),
            Route("/gradio.js", self.embed),
        ]
        self.monitoring = Monitoring(self) if self.settings.monitoring else None
        if self.monitoring is not None:
            routes.append(Route("/monitoring/{key}", self.monitoring.page))
        if self.settings.pwa:
            routes.append(Route("/manifest.json", self.manifest))
        for path in self.pages:
            if path:
                routes.append(Route(f"/{path}", functools.partial(self.index, page=path)))
                routes.append(Route(f"/{path}/", functools.partial(_without_slash, page=path)))
        if self.sign_in is not None:
            routes.append(Route("/login/huggingface", self.sign_in.begin))
            routes.append(Route("/login/callback", self.sign_in.finish))
        api = [
            Route("/ui/{digest}/{name}", self.asset),
            Route("/config", self.get_config),
            Route("/info", self.info),
            Route("/info/", self.info),
            Route("/app_id", self.app_id),
            Route("/startup-events", self.startup),
            Route("/queue/join", calls.join, methods=["POST"]),
            Route("/queue/data", streams.data),
            Route("/queue/status", calls.status),
            Route("/stream/{session}/{run}/{component:int}/playlist.m3u8", playlists.playlist),
            Route("/stream/{session}/{run}/{component:int}/playlist-file", playlists.whole),
            Route("/stream/{session}/{run}/{component:int}/{name}", playlists.piece),
            Route("/call/v2/{name}", calls.call_by_name, methods=["POST"]),
            Route("/call/{name}", calls.call, methods=["POST"]),
            Route("/call/{name}/{event}", calls.call_result),
            Route("/run/{name}", calls.run, methods=["POST"]),
            Route("/api/{name}", calls.run, methods=["POST"]),
            Route("/run/{name}/", calls.run, methods=["POST"]),
            Route("/api/{name}/", calls.run, methods=["POST"]),
            Route("/cancel", calls.cancel, methods=["POST"]),
            Route("/reset", calls.reset, methods=["POST"]),
            Route("/reset/", calls.reset, methods=["POST"]),
            Route("/upload", transfers.upload, methods=["POST"]),
            Route("/file={path:path}", transfers.file),
            Route("/file/{path:path}", transfers.file),
            Route("/library/{name}.js", transfers.library),
            Route("/component_server", transfers.component, methods=["POST"]),
            Route("/component_server/", transfers.component, methods=["POST"]),
        ]
        if self.links is not None:
            api.append(Route("/deep_link", self.links.make, methods=["GET", "POST"]))
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
            self.login.guard(self._answer, self.pages),
            hosts=self.settings.hosts,
            unsafe_get=("/logout", f"{PREFIX}/heartbeat/", f"{PREFIX}/deep_link"),
        )

    @classmethod
    def create_app(cls, blocks: Blocks, **settings: Any) -> App:
        """Make the application of a page; ``settings`` are fields of :class:`Settings`."""
        return cls(blocks, Settings(**settings))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            self._loop = asyncio.get_running_loop()
        await self._guarded(scope, receive, send)

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        # Heartbeats come before the routes, whose layers would stay around every one of them.
        path = scope.get("path", "").removeprefix(scope.get("root_path", ""))
        if path.startswith(f"{PREFIX}/heartbeat/") and path.count("/") == 3 and scope.get("method") == "GET":
            await self.streams.hold(scope, receive, send)
        else:
            await self._inner(scope, receive, send)

    def end(self) -> None:
        """Stop all work and let every open stream end; from any thread."""
        loop, self.ended = self._loop, True
        if loop is None or loop.is_closed():
            self.engine.close()
            self.sessions.close()
            return

        def end() -> None:
            self.over.set()
            self.streams.beats.end()
            self.engine.close()
            for session in self.sessions:
                for job in list(session.pending.values()):
                    job.fail({"error": "The server is closing."})
                session.mailbox.wake()
            for _, mailbox in self.calls.results.values():
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

    def _config(self, request: HTTPRequest, page: str | None = None) -> dict[str, Any]:
        root = self.root(request)
        config = {**self.pages.get(page, self.config), "root": root, "username": self.login.user(request)}  # type: ignore[call-overload]
        link = request.query_params.get("deep_link")
        if link and self.links is not None:
            config = self.links.shown(config, link)
        if self._has_files:
            config["components"] = [
                {**entry, "props": with_address(entry["props"], root)} if entry["id"] in self._has_files else entry
                for entry in config["components"]
            ]
        return config

    async def index(self, request: HTTPRequest, page: str = "") -> Response:
        if not self.login.allows(request):
            return self.login.form(self.blocks.title)
        favicon = "favicon.ico" if self.settings.favicon else None
        body, headers = written(self.blocks, self._config(request, page), favicon=favicon)
        packed = body.encode()
        if "gzip" in request.headers.get("accept-encoding", ""):
            packed, headers["Content-Encoding"] = gzip.compress(packed, 6), "gzip"
        return HTMLResponse(packed, headers={**headers, "Vary": "Accept-Encoding"})

    async def leave(self, request: HTTPRequest) -> Response:
        """Forget who is logged in here, and who is signed in with the Hub."""
        answer = await self.login.leave(request)
        if self.sign_in is not None:
            self.sign_in.leave(request, answer)
        return answer

    async def get_config(self, request: HTTPRequest) -> Response:
        return JSON(self._config(request, request.query_params.get("page")))

    async def info(self, request: HTTPRequest) -> Response:
        everything = request.query_params.get("all_endpoints", "").lower() in {"1", "true"}
        page = request.query_params.get("page")
        return JSON(self.blocks.get_api_info(everything, page if page in self.pages else None))

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

    async def manifest(self, request: HTTPRequest) -> Response:
        """What a browser reads to offer the page as an application of its own."""
        icon = "favicon.ico" if self.settings.favicon else ICON
        said = {"name": self.blocks.title, "short_name": self.blocks.title, "start_url": "./", "display": "standalone"}
        return JSON({**said, "icons": [{"src": icon, "sizes": "any"}]})

    async def favicon(self, request: HTTPRequest) -> Response:
        if self.settings.favicon is None:
            return Response(status_code=204)
        from starlette.responses import FileResponse

        return FileResponse(self.settings.favicon, headers={"X-Content-Type-Options": "nosniff"})


async def _without_slash(request: HTTPRequest, page: str) -> Response:
    return RedirectResponse(f"../{quote(page)}", 308)  # addresses on the page are relative


async def _robots(request: HTTPRequest) -> Response:
    return Response("User-agent: *\nDisallow: /gradio_api/\n", media_type="text/plain")


async def _explain(request: HTTPRequest, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSON({"detail": error.detail}, status_code=error.status_code, headers=error.headers)


async def _too_large(request: HTTPRequest, error: Exception) -> Response:
    return JSON({"detail": str(error)}, status_code=413)
