"""A server of functions without a page: FastAPI's application, with endpoints that wait in our queue beside its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from fastapi import FastAPI

from enfold.gradio import mcp as tools
from enfold.gradio.blocks import Blocks
from enfold.gradio.events import api
from enfold.web.origin import OriginGuard

__all__ = ["Server"]


class Tools:
    """Decorators for what language models are told; see :mod:`enfold.gradio.mcp`."""

    tool = staticmethod(tools.tool)
    resource = staticmethod(tools.resource)
    prompt = staticmethod(tools.prompt)


class Server(FastAPI):
    """FastAPI's application whose :meth:`api` functions are called by the ecosystem's clients: with a queue, limits,
    streams and tools for language models. Its own routes, middleware and routers work as ever, and come first.

    Args:
        options: FastAPI's.

    Example:
        >>> server = Server(title="Greetings")
        >>> @server.api(name="hello")
        ... def hello(name: str) -> str:
        ...     return f"Hello {name}"
        >>> @server.get("/")
        ... def root():
        ...     return {"message": "Nothing to see"}
        >>> list(server.endpoints().get_api_info()["named_endpoints"])
        ['/hello']
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.mcp = Tools()
        self.page: Endpoints | None = None
        self._offered: list[tuple[Callable[..., Any], dict[str, Any]]] = []

    def api(
        self,
        fn: Callable[..., Any] | None = None,
        *,
        name: str | None = None,
        description: str | None = None,
        concurrency_limit: int | Literal["default"] | None = "default",
        concurrency_id: str | None = None,
        queue: bool = True,
        batch: bool = False,
        max_batch_size: int = 4,
        api_visibility: Literal["public", "private", "undocumented"] = "public",
        time_limit: int | None = None,
        stream_every: float = 0.5,
    ) -> Any:
        """Offer a function to clients; its type hints say what it takes and returns.

        Args:
            fn: the function; left out, the call is a decorator.
            name: the name clients call it by; the function's own when None.
            description: what clients are told of it; its docstring when None.
            concurrency_limit, concurrency_id, queue, batch, max_batch_size, api_visibility, time_limit, stream_every:
                see :func:`enfold.gradio.on`.

        Returns:
            The function.
        """
        options = {
            "api_name": name,
            "api_description": description,
            "concurrency_limit": concurrency_limit,
            "concurrency_id": concurrency_id,
            "queue": queue,
            "batch": batch,
            "max_batch_size": max_batch_size,
            "api_visibility": api_visibility,
            "time_limit": time_limit,
            "stream_every": stream_every,
        }

        def offer(function: Callable[..., Any]) -> Callable[..., Any]:
            self._offered.append((function, options))
            return function

        return offer if fn is None else offer(fn)

    def endpoints(self) -> Endpoints:
        """The functions that are offered, as a page without anything on it."""
        with Endpoints(self) as page:
            for fn, options in self._offered:
                api(fn, **options)
        return page

    def launch(self, **options: Any) -> tuple[Any, str, str | None]:
        """Serve it over HTTP.

        Args:
            options: those of :meth:`enfold.gradio.Blocks.launch`. ``auth`` guards the endpoints; routes of the
                application's own are guarded by its own means.

        Returns:
            ``(app, local_url, share_url)``: this application, its address, None.
        """
        if self.page is not None:
            self.page.close()
        self.page = self.endpoints()
        _, url, share = self.page.launch(**options)
        return self, url, share

    def close(self) -> None:
        """End the server."""
        if self.page is not None:
            self.page.close()


class Endpoints(Blocks):
    """The page behind a :class:`Server`."""

    def __init__(self, server: Server) -> None:
        self.set_up(mode="server", title=server.title, looks={})
        self.around = server

    def served(self, app: Any) -> Any:
        # Routes of the application come first; what none of them answers is the page's.
        routes = self.around.router.routes
        routes[:] = [route for route in routes if getattr(route, "name", "") != "gradio"]
        self.around.mount("", app, name="gradio")
        return OriginGuard(self.around, hosts=app.settings.hosts, unsafe_get=("/logout",))
